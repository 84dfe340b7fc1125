"""What the build commands write."""

import json

import pytest

from lbsim.teach import sources
from lbsim.teach.__main__ import main

LESSON = """\
# %% [markdown]
# # A lesson & more
# %%
print(6 * 7)
"""
EXERCISE = """\
# %% [markdown]
# # An exercise
# %%
### BEGIN SOLUTION
answer = 41 + 1
### END SOLUTION
"""


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source" / "exercises").mkdir(parents=True)
    (tmp_path / "source" / "01_lesson.py").write_text(LESSON)
    (tmp_path / "source" / "README.md").write_text("# Not a page")
    (tmp_path / "source" / "exercises" / "1_task.py").write_text(EXERCISE)
    return tmp_path / "source"


def cells(path):
    return json.loads(path.read_text())["cells"]


@pytest.mark.filterwarnings("ignore")  # Jupyter's own libraries warn
def test_build_writes_notebooks_and_pages_that_load_nothing(source, tmp_path, capsys):
    target = tmp_path / "target"
    assert main(["build", str(target), "--source", str(source)]) == 0
    lesson = cells(target / "notebooks" / "01_lesson.ipynb")
    assert [cell["cell_type"] for cell in lesson] == ["markdown", "code"]
    assert lesson[1]["outputs"] == []
    page = (target / "html" / "01_lesson.html").read_text()
    assert ">42\n" in page
    for loading in ('src="http', 'href="http', "@import url(http", "url(http"):
        assert loading not in page
    index = (target / "html" / "index.html").read_text()
    assert '<a href="01_lesson.html">A lesson &amp; more</a>' in index
    assert "Not a page" not in index
    assert capsys.readouterr().out.strip().endswith("index.html")


def test_solutions_are_only_where_the_teacher_looks(source, tmp_path):
    target = tmp_path / "target"
    assert main(["build", str(target), "--source", str(source), "--no-html"]) == 0
    holding = [p.parent.name for p in target.rglob("*.ipynb") if "41 + 1" in p.read_text()]
    assert holding == ["solved"]
    task = target / "notebooks" / "exercises" / "1_task.ipynb"
    assert "raise NotImplementedError()" in "".join(cells(task)[1]["source"])


def test_student_writes_the_exercises_alone(source, tmp_path, capsys):
    target = tmp_path / "handout"
    assert main(["student", str(target), "--source", str(source)]) == 0
    assert [p.name for p in target.iterdir()] == ["1_task.ipynb"]
    assert "41 + 1" not in (target / "1_task.ipynb").read_text()
    assert capsys.readouterr().out.strip() == str(target / "1_task.ipynb")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "x", "--source", "nowhere"], "'nowhere' holds no notebooks"),
        (["build", "x", "--source", "SOURCE", "--only", "99"], "only = 99: no source begins so"),
    ],
)
def test_errors_take_one_line(source, arguments, message, capsys):
    assert main([str(source) if a == "SOURCE" else a for a in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_what_is_built_is_not_paired_with_its_source(tmp_path):
    # A Jupyter that has jupytext would refuse to open it.
    header = "# ---\n# jupyter:\n#   jupytext:\n#     formats: py:percent\n# ---\n\n"
    path = tmp_path / "a.py"
    path.write_text(header + LESSON)
    notebook = sources.read(path)
    assert "jupytext" not in notebook.metadata
    assert len(notebook.cells) == 2

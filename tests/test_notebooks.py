"""Every notebook runs from top to bottom in a kernel of its own, and its text tells the truth."""

import re
from pathlib import Path

import pytest

from lbsim.teach import sources
from lbsim.teach.build import execute

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sources.find(ROOT / "notebooks")
RUNNABLE = [path for path in NOTEBOOKS if path.suffix == ".py"]
# A kernel and its imports take seconds each. These run every time; `-m slow` runs the others.
SAMPLE = ("02_sharing_evenly", "05_custom_policies", "1_first_policy")

pytestmark = [
    # What Jupyter's own libraries warn of is not ours to mend.
    pytest.mark.filterwarnings("ignore"),
]


QUOTED = re.compile(r"`(-?\d[\d,.]*)[ %\w]*`")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[] if path.stem in SAMPLE else pytest.mark.slow)
        for path in RUNNABLE
    ],
)
def test_a_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("LBSIM_QUICK", "1")
    execute(sources.read(path), path.name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [path for path in RUNNABLE if "teach.measured(" in path.read_text(encoding="utf-8")],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs_from_recordings(path, monkeypatch):
    """Where nothing can be forked, the live parts come from data/."""
    monkeypatch.setenv("LBSIM_QUICK", "1")
    monkeypatch.setenv("LBSIM_RECORDED", "1")
    execute(sources.read(path), path.name)


def quoted_in(notebook):
    return {
        number
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for number in QUOTED.findall(cell.source)
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [path for path in RUNNABLE if quoted_in(sources.read(path))],
    ids=lambda path: path.stem,
)
def test_numbers_that_the_text_quotes_are_printed(path, monkeypatch):
    """A number in backticks is one that a cell of the same notebook prints, at full size."""
    monkeypatch.delenv("LBSIM_QUICK", raising=False)
    notebook = sources.read(path)
    quoted = quoted_in(notebook)
    printed = set(re.findall(r"-?\d[\d,]*\.?\d*", printed_by(execute(notebook, path.name))))
    assert quoted <= printed, f"not printed: {sorted(quoted - printed)}"


def printed_by(notebook):
    """Return all text that the cells of an executed notebook show."""
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_source_is_text_with_a_title(path):
    notebook = sources.read(path)
    assert sources.title(notebook) != "untitled"
    assert all(not cell.get("outputs") for cell in notebook.cells)


@pytest.mark.parametrize(
    "path", [p for p in RUNNABLE if re.match(r"\d\d_", p.stem)], ids=lambda path: path.stem
)
def test_a_lesson_has_the_form_of_a_lesson(path):
    """Question, prediction, experiment, explanation, something to try."""
    text = path.read_text(encoding="utf-8")
    places = [
        text.find(part)
        for part in (
            "**Question.**",
            "## Predict",
            "## Run",
            "reveal(",
            "## What happened and why",
            "**Try this.**",
        )
    ]
    assert min(places) > 0, "a part is missing"
    assert places[:3] == sorted(places[:3])
    assert places[4:] == sorted(places[4:])
    assert text.count("predict(") == text.count("reveal("), "each guess is looked at"

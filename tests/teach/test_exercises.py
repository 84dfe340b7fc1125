"""The solved exercises pass their checks; what a student gets does not."""

from pathlib import Path

import matplotlib
import pytest

from lbsim.teach import sources
from lbsim.teach.checks import CheckFailed
from lbsim.teach.student import without_solutions

EXERCISES = sorted((Path(__file__).resolve().parents[2] / "notebooks" / "exercises").glob("*.py"))


@pytest.fixture(autouse=True)
def quick_and_without_windows(monkeypatch):
    monkeypatch.setenv("LBSIM_QUICK", "1")
    matplotlib.use("Agg")


def is_graded(cell):
    return cell.metadata.get("nbgrader", {}).get("grade", False)


def run(notebook):
    """Run all cells as nbgrader does, whatever fails; return what each graded cell raised."""
    names = {"__name__": "__main__"}
    raised = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        error = None
        try:
            exec(compile(cell.source, "cell", "exec"), names)
        except Exception as problem:
            error = problem
        if is_graded(cell):
            raised.append(error)
    return raised


def test_there_are_six_exercises():
    assert len(EXERCISES) == 6


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)
def test_an_exercise_is_ready_for_nbgrader(path):
    notebook = sources.read(path)
    marks = [cell.metadata["nbgrader"] for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert len({mark["grade_id"] for mark in marks}) == len(marks)
    for mark in marks:
        assert mark["schema_version"] == 3
        assert mark["solution"] != mark["locked"]
    solutions = [c for c in notebook.cells if "BEGIN SOLUTION" in c.source]
    assert solutions
    assert all(c.metadata["nbgrader"]["solution"] for c in solutions)
    assert any(is_graded(cell) for cell in notebook.cells)


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)
def test_the_student_version_fails_and_the_solved_one_passes(path, capsys):
    text = path.read_text(encoding="utf-8")
    solved = run(sources.read(path))
    assert solved == [None] * len(solved)
    handed_out = run(sources.read(path, without_solutions(text)))
    # Either the check says that the method is not written, or the whole class is missing.
    assert all(isinstance(e, CheckFailed | NameError) for e in handed_out), handed_out
    assert len(handed_out) == len(solved)
    assert "Error" not in capsys.readouterr().out


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)
def test_the_student_version_is_python(path):
    notebook = sources.read(path, without_solutions(path.read_text(encoding="utf-8")))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            compile(cell.source, path.name, "exec")

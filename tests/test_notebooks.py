"""Every notebook runs from top to bottom, in a kernel of its own."""

from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.py"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# What Jupyter's own libraries warn of is not ours to mend.
@pytest.mark.filterwarnings("ignore")
def test_notebook(path, monkeypatch, tmp_path):
    jupytext = pytest.importorskip("jupytext", reason="the extra 'test' is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra 'test' is not installed")
    monkeypatch.setenv("LBSIM_NOTEBOOK_REQUESTS", "800")
    notebook = jupytext.read(path)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    shown = str(notebook.cells)
    assert "keeps the contract" in shown or "check_policy" not in path.read_text()


def test_there_are_notebooks():
    assert NOTEBOOKS

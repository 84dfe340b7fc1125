"""The notebooks as text: jupytext's percent format, and pages in Markdown."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbsim.errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["find", "need", "read", "title"]

NOT_PAGES = ("README.md", "TEACHERS.md")


def find(directory: Path) -> list[Path]:
    """Return the sources below a directory, in order: lessons, pages, exercises.

    Raises
    ------
    InputError
        There are none.
    """
    found = [
        path
        for path in (*directory.glob("*.py"), *directory.glob("*.md"))
        if path.name not in NOT_PAGES
    ]
    found = sorted(found) + sorted((directory / "exercises").glob("*.py"))
    if not found:
        raise InputError(
            f"source = {str(directory)!r} holds no notebooks (*.py, *.md); run this in a checkout "
            "of lbsim, or give --source DIR"
        )
    return found


def read(path: Path, text: str | None = None) -> Any:
    """Return a source as a notebook (an nbformat node) without outputs.

    Parameters
    ----------
    path : Path
        Its suffix says how to read it.
    text : str, optional
        Instead of the file's own text.
    """
    jupytext = need("jupytext")
    text = path.read_text(encoding="utf-8") if text is None else text
    notebook = jupytext.reads(text, fmt="py:percent" if path.suffix == ".py" else "md")
    notebook.metadata.setdefault(
        "kernelspec", {"name": "python3", "display_name": "Python 3", "language": "python"}
    )
    # What is built is no longer paired with its source; where it says so, a Jupyter with
    # jupytext looks for the pair and refuses to open the notebook.
    notebook.metadata.pop("jupytext", None)
    return notebook


def title(notebook: Any) -> str:
    """Return the first heading of a notebook."""
    for cell in notebook.cells:
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
            if line.startswith("# "):
                return str(line[2:].strip())
    return "untitled"


def need(name: str) -> "ModuleType":
    """Import an optional package, or say how to get it."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"{name} is not installed, and notebooks cannot be built without it; "
            "pip install 'lbsim[notebook]'"
        ) from error

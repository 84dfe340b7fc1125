"""Notebooks, and a rendered copy of them, from the sources.

A build is a directory:

    notebooks/            .ipynb without outputs, to open and run
    notebooks/exercises/  the same without solutions, for students
    solved/               the exercises with solutions, for the teacher
    html/                 executed and rendered, with an index; works offline
"""

import html
import importlib.metadata
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lbsim.errors import InputError
from lbsim.teach import sources
from lbsim.teach.student import without_solutions

__all__ = ["build", "execute", "students"]

Progress = Callable[[str], None]
TIMEOUT_S = 900.0  # of one cell
WIDGET = "application/vnd.jupyter.widget-view+json"


def students(source: Path, target: Path) -> list[Path]:
    """Write the exercises without solutions, as .ipynb; return their paths."""
    written = []
    for path in sources.find(source):
        if path.parent.name == "exercises":
            text = without_solutions(path.read_text(encoding="utf-8"), path.name)
            written.append(_write_notebook(sources.read(path, text), target / path.stem))
    return written


def build(
    source: Path,
    target: Path,
    *,
    only: Sequence[str] = (),
    render: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Write notebooks and the rendered copy.

    Parameters
    ----------
    source, target : Path
    only : sequence of str, optional
        Names, or beginnings of names, of the sources to build; all by default.
    render : bool, default True
        Execute and render them; this takes some minutes.
    progress : callable, optional
        Told of each source before it is built.

    Returns
    -------
    Path
        The index of the rendered copy, or the directory of the notebooks.

    Raises
    ------
    InputError
        A source is missing, or a cell of it raised an error.
    """
    chosen = [
        path for path in sources.find(source) if not only or path.stem.startswith(tuple(only))
    ]
    if not chosen:
        raise InputError(
            f"only = {', '.join(only)}: no source begins so; there are "
            f"{', '.join(path.stem for path in sources.find(source))}"
        )
    pages = []
    for path in chosen:
        if progress is not None:
            progress(path.stem)
        notebook = sources.read(path)
        if path.parent.name == "exercises":
            _write_notebook(notebook, target / "solved" / path.stem)
            # A solution that is published is no exercise: the page shows the task.
            shown = sources.read(path, without_solutions(path.read_text("utf-8"), path.name))
            _write_notebook(shown, target / "notebooks" / "exercises" / path.stem)
        else:
            _write_notebook(notebook, target / "notebooks" / path.stem)
            shown = execute(notebook, path.name) if render else notebook
        if render:
            page = target / "html" / f"{path.stem}.html"
            _write(page, _rendered(shown, sources.title(notebook)))
            pages.append((page.name, sources.title(notebook)))
    if not render:
        return target / "notebooks"
    index = target / "html" / "index.html"
    _write(index, _index(pages))
    return index


def execute(notebook: Any, name: str, directory: Path | None = None) -> Any:
    """Run all cells of a notebook in a kernel of its own and return it with its outputs.

    Parameters
    ----------
    notebook : NotebookNode
        Changed in place.
    name : str
        For the message of an error.
    directory : Path, optional
        Where the kernel runs; a temporary directory by default.
    """
    nbclient = sources.need("nbclient")
    with tempfile.TemporaryDirectory() as scratch:
        client = nbclient.NotebookClient(
            notebook,
            timeout=TIMEOUT_S,
            kernel_name="python3",
            resources={"metadata": {"path": str(directory or scratch)}},
        )
        try:
            client.execute()
        except nbclient.exceptions.CellExecutionError as error:
            raise InputError(
                f"{name}: a cell raised {error.ename}: {error.evalue}; "
                "run the notebook to see where"
            ) from error
    return notebook


def _write_notebook(notebook: Any, path: Path) -> Path:
    nbformat = sources.need("nbformat")
    path = path.with_name(path.name + ".ipynb")
    _write(path, nbformat.writes(notebook))
    return path


def _write(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _rendered(notebook: Any, heading: str) -> str:
    nbconvert = sources.need("nbconvert")
    for cell in notebook.cells:
        # A widget lives only in a running notebook. On a page a result's text stands for it, and
        # what was only displayed (a progress bar) is left out.
        kept = []
        for output in cell.get("outputs", ()):
            was_widget = output.get("data", {}).pop(WIDGET, None) is not None
            if not (was_widget and output["output_type"] == "display_data"):
                kept.append(output)
        if "outputs" in cell:
            cell.outputs = kept
    templates = _template_directories()
    # No address of any other host: a classroom may be offline, and a page that loads something
    # tells somebody who reads it.
    exporter = nbconvert.HTMLExporter(
        template_name="lab",
        extra_template_basedirs=templates,
        extra_template_paths=templates,
        mathjax_url="",
        require_js_url="",
        jquery_url="",
        mermaid_js_url="",
    )
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": heading}})
    return str(body)


def _template_directories() -> list[str]:
    """Return where nbconvert's templates are if it is not installed in this very environment.

    It looks for them in the running environment only, and fails in one that borrows packages from
    another (``--system-site-packages``).
    """
    files = importlib.metadata.files("nbconvert") or []
    mark = ("templates", "lab", "conf.json")
    return [str(Path(f.locate()).resolve().parents[1]) for f in files if f.parts[-3:] == mark]


def _index(pages: Sequence[tuple[str, str]]) -> str:
    items = "\n".join(
        f'<li><a href="{html.escape(name)}">{html.escape(heading)}</a></li>'
        for name, heading in pages
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>lbsim: the lessons</title>'
        '<meta name="viewport" content="width=device-width">'
        "<style>body{font:1.1rem/1.6 system-ui,sans-serif;max-width:40rem;margin:2rem auto;"
        "padding:0 1rem}</style>"
        f"<h1>Which worker should get the next request?</h1><ul>{items}</ul></html>"
    )

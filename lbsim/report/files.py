"""A comparison as files: the page, tidy tables, plots."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbsim.errors import InputError
from lbsim.report.page import figures, write_page

if TYPE_CHECKING:
    from lbsim.experiment import Comparison

__all__ = ["check_place", "write_all"]

MARK = "lbsim-report.txt"  # tells our own directories from others'


def check_place(directory: Path) -> None:
    """Refuse a place that no report can be moved to: asked before a long computation, too.

    Raises
    ------
    InputError
        It is a file, a directory of something else, or cannot be written to.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; give a directory (--out)")
    if directory.exists() and not (directory / MARK).exists() and any(directory.iterdir()):
        raise InputError(
            f"{directory} exists and is not a report of lbsim; give another directory (--out) or "
            "empty it"
        )
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{directory} cannot be written to ({error.strerror}); give another directory (--out)"
        ) from None


def write_all(result: "Comparison", directory: Path) -> Path:
    """Write everything to a temporary directory and move it into place.

    An earlier report in that place is replaced; any other directory that is not empty is left
    alone, with an InputError.
    """
    check_place(directory)
    temporary = directory.with_name(f".{directory.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        _fill(result, temporary)
        if directory.exists():
            shutil.rmtree(directory)
        temporary.replace(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return directory


def _fill(result: "Comparison", directory: Path) -> None:
    (directory / MARK).write_text(f"{result!r}\n", encoding="utf-8")
    tables: dict[str, Callable[[], Any]] = {
        "summary": result.frame,
        "replications": result.replicates,
        "ranking": result.ranking,
    }
    for name, make in tables.items():
        frame = make()
        frame.to_csv(directory / f"{name}.csv", index=False)
        frame.to_parquet(directory / f"{name}.parquet", index=False)
    import pandas as pd

    requests = pd.concat(
        [run.frame().assign(policy=name) for name, run in result.runs.items()], ignore_index=True
    )
    requests.to_parquet(directory / "requests.parquet", index=False)
    plots = directory / "plots"
    plots.mkdir()
    drawn = figures(result)
    for name, figure in drawn.items():
        for suffix in ("png", "svg"):
            figure.savefig(plots / f"{name}.{suffix}", dpi=150)
    write_page(result, directory / "report.html", drawn)

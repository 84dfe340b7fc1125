"""A directory of results that appears complete or not at all, and replaces only its like."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from lbsim.errors import InputError

__all__ = ["check_place", "fill_place"]


def check_place(directory: Path, mark: str) -> None:
    """Refuse a place that no results can be moved to: asked before a long computation, too.

    Parameters
    ----------
    directory : Path
    mark : str
        Name of the file that tells our own directories, of this kind, from others'.

    Raises
    ------
    InputError
        It is a file, a directory of something else, or cannot be written to.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; give a directory (--out)")
    if directory.exists() and not (directory / mark).exists() and any(directory.iterdir()):
        raise InputError(
            f"{directory} exists and is not a result of this command (it has no {mark}); give "
            "another directory (--out) or empty it"
        )
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{directory} cannot be written to ({error.strerror}); give another directory (--out)"
        ) from None


def fill_place(directory: Path, mark: str, fill: Callable[[Path], None]) -> Path:
    """Fill a temporary directory and move it into place; earlier results there are replaced.

    Parameters
    ----------
    directory : Path
    mark : str
        As for `check_place`.
    fill : callable
        Writes everything, the mark included, to the directory it is given.
    """
    check_place(directory, mark)
    temporary = directory.with_name(f".{directory.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        fill(temporary)
        if directory.exists():
            shutil.rmtree(directory)
        temporary.replace(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return directory

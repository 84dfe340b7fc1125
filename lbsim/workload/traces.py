"""Traces of others, gzip or not: which format a file has, and what to do with bad rows.

    csv       a header and rows, separated by commas, semicolons or tabs
    parquet   columns by name, as in CSV
    swf       the Standard Workload Format of the Parallel Workloads Archive
    nginx     access log, combined format and ``$request_time``
    apache    access log, combined format and ``%D``

Names of columns and units of time are in `lbsim.workload.fields`, logs in `lbsim.workload.logs`.
"""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lbsim.errors import InputError
from lbsim.workload import logs
from lbsim.workload.columns import Columns, from_given
from lbsim.workload.fields import requests_of
from lbsim.workload.tables import Bad, Table, csv_table, parquet_table, swf_table

__all__ = ["FORMATS", "read"]

FORMATS = ("csv", "parquet", "swf", "nginx", "apache")
SHOWN = 5  # bad rows that a message names


def read(
    path: Path,
    format: str | None,
    names: Mapping[str, str],
    seconds_per: Mapping[str, float],
    time_unit: str | None,
    resolution: float | None,
    skip_bad: bool,
) -> tuple[Columns, tuple[str, ...], tuple[str, ...]]:
    """Read a trace; the arguments are those of `Workload.from_trace`.

    Returns
    -------
    columns : Columns
    kind_names, notes : tuple of str

    Raises
    ------
    InputError
        The file is missing, empty, cut off, or has rows that cannot be read.
    """
    if format is not None and format not in FORMATS:
        raise InputError(f"format = {format!r} is not known; give one of {', '.join(FORMATS)}")
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file; give the path of a trace")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); give a file with at least one request")
    format = _guess(path) if format is None else format
    table = _table(path, format)
    values, bad, notes = requests_of(path, table, names, seconds_per, time_unit, resolution)
    good = len(values["arrival"])
    if bad:
        summary = _summary(bad, good, table.counted)
        if good == 0 or not skip_bad:
            raise InputError(
                f"{path}: {summary}; repair them, pass skip_bad=True (--skip-bad) to leave them "
                f"out, or give another format= (--format) than {format}"
            )
        notes = (*notes, f"{summary}: left out")
    elif good == 0:
        raise InputError(f"{path} has no requests, only a header; give a file with some")
    # The kinds are numbered here, from 0 on: a file's own numbers may be as large as they like.
    names_of, numbers = np.unique(values.pop("kind", np.zeros(good, int)), return_inverse=True)
    columns, _, sorted_note = from_given(**values, kind=numbers)
    kind_names = tuple(str(name) for name in names_of) if len(names_of) > 1 else ()
    return columns, kind_names, (*notes, *sorted_note)


def _table(path: Path, format: str) -> Table:
    if format == "parquet":
        return parquet_table(path)
    if next((line for line in _lines(path) if line.strip()), None) is None:
        raise InputError(f"{path} is empty; give a file with at least one request")
    if format == "csv":
        return csv_table(path, _lines(path))
    if format == "swf":
        return swf_table(_lines(path))
    return logs.log_table(_lines(path), format)


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, unpacked."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    opener: Any = gzip.open if packed else open
    # Only \n ends a line: a log may hold any other character that Unicode calls a line break.
    with opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        try:
            yield from file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                f"{path} is cut off or damaged ({error}); copy or download it again"
            ) from None


def _guess(path: Path) -> str:
    """Return the format, by name or by the first line."""
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    suffix = suffixes[-1].lower() if suffixes else ""
    if suffix in (".csv", ".swf", ".parquet"):
        return suffix[1:]
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return "parquet"
    first = next((line for line in _lines(path) if line.strip()), "").rstrip("\r\n")
    log = logs.guess(first)
    if log:
        return log
    if first.startswith(";"):
        return "swf"
    if "," in first or "\t" in first:
        return "csv"
    raise InputError(
        f"{path}: the format cannot be told from the name or from the first line "
        f"({first[:60]!r}); give format= (--format), one of {', '.join(FORMATS)}"
    )


def _summary(bad: list[Bad], good: int, counted: str) -> str:
    shown = "; ".join(f"{counted} {row.line}: {row.why}" for row in bad[:SHOWN])
    more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    return f"{len(bad)} of {good + len(bad)} rows cannot be read ({shown}{more})"

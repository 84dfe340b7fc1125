"""Traces of others: CSV, Parquet, the Standard Workload Format, access logs."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lbsim.errors import InputError
from lbsim.workload import logs
from lbsim.workload.columns import Columns, from_given

__all__ = ["FORMATS", "read"]

FORMATS = ("csv", "parquet", "swf", "nginx", "apache")

# Names under which a column is found in files of others, in order of preference.
ALIASES = {
    "arrival": ("arrival", "arrival_s", "start_s", "time", "time_s", "timestamp", "submit"),
    "service": ("service", "service_s", "duration", "duration_s", "runtime", "cpu", "cpu_s"),
    "wait": ("wait", "wait_s"),
    "key": ("key", "session_key", "session", "user", "client", "app"),
    "kind": ("kind", "type", "func", "method"),
    "priority": ("priority",),
    "size": ("size", "estimate", "limit_s"),
    "payload": ("payload", "bytes"),
}
NEEDED = ("arrival", "service")
SHOWN = 5  # bad rows that a message names


class Bad(NamedTuple):
    """A row that cannot be read."""

    line: int
    why: str


def read(
    path: Path, format: str | None, names: Mapping[str, str], skip_bad: bool
) -> tuple[Columns, tuple[str, ...], tuple[str, ...]]:
    """Read a trace.

    Parameters
    ----------
    path : Path
        Compressed with gzip or not.
    format : str or None
        One of `FORMATS`:

        - "csv", "parquet": named columns; see `ALIASES` for names that are understood;
        - "swf": the Standard Workload Format of the Parallel Workloads Archive (fields 2 submit
          time, 4 run time, 9 requested time, 12 user, 15 queue); jobs that never ran (-1) are
          bad rows;
        - "nginx": ``log_format`` combined with ``$request_time`` appended. A line is written when
          the answer is complete, so its arrival is its time less the duration;
        - "apache": combined with ``%D`` (microseconds) appended. ``%t`` is the arrival.
    names : mapping of str to str
        Which of the file's columns is which of ours.
    skip_bad : bool
        Leave bad rows out, with a note.

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
    if format == "parquet" or (format is None and path.suffix == ".parquet"):
        values, bad = _parquet(path, names)
        notes: tuple[str, ...] = ()
    else:
        text = _text(path)
        format = _guess(path, text) if format is None else format
        if format in ("nginx", "apache"):
            values, found, notes = logs.parse(text, format)
            bad = [Bad(line, why) for line, why in found]
        else:
            values, bad = _swf(text) if format == "swf" else _csv(path, text, names)
            notes = ()
    good = len(values["arrival"])
    if bad:
        shown = "; ".join(f"line {row.line}: {row.why}" for row in bad[:SHOWN])
        more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        summary = f"{len(bad)} of {good + len(bad)} rows cannot be read ({shown}{more})"
        if not skip_bad:
            raise InputError(
                f"{path}: {summary}; repair them, pass skip_bad=True (--skip-bad) to leave them "
                "out, or name the format"
            )
        notes = (*notes, f"{summary}; left out")
    if good == 0:
        raise InputError(f"{path} has no request that can be read; is it of format {format!r}?")
    columns, kind_names, sorted_note = from_given(**values)
    return columns, kind_names, (*notes, *sorted_note)


def _text(path: Path) -> str:
    """Return the whole file, unpacked."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                f"{path} is cut off or damaged ({error}); copy or download it again"
            ) from None
    text = data.decode("utf-8", "surrogateescape")
    if not text.strip():
        raise InputError(f"{path} is empty; give a file with at least one request")
    return text


def _guess(path: Path, text: str) -> str:
    """Return the format, by name or by the first line."""
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    if suffix in (".csv", ".swf"):
        return suffix[1:]
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    log = logs.guess(first)
    if log:
        return log
    if first.startswith(";"):
        return "swf"
    if "," in first:
        return "csv"
    raise InputError(
        f"{path}: the format cannot be told from the name or from the first line "
        f"({first[:60]!r}); give format= (--format), one of {', '.join(FORMATS)}"
    )


# --- tables --------------------------------------------------------------------------------


def _pick(path: Path, header: list[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return which of the file's columns is which of ours."""
    picked = {}
    for ours, theirs in names.items():
        if ours not in ALIASES or theirs not in header:
            raise InputError(
                f"columns = {{{ours!r}: {theirs!r}}} does not fit {path}, which has the columns "
                f"{', '.join(header)}; ours are {', '.join(ALIASES)}"
            )
        picked[ours] = theirs
    for ours, aliases in ALIASES.items():
        for alias in aliases:
            if ours not in picked and alias in header and alias not in picked.values():
                picked[ours] = alias
    missing = [ours for ours in NEEDED if ours not in picked]
    if missing:
        raise InputError(
            f"{path} has no column for {' and '.join(missing)}: its columns are "
            f"{', '.join(header)}. Name them, as in columns={{'service': 'elapsed'}}; a trace "
            "without durations needs a model of them: read it with pandas, compute seconds (from "
            "bytes or tokens, say) and give the arrays to Workload.from_arrays"
        )
    return picked


def _csv(path: Path, text: str, names: Mapping[str, str]) -> tuple[dict[str, Any], list[Bad]]:
    reader = csv.reader(io.StringIO(text))
    header = [name.strip() for name in next(reader)]
    picked = _pick(path, header, names)
    places = {ours: header.index(theirs) for ours, theirs in picked.items()}
    values: dict[str, list[Any]] = {ours: [] for ours in places}
    bad = []
    for row in reader:
        if not row:
            continue
        parsed = _row(row, places, len(header))
        if isinstance(parsed, str):
            bad.append(Bad(reader.line_num, parsed))
            continue
        for ours, value in parsed.items():
            values[ours].append(value)
    return _finished(values), bad


def _row(row: list[str], places: Mapping[str, int], width: int) -> dict[str, Any] | str:
    """Return the values of a row, or what is wrong with it."""
    if len(row) != width:
        return f"{len(row)} fields instead of {width}"
    parsed: dict[str, Any] = {}
    for ours, place in places.items():
        text = row[place].strip()
        if ours in ("key", "kind"):
            parsed[ours] = text
        elif not text and ours not in NEEDED:
            parsed[ours] = np.nan if ours == "size" else 0.0
        else:
            try:
                number = float(text)
            except ValueError:
                return f"{ours} = {text!r} is not a number"
            if not 0.0 <= number < np.inf:
                return f"{ours} = {text} is not a time from 0 on"
            parsed[ours] = number
    return parsed


def _finished(values: dict[str, list[Any]]) -> dict[str, Any]:
    """Turn columns of whole numbers in strings into numbers: they are names of sessions."""
    finished: dict[str, Any] = dict(values)
    for ours in ("key", "kind"):
        column = values.get(ours)
        if column and all(text.isdecimal() and len(text) < 19 for text in column):
            finished[ours] = np.array(column, np.int64)
    if len(finished.get("kind", ())) and not isinstance(finished["kind"], np.ndarray):
        finished["kind"] = np.array(finished["kind"], dtype=str)
    return finished


def _parquet(path: Path, names: Mapping[str, str]) -> tuple[dict[str, Any], list[Bad]]:
    import pandas as pd
    import pyarrow as pa

    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} is not a Parquet file or is cut off ({error}); copy it again"
        ) from None
    picked = _pick(path, [str(name) for name in table.columns], names)
    table = table[list(picked.values())].rename(columns={v: k for k, v in picked.items()})
    numeric = [name for name in table if name not in ("key", "kind")]
    numbers = table[numeric].apply(pd.to_numeric, errors="coerce")
    needed = numbers[list(NEEDED)]
    wrong = ~((needed >= 0.0) & (needed < np.inf)).all(axis=1)
    bad = [
        Bad(int(i) + 1, f"arrival or service is missing or negative: {dict(needed.iloc[i])}")
        for i in np.flatnonzero(wrong)
    ]
    table = table.assign(**{str(name): numbers[name] for name in numeric})[~wrong]
    return {str(name): table[name].to_numpy() for name in table}, bad


def _swf(text: str) -> tuple[dict[str, Any], list[Bad]]:
    rows: list[tuple[float, ...]] = []
    bad = []
    for number, fields in _swf_lines(text):
        try:
            numbers = [float(field) for field in fields]
        except ValueError:
            bad.append(Bad(number, "a field is not a number"))
            continue
        if len(numbers) < 18:
            bad.append(Bad(number, f"{len(numbers)} fields instead of 18"))
        elif numbers[3] < 0 or numbers[1] < 0:
            bad.append(Bad(number, f"submit time {numbers[1]:g}, run time {numbers[3]:g}"))
        else:
            rows.append((numbers[1], numbers[3], numbers[8], numbers[11], numbers[14]))
    table = np.array(rows, np.float64).reshape(-1, 5)
    return {
        "arrival": table[:, 0],
        "service": table[:, 1],
        "size": np.where(table[:, 2] < 0, np.nan, table[:, 2]),
        "key": table[:, 3].astype(np.int64),
        "kind": np.maximum(table[:, 4], 0),
    }, bad


def _swf_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith(";"):
            yield number, line.split()

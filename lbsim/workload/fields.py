"""From the columns of a file to those of a workload: names, units, numbers, dates.

A column is found by its name, in capitals or not:

    arrival    arrival, start, submit, time, timestamp
    service    service, duration, runtime, elapsed, cpu
    wait       wait
    key        key, session_key, session, user, client, app
    kind       kind, type, func, method
    priority   priority
    size       size, estimate, limit          (the client's own estimate of the service time)
    payload    payload, bytes

A time whose name ends in ``_s``, ``_ms``, ``_us`` or ``_ns`` is in that unit. An arrival may also
be a date in ISO 8601 (UTC if it does not say). Keys and kinds are texts; the rest are numbers.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lbsim import checks
from lbsim.errors import InputError
from lbsim.workload.keys import NO_KEY
from lbsim.workload.laws import FloatArray
from lbsim.workload.tables import Bad, Table

__all__ = ["UNITS", "requests_of"]

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
TIMES = ("arrival", "service", "wait", "size")
NUMBERS = (*TIMES, "priority", "payload")
ALIASES = {
    "arrival": ("arrival", "start", "submit", "time", "timestamp"),
    "service": ("service", "duration", "runtime", "elapsed", "cpu"),
    "wait": ("wait",),
    "key": ("key", "session_key", "session", "user", "client", "app"),
    "kind": ("kind", "type", "func", "method"),
    "priority": ("priority",),
    "size": ("size", "estimate", "limit"),
    "payload": ("payload", "bytes"),
}
LOG_REMEDY = "log $request_time (nginx) or %D (Apache) behind the combined format"
_WHOLE = re.compile(r"-1|[0-9]{1,18}")
DATES = 1e8  # seconds; arrivals from here on are dates, and the first one becomes time 0


def requests_of(
    path: Path,
    table: Table,
    names: Mapping[str, str],
    seconds_per: Mapping[str, float],
    time_unit: str | None,
    resolution: float | None,
) -> tuple[dict[str, Any], list[Bad], tuple[str, ...]]:
    """Convert a table.

    Returns
    -------
    values : dict
        Arguments for `lbsim.workload.columns.from_given`.
    bad : list of Bad
        Rows left out, those of `table` included.
    notes : tuple of str
    """
    if time_unit is not None and time_unit not in UNITS:
        raise InputError(f"time_unit = {time_unit!r} is not known; give one of {', '.join(UNITS)}")
    if resolution is not None:
        resolution = checks.positive("from_trace", "resolution", resolution)
    given = UNITS[time_unit or table.unit]
    picked = _pick(path, table, names, seconds_per)
    notes: list[str] = []
    reasons: dict[int, str] = {}
    values: dict[str, Any] = {}
    for ours in NUMBERS:
        if ours not in picked:
            continue
        theirs = picked[ours]
        unit = _unit(theirs, table, given) if ours in TIMES else 1.0
        read = _dates_or_numbers if ours == "arrival" else _numbers
        numbers = read(table.columns[theirs], unit)
        _judge(reasons, theirs, table.columns[theirs], numbers, ours in ("arrival", "service"))
        if ours != "size":
            numbers = np.nan_to_num(numbers, nan=0.0)
        values[ours] = numbers
    if seconds_per:
        values["service"] = np.zeros(len(table.lines))
        for theirs, factor in seconds_per.items():
            numbers = _numbers(table.columns[theirs])
            _judge(reasons, theirs, table.columns[theirs], numbers, needed=True)
            values["service"] += numbers * checks.not_negative("seconds_per", theirs, factor)
        model = " + ".join(f"{factor:g} s * {theirs}" for theirs, factor in seconds_per.items())
        notes.append(f"service times are a model: {model}")
    good = np.ones(len(table.lines), dtype=bool)
    good[list(reasons)] = False
    bad = table.bad + [Bad(table.lines[row], why) for row, why in reasons.items()]
    values = {ours: column[good] for ours, column in values.items()}
    for ours, none in (("key", str(NO_KEY)), ("kind", "none")):
        if ours in picked:
            texts = np.asarray(table.columns[picked[ours]], dtype=object)[good]
            values[ours] = _names(texts, none)
    if good.any():
        _place_in_time(values, table, resolution, notes)
        if table.unit == "us" and "service" in picked:
            # A log with %T looks the same: let the reader see what became of the numbers.
            said = f"durations read as {time_unit or 'microseconds (%D)'}"
            notes.append(f"{said}; the longest is {values['service'].max():g} s")
    return values, sorted(bad), tuple(notes)


def _pick(
    path: Path, table: Table, names: Mapping[str, str], seconds_per: Mapping[str, float]
) -> dict[str, str]:
    """Return which of the file's columns is which of ours."""
    header = list(table.columns)
    shown = f"{path} has the columns {', '.join(header)}"
    picked: dict[str, str] = {}
    for ours, theirs in names.items():
        if ours not in ALIASES:
            raise InputError(f"columns: {ours!r} is not one of ours, {', '.join(ALIASES)}")
        if theirs not in header:
            raise InputError(f"columns: {theirs!r} is not in the file; {shown}")
        picked[ours] = theirs
    if seconds_per and "service" in names:
        raise InputError(
            f"columns gives the service time ({names['service']!r}) and seconds_per a model of it; "
            "give one of the two"
        )
    for theirs in seconds_per:
        if theirs not in header:
            raise InputError(f"seconds_per: {theirs!r} is not in the file; {shown}")
    for ours, theirs in table.meaning.items():
        if theirs in header:
            picked.setdefault(ours, theirs)
    if not table.meaning:
        lower = {name.lower(): name for name in reversed(header)}
        for ours, aliases in ALIASES.items():
            suffixes = ("", *(f"_{unit}" for unit in UNITS)) if ours in TIMES else ("",)
            for name in (alias + suffix for alias in aliases for suffix in suffixes):
                if name in lower and lower[name] not in picked.values():
                    picked.setdefault(ours, lower[name])
    if seconds_per:
        picked.pop("service", None)
    elif "service" not in picked:
        raise InputError(
            f"{shown}; none is known as a service time. Name it, as in columns={{'service': "
            "'elapsed_ms'}; or give a model of it, as in seconds_per={'bytes': 1e-6} "
            "(--column, --seconds-per); "
            + (LOG_REMEDY if table.meaning else "counts per interval make a lbsim.RateProfile")
        )
    if "arrival" not in picked:
        raise InputError(
            f"{shown}; none is known as an arrival time. Name it, as in columns={{'arrival': "
            "'begun'}; if the trace has no clock, give Workload.from_arrays arrivals of your own, "
            "such as lbsim.Poisson().times(rng, n, rate)"
        )
    return picked


def _unit(theirs: str, table: Table, given: float) -> float:
    if theirs in table.units:
        return table.units[theirs]
    return UNITS.get(theirs.lower().rpartition("_")[2], given) if "_" in theirs else given


def _numbers(values: Sequence[Any], unit: float = 1.0) -> FloatArray:
    """Return numbers times the unit, durations in seconds, and NaN for the rest."""
    array = np.asarray(values)
    if array.dtype.kind == "m":
        return array / np.timedelta64(1, "s")
    if array.dtype.kind == "M":
        return np.full(len(array), np.nan)
    try:
        return array.astype(np.float64) * unit
    except (TypeError, ValueError):
        return np.array([_number(value) for value in array.tolist()], dtype=np.float64) * unit


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _dates_or_numbers(values: Sequence[Any], unit: float) -> FloatArray:
    """Return the same, and dates as seconds since 1970."""
    array = np.asarray(values)
    if array.dtype.kind == "M":
        seconds = array.astype("datetime64[ns]").astype(np.float64) / 1e9
        return np.where(np.isnat(array), np.nan, seconds)
    numbers = _numbers(values, unit)
    for row in np.flatnonzero(np.isnan(numbers)).tolist():
        try:
            date = datetime.fromisoformat(values[row])
        except (TypeError, ValueError):
            continue
        numbers[row] = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    return numbers


def _judge(
    reasons: dict[int, str], theirs: str, values: Sequence[Any], numbers: FloatArray, needed: bool
) -> None:
    """Say of each row what is wrong with this column, unless another one was wrong before."""
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(~((numbers >= 0.0) & (numbers < np.inf)))
    for row in wrong.tolist():
        value = values[row]
        missing = value is None or value == "" or value != value
        if missing and not needed:
            continue
        said = f"{theirs} is missing" if missing else f"{theirs} = {value} is not a number >= 0"
        reasons.setdefault(row, said)


def _names(values: Any, none: str) -> Any:
    """Return texts, or whole numbers where all of them are, so that user 7 has the key 7."""
    texts = [_text(value) or none for value in values.tolist()]
    if all(_WHOLE.fullmatch(text) for text in texts):
        return np.array(texts, dtype=np.int64)
    return np.array(["" if text == str(NO_KEY) else text for text in texts], dtype=object)


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    # Whole numbers become floats in a Parquet column where one is missing.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _place_in_time(
    values: dict[str, Any], table: Table, resolution: float | None, notes: list[str]
) -> None:
    """Spread equal stamps, go from the end of a request to its beginning, begin at 0."""
    arrival = values["arrival"]
    if resolution is None and table.whole_seconds:
        resolution = 1.0
    if resolution is not None:
        arrival = _spread(arrival, resolution)
        notes.append(
            f"requests with the same stamp are spread evenly over {resolution:g} s, in the order "
            "of the file"
        )
    if table.service_before:
        arrival = arrival - values["service"]
        notes.append("stamps are those of the end: a request arrives its duration earlier")
    first = float(arrival.min())
    if first >= DATES:
        arrival = arrival - first
        date = datetime.fromtimestamp(first, UTC).isoformat(timespec="milliseconds")
        notes.append(f"time 0 is {date}")
    values["arrival"] = arrival
    if table.service_before:
        order = np.argsort(arrival, kind="stable")  # the lines were in order of the end
        values.update({ours: column[order] for ours, column in values.items()})


def _spread(stamps: FloatArray, width: float) -> FloatArray:
    """Spread the requests of each stamp evenly over the time until `width` later."""
    order = np.argsort(stamps, kind="stable")
    _, first, count = np.unique(stamps[order], return_index=True, return_counts=True)
    place = np.arange(len(stamps)) - np.repeat(first, count)
    spread = np.empty(len(stamps))
    spread[order] = stamps[order] + width * (place + 0.5) / np.repeat(count, count)
    return spread

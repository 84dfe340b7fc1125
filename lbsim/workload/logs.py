r"""Access logs of nginx and Apache: the combined (or common) format with a duration behind it.

nginx:   log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status '
                          '$body_bytes_sent "$http_referer" "$http_user_agent" $request_time';
Apache:  LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %D" timed

**Duration.** nginx: the first number with a decimal point behind the quoted fields (so an upstream
time may follow), in seconds. Apache: the last whole number of the line, in microseconds (``%D``);
for ``%T`` or ``%{ms}T`` give ``time_unit="s"`` or ``"ms"``. In both a field such as ``rt=0.012`` or
``request_time=...`` goes before.

**Time.** nginx stamps a line when the answer is complete (ngx_http_log_module), so a request
arrived its duration earlier; Apache's ``%t`` is the time the request was received (mod_log_config).
Stamps may be ``10/Oct/2000:13:55:36 -0700`` (with a fraction or not), ISO 8601 (``$time_iso8601``)
or seconds since 1970 (``$msec``). Stamps of whole seconds say nothing of the order within a
second, nor of the gaps: see `resolution` in `Workload.from_trace`.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from lbsim.workload.tables import Bad, Table

__all__ = ["guess", "log_table"]

_LINE = re.compile(
    r"(?P<client>\S+) \S+ (?P<user>.*?) ?\[(?P<stamp>[^\]]+)\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}|-) (?P<bytes>\d+|-)'
    r"(?P<rest>.*)$"
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAMED = re.compile(r'\b(?:rt|request_time|duration)="?(\d+(?:\.\d+)?)')
_NUMBER = re.compile(r"(?<![\w.:])\d+(?:\.\d+)?(?![\w.:])")
_STAMP = re.compile(
    r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(\.\d{1,6})?\d* ([+-])(\d\d)(\d\d)$"
)
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def guess(line: str) -> str | None:
    """Return "nginx" or "apache" if a line looks like one of their logs, else None."""
    match = _LINE.match(line)
    if match is None:
        return None
    if "." not in _duration(match["rest"], "nginx") and _duration(match["rest"], "apache"):
        return "apache"
    return "nginx"


def log_table(lines: Iterable[str], format: str) -> Table:
    """Read the lines of a log.

    The columns are ``time``, ``duration`` (only if the log has it), ``client``, ``user``,
    ``method``, ``path`` (its first part), ``status`` and ``bytes`` (of the answer).
    """
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("time", "duration", "client", "user", "method", "path", "status", "bytes")
    }
    places: list[int] = []
    bad: list[Bad] = []
    seconds: dict[str, float | None] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _LINE.match(line.rstrip("\r\n"))
        if match is None:
            bad.append(Bad(number, "not of the combined format"))
            continue
        stamp = match["stamp"]
        if stamp not in seconds:
            seconds[stamp] = _seconds(stamp)
        time = seconds[stamp]
        if time is None:
            bad.append(Bad(number, f"time {stamp!r} is not like 10/Oct/2000:13:55:36 -0700"))
            continue
        method, _, target = match["request"].partition(" ")
        places.append(number)
        columns["time"].append(time)
        columns["duration"].append(_duration(match["rest"], format))
        columns["client"].append(match["client"])
        columns["user"].append("" if match["user"] == "-" else match["user"])
        columns["method"].append(method or "-")
        columns["path"].append(_first_part(target))
        columns["status"].append(match["status"])
        columns["bytes"].append("0" if match["bytes"] == "-" else match["bytes"])
    if not any(columns["duration"]):
        del columns["duration"]
    return Table(
        dict(columns),
        places,
        bad,
        meaning={"arrival": "time", "service": "duration", "key": "client", "kind": "method"},
        units={"time": 1.0},
        unit="s" if format == "nginx" else "us",
        service_before=format == "nginx" and "duration" in columns,
        whole_seconds=all(time.is_integer() for time in columns["time"]),
    )


def _duration(rest: str, format: str) -> str:
    """Return the duration in what follows the standard fields, "" if there is none."""
    named = _NAMED.search(rest)
    if named:
        return named[1]
    numbers = _NUMBER.findall(_QUOTED.sub(" ", rest))
    if format == "nginx":
        return next((number for number in numbers if "." in number), "")
    return next((number for number in reversed(numbers) if "." not in number), "")


def _first_part(target: str) -> str:
    path = target.split(" ")[0].split("?")[0]
    return "/" + path.lstrip("/").split("/")[0]


def _seconds(stamp: str) -> float | None:
    """Return seconds since 1970, or None."""
    match = _STAMP.match(stamp)
    try:
        if match:
            day, month, year, hour, minute, second, fraction, sign, hours, minutes = match.groups()
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            zone = timezone(-offset if sign == "-" else offset)
            # datetime.strptime would read the month in the language of the locale.
            number = _MONTHS.index(month) // 3 + 1
            clock = int(hour), int(minute), int(second)
            when = datetime(int(year), number, int(day), *clock, tzinfo=zone)
            return when.timestamp() + float(fraction or 0.0)
        if re.fullmatch(r"\d{9,}(\.\d+)?", stamp):
            return float(stamp)
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()

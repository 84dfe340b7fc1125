r"""Access logs of nginx and Apache: the combined format with a duration at the end.

nginx:   log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status '
                          '$body_bytes_sent "$http_referer" "$http_user_agent" $request_time';
Apache:  LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %D" timed

The duration is the last field: seconds with a point for nginx, whole microseconds for Apache. The
stamp has whole seconds, so requests of the same second are spread evenly over it, in the order
of the file.
"""

import re
from datetime import datetime
from typing import Any

import numpy as np

__all__ = ["guess", "parse"]

_LINE = re.compile(
    r"(?P<client>\S+) \S+ .*?\[(?P<stamp>[^\]]+)\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}|-) (?P<bytes>\d+|-)'
    r"(?P<rest>.*)$"
)
_DURATION = re.compile(r'(?:^|[\s"=])(?P<number>\d+(?:\.\d+)?)"?\s*$')


def guess(line: str) -> str | None:
    """Return "nginx" or "apache" if a line looks like one of their logs, else None."""
    match = _LINE.match(line)
    if match is None:
        return None
    duration = _DURATION.search(match["rest"])
    return "nginx" if duration is None or "." in duration["number"] else "apache"


def parse(text: str, format: str) -> tuple[dict[str, Any], list[tuple[int, str]], tuple[str, ...]]:
    """Read the lines of a log.

    Returns
    -------
    values : dict
        Arguments for `lbsim.workload.columns.from_given`; the key is the client's address, the
        kind is the method, the payload is 0 (a log has the bytes of answers only).
    bad : list of (line, reason)
    notes : tuple of str
    """
    stamps: list[float] = []
    durations: list[float] = []
    clients: list[str] = []
    methods: list[str] = []
    bad: list[tuple[int, str]] = []
    seconds: dict[str, float] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.match(line)
        if match is None:
            bad.append((number, "not of the combined format"))
            continue
        duration = _DURATION.search(match["rest"])
        if duration is None:
            bad.append((number, "no duration at the end"))
            continue
        stamp = match["stamp"]
        if stamp not in seconds:
            try:
                when = datetime.strptime(stamp, "%d/%b/%Y:%H:%M:%S %z")
            except ValueError:
                bad.append((number, f"time {stamp!r} is not like 10/Oct/2000:13:55:36 -0700"))
                continue
            seconds[stamp] = when.timestamp()
        stamps.append(seconds[stamp])
        durations.append(float(duration["number"]) * (1.0 if format == "nginx" else 1e-6))
        clients.append(match["client"])
        methods.append(match["request"].split(" ", 1)[0] or "-")
    if not stamps:
        return {"arrival": [], "service": []}, bad, ()
    spread = _spread(np.array(stamps))
    service = np.array(durations)
    arrival = spread - service if format == "nginx" else spread
    notes = (
        "stamps have whole seconds: requests of one second are spread evenly over it, in the "
        "order of the file",
    )
    values = {
        "arrival": arrival - arrival.min(),
        "service": service,
        "key": clients,
        "kind": np.array(methods),
    }
    return values, bad, notes


def _spread(stamps: np.ndarray) -> np.ndarray:
    """Spread the requests of one second evenly over that second."""
    order = np.argsort(stamps, kind="stable")
    _, first, count = np.unique(stamps[order], return_index=True, return_counts=True)
    place = np.arange(len(stamps)) - np.repeat(first, count)
    spread = np.empty(len(stamps))
    spread[order] = stamps[order] + (place + 0.5) / np.repeat(count, count)
    return spread

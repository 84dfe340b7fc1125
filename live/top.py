"""``live top``: a running master and its workers, in a terminal."""

import contextlib
import http.client
import json
import os
import re
import select
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from lbsim.errors import InputError
from lbsim.units import duration
from live.admin import name_of
from live.tally import quantile

__all__ = ["fetch", "masters", "render", "watch"]

QUANTILES = (0.5, 0.99)
COLUMNS = (
    "worker", "pid", "state", "in flight", "", "req/s", "p50", "p99", "busy", "cpu", "memory",
    "lag", "conns", "answered", "restarts",
)  # fmt: skip
LEFT = ("state", "")
BAR = 12  # characters
REVERSE, BOLD, RED, PLAIN = "\x1b[7m", "\x1b[1m", "\x1b[31m", "\x1b[0m"
TROUBLES = re.compile(r"lost_|shed$|answered_[45]|kept_closed|refused_by_worker|accept_paused")


# --- where from ----------------------------------------------------------------------------


def masters() -> list[int]:
    """Return the pids of the masters that listen on this machine, ascending."""
    with open("/proc/net/unix") as file:
        return sorted({int(pid) for pid in re.findall(r"@live-(\d+)$", file.read(), re.MULTILINE)})


def fetch(where: str | None) -> dict[str, Any]:
    """Ask a master for its status.

    Parameters
    ----------
    where : str or None
        A master's pid, HOST:PORT of its ``--admin`` address, or None for the only master here.

    Raises
    ------
    InputError
        There is no such master.
    """
    if where is None:
        found = masters()
        if len(found) != 1:
            pids = ", ".join(map(str, found)) or "none"
            raise InputError(
                f"there is not one master on this machine (pids: {pids}); start one with "
                "live serve, or say which: live top PID"
            )
        where = str(found[0])
    try:
        with contextlib.closing(_connect(where)) as connection:
            connection.request("GET", "/status")
            status: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise InputError(
            f"no master answers at {where} ({error}); give the pid of one that you run, or the "
            "HOST:PORT of its --admin address"
        ) from None
    return status


def _connect(where: str) -> http.client.HTTPConnection:
    if not where.isdigit():
        host, _, port = where.removeprefix("http://").rstrip("/").rpartition(":")
        return http.client.HTTPConnection(host, int(port), timeout=5.0)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(5.0)
    try:
        sock.connect(name_of(int(where)))
    except OSError:
        sock.close()
        raise
    connection = http.client.HTTPConnection("master", timeout=5.0)
    connection.sock = sock
    return connection


# --- what it looks like --------------------------------------------------------------------


def render(before: dict[str, Any] | None, now: dict[str, Any], width: int = 100) -> list[str]:
    """Draw a snapshot as lines of text.

    Parameters
    ----------
    before : dict or None
        An earlier snapshot: rates and quantiles are those of the time between. None: since the
        master began.
    now : dict
        From `fetch`.
    width : int
        Characters of a line; longer ones are cut.
    """
    rows, all_counts, answered = [], Counter[int](), 0
    span = now["time"] - before["time"] if before is not None else now["uptime_s"]
    was = {} if before is None else {(w["worker"]): w for w in before["workers"]}
    most = max([BAR, *(w["in_flight"] or 0 for w in now["workers"])])
    for worker in now["workers"]:
        old = was.get(worker["worker"], {})
        counts = _new(worker["buckets"], old.get("buckets", {}))
        fresh = worker["answered"] - old.get("answered", 0)
        all_counts.update(counts)
        answered += fresh
        rows.append(_row(worker, old, counts, fresh, span, most))
    table = [list(COLUMNS), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS))]
    text = [
        "  ".join(
            cell.ljust(w) if name in LEFT else cell.rjust(w)
            for name, cell, w in zip(COLUMNS, row, widths, strict=True)
        )
        for row in table
    ]
    p50, p99 = (_time(s) for s in quantile(all_counts.items(), QUANTILES))
    cpu = "" if before is None else f", {_share(now['cpu_s'] - before['cpu_s'], span)} cpu"
    host, port = now["address"]
    troubles = [
        f"{name.replace('_', ' ')} {count:,}"
        for name, count in sorted(now["counts"].items())
        if TROUBLES.match(name) and count
    ]
    redispatched = now["counts"].get("redispatched", 0)
    chooses = now["policy"] or f"{now['mode']}: the kernel chooses"
    lines = [
        f"live  {host}:{port}  {chooses}  pid {now['pid']}, {now['state']}, up "
        f"{duration(now['uptime_s'])}",
        f"{answered / span if span > 0.0 else 0.0:,.1f} requests/s, p50 {p50}, p99 {p99}"
        + (
            ""
            if now["in_flight"] is None
            else f"; {now['in_flight']} in flight, {now['held']} held, "
            f"{now['connections']} connections"
        ),
        f"{now['up']} of {len(now['workers'])} workers up, restarts: {now['restarts']}, "
        f"requests sent again: {redispatched:,}; master {now['resident'] / 1e6:.0f} MB{cpu}",
        "since the start: " + (", ".join(troubles) if troubles else "nothing lost or refused"),
        "",
        *text,
    ]
    return [line[:width].rstrip() for line in lines]


def _row(
    worker: dict[str, Any],
    old: dict[str, Any],
    counts: Counter[int],
    fresh: int,
    span: float,
    most: int,
) -> list[str]:
    p50, p99 = quantile(counts.items(), QUANTILES)
    is_same = old.get("pid") == worker["pid"]
    passed = worker["reported"] - old["reported"] if is_same else worker["age_s"]
    used, busy = (worker[k] - (old[k] if is_same else 0.0) for k in ("cpu_s", "busy_s"))
    slots = "" if worker["slots"] is None else f"/{worker['slots']}"
    return [
        str(worker["worker"]),
        str(worker["pid"]) if worker["pid"] >= 0 else "-",
        worker["state"],
        "-" if worker["in_flight"] is None else f"{worker['in_flight']}{slots}",
        "█" * round(BAR * (worker["in_flight"] or 0) / most),
        f"{fresh / span if span > 0.0 else 0.0:,.1f}",
        _time(p50),
        _time(p99),
        _share(busy, passed),
        _share(used, passed),
        f"{worker['resident'] / 1e6:.0f} MB",
        f"{worker['lag_s'] * 1e3:.1f} ms",
        str(worker["connections"]),
        f"{worker['answered']:,}",
        str(worker["restarts"]),
    ]


def _new(now: dict[str, int], before: dict[str, int]) -> Counter[int]:
    """Return what was counted between two snapshots, by bucket."""
    return Counter({int(k): n - before.get(k, 0) for k, n in now.items() if n > before.get(k, 0)})


def _time(seconds: float) -> str:
    return "-" if seconds != seconds else duration(seconds)


def _share(part: float, whole: float) -> str:
    return f"{100.0 * part / whole:.0f} %" if whole > 0.0 else "-"


# --- the terminal --------------------------------------------------------------------------


def watch(where: str | None, every: float, once: bool) -> None:
    """Show a master until ``q`` or Ctrl-C, or once.

    Parameters
    ----------
    where : str or None
        As in `fetch`.
    every : float
        Seconds between two looks; also the time over which rates are taken.
    once : bool
        Print one look and return. Taken when the output is no terminal, too.
    """
    before = fetch(where)
    where = where or str(before["pid"])  # stay with this one
    if once or not sys.stdout.isatty():
        time.sleep(every)
        print("\n".join(render(before, fetch(where), 1000)))
        return
    with _screen() as keys:
        shown: dict[str, Any] | None = None
        while True:
            size = shutil.get_terminal_size()
            lines = render(shown, before, size.columns)[: size.lines - 2]
            _paint(lines, size.columns)
            if _pressed(keys, every):
                return
            shown, before = before, fetch(where)


def _paint(lines: list[str], width: int) -> None:
    """Draw over what is there: clearing the screen first would flicker."""
    out = ["\x1b[H"]
    for i, line in enumerate(lines):
        style = BOLD if i == 0 else REVERSE if line.lstrip().startswith("worker") else ""
        if re.match(r"\s*\d+ +[-\d]+ +(?!up\b)[a-z]", line):  # a worker that is not up
            style = RED
        padded = line.ljust(width) if style == REVERSE else line
        out.append(f"{style}{padded}{PLAIN}\x1b[K\r\n")
    out.append("\x1b[K\r\nq: quit\x1b[K\x1b[J")
    sys.stdout.write("".join(out))
    sys.stdout.flush()


def _pressed(keys: int | None, seconds: float) -> bool:
    """Wait; return whether ``q`` was pressed meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0.0:
        if keys is None:
            time.sleep(left)
        elif select.select([keys], [], [], left)[0] and os.read(keys, 16).lower().startswith(b"q"):
            return True
    return False


@contextlib.contextmanager
def _screen() -> Iterator[int | None]:
    """Take the terminal's other screen, without cursor or echo, and give it all back."""
    import termios
    import tty

    keys = sys.stdin.fileno() if sys.stdin.isatty() else None
    settings = termios.tcgetattr(keys) if keys is not None else None
    sys.stdout.write("\x1b[?1049h\x1b[?25l")
    try:
        if keys is not None:
            tty.setcbreak(keys)
        yield keys
    except KeyboardInterrupt:
        pass
    finally:
        if keys is not None and settings is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, settings)
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()

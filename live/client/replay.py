"""Start the processes of the load generator, and put together what they saw."""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lbsim import checks
from lbsim.errors import InputError
from live.client.lateness import Lateness
from live.client.task import Task

__all__ = ["Replay", "replay"]

COLUMNS = (
    "due", "finished", "outcome", "sent", "made", "ended", "end", "status", "worker",
    "accepted", "looked", "started", "served",
)  # fmt: skip
PER_PROCESS = 3000.0
"""Requests a second that one process is trusted with (it can do about twice as many)."""
HEAD_START_S = 0.05
"""Seconds from the last process being ready to time 0."""


@dataclass(frozen=True)
class Replay:
    """What the clients saw.

    Times are CLOCK_MONOTONIC in seconds, NaN for what did not happen.

    Attributes
    ----------
    start : float
        Time 0 of the task.
    due, finished : ndarray of float64, shape (n,)
        When each request was to be sent; when its client had the answer or gave up for good.
    outcome : ndarray of int64, shape (n,)
        Index into `lbsim.engines.record.OUTCOMES`.
    sent, ended : ndarray of float64, shape (tickets,)
        When each copy was sent; when it was answered, failed or was given up.
    made : ndarray of float64, shape (tickets,)
        When a socket had been made for it, and not yet connected; NaN if it came over a kept one.
    end : ndarray of int64, shape (tickets,)
        Index into `live.client.loop.ENDS`.
    status : ndarray of int64, shape (tickets,)
        HTTP status, 0 if there was none.
    worker : ndarray of int64, shape (tickets,)
        Process id of the worker, 0 if the server does not tell.
    accepted, looked, started, served : ndarray of float64, shape (tickets,)
        When the server says that it had accepted the connection, that it looked for the next one
        after that, and that its handler began and was through; NaN if it does not.
    lateness : Lateness
        Of first copies.
    is_complete : bool
        False if it was stopped.
    """

    start: float
    due: np.ndarray
    finished: np.ndarray
    outcome: np.ndarray
    sent: np.ndarray
    made: np.ndarray
    ended: np.ndarray
    end: np.ndarray
    status: np.ndarray
    worker: np.ndarray
    accepted: np.ndarray
    looked: np.ndarray
    started: np.ndarray
    served: np.ndarray
    lateness: Lateness
    is_complete: bool


def replay(
    task: Task,
    processes: int | None = None,
    started: Callable[[float], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> Replay:
    """Send a task's requests at their times.

    Parameters
    ----------
    task : Task
    processes : int, optional
        How many share the sending; by default as few as the rate needs.
    started : callable, optional
        Is told time 0 (CLOCK_MONOTONIC, in seconds) just before it comes.
    progress : callable, optional
        Is told several times a second how many requests are over.

    Returns
    -------
    Replay
        Of what was done until then, if it is interrupted (Ctrl-C).
    """
    parts = _parts(task) if processes is None else checks.count("replay", "processes", processes)
    with tempfile.TemporaryDirectory(prefix="lbsim-client-") as name:  # readable by us alone
        place = Path(name)
        task.save(place / "task.npz")
        children = [_start(place, part, parts) for part in range(parts)]
        try:
            for child in children:
                _expect(child, "ready")
            start = time.monotonic() + HEAD_START_S
            started(start)
            for child in children:
                _tell(child, repr(start))
            is_complete = _wait(children, progress)
            return _gather(task, place, parts, start, is_complete)
        finally:
            for child in children:
                child.kill()
                child.communicate()


def _parts(task: Task) -> int:
    span = np.nanmax(task.arrival) - np.nanmin(task.arrival) if not task.clients else 0.0
    rate = task.n / span if span > 0 else 0.0
    return max(1, min(math.ceil(rate / PER_PROCESS), os.cpu_count() or 1))


def _start(place: Path, part: int, parts: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "live.client", str(place), str(part), str(parts)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # a terminal's Ctrl-C is ours to pass on
    )


def _expect(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdout is not None
    line = child.stdout.readline().strip()
    if line != word:
        raise InputError(
            f"the load generator did not start (it said {line!r}, status {child.poll()}); "
            "what it wrote to standard error says why"
        )


def _tell(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(line + "\n")
    child.stdin.flush()


def _wait(children: list[subprocess.Popen[str]], progress: Callable[[int], None]) -> bool:
    """Wait until all are through, or have been told to stop; say whether they were."""
    import selectors

    done = dict.fromkeys(range(len(children)), 0)
    interrupts = 0
    with selectors.DefaultSelector() as selector:
        for i, child in enumerate(children):
            assert child.stdout is not None
            selector.register(child.stdout, selectors.EVENT_READ, i)
        while selector.get_map():
            try:
                for key, _ in selector.select():
                    line = children[key.data].stdout.readline()
                    if not line:
                        selector.unregister(key.fileobj)
                        continue
                    done[key.data] = json.loads(line)
                    progress(sum(done.values()))
            except KeyboardInterrupt:
                interrupts += 1
                if interrupts > 1:
                    raise
                for child in children:
                    child.terminate()
    for child in children:
        if child.wait():
            raise RuntimeError(f"the load generator failed with status {child.returncode}")
    return interrupts == 0


def _gather(task: Task, place: Path, parts: int, start: float, is_complete: bool) -> Replay:
    columns: dict[str, np.ndarray] = {}
    for part in range(parts):
        rows = task.rows_of(part, parts)
        tickets = (rows[:, None] * task.copies + np.arange(task.copies)).ravel()
        with np.load(place / f"result-{part}.npz", allow_pickle=False) as file:
            for name in COLUMNS:
                theirs = file[name]
                mine = rows if len(theirs) == task.n and name in COLUMNS[:3] else tickets
                columns.setdefault(name, np.empty_like(theirs))[mine] = theirs[mine]
    lateness = Lateness.of(columns["due"], columns["sent"][:: task.copies])
    return Replay(start, **columns, lateness=lateness, is_complete=is_complete)

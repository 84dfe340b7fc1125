"""Why a request was slow: what it waited behind, and who stood idle meanwhile."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lbsim.engines.record import OUTCOMES
from lbsim.units import duration

if TYPE_CHECKING:
    from lbsim.run import Run

__all__ = ["Blocker", "Story", "down_between", "slowest"]

SHOWN = 3  # blockers and idle workers that a story names


@dataclass(frozen=True)
class Blocker:
    """A request that was in service at the same worker while another waited for it."""

    request: int
    seconds: float
    """How long it was in service while the other waited."""
    service: float
    """Its own service time, in seconds."""


@dataclass(frozen=True)
class Story:
    """Where the time of one request went; times in seconds.

    Attributes
    ----------
    request, worker : int
    latency : float
    at_master : float
        From the client's intended sending until the request was at its last worker: held, or
        sent before in vain.
    at_worker : float
        From there until its service began.
    in_service : float
        From there until its answer.
    service : float
        What it would have needed alone at speed 1.
    behind : tuple of Blocker
        Longest first.
    idle : tuple of (int, float)
        Other workers that were up, and the seconds that each had nothing to do while this
        request waited; longest first.
    attempts : int
    """

    request: int
    worker: int
    latency: float
    at_master: float
    at_worker: float
    in_service: float
    service: float
    behind: tuple[Blocker, ...]
    idle: tuple[tuple[int, float], ...]
    attempts: int
    outcome: str

    def __str__(self) -> str:
        parts = [f"request {self.request}: {duration(self.latency)}"]
        if self.attempts > 1:
            parts.append(f"handed over {self.attempts} times")
        if self.at_master > 0.0:
            parts.append(f"{duration(self.at_master)} before it was at worker {self.worker}")
        if self.at_worker > 0.0:
            text = f"{duration(self.at_worker)} in the queue of worker {self.worker}"
            if self.behind:
                names = [
                    f"request {b.request} ({duration(b.service)})" for b in self.behind[:SHOWN]
                ]
                more = len(self.behind) - SHOWN
                text += " behind " + _list(names + ([f"{more} more"] if more > 0 else []))
            parts.append(text)
        waited = self.at_master + self.at_worker
        if waited > 0.0:
            always = [worker for worker, seconds in self.idle if seconds > 0.99 * waited]
            if always:
                parts.append(f"while {_workers(always)} idle")
            elif self.idle:
                worker, seconds = self.idle[0]
                parts.append(f"while worker {worker} was idle for {duration(seconds)} of it")
            else:
                parts.append("while no worker was idle")
        parts.append(f"{duration(self.in_service)} in service (alone: {duration(self.service)})")
        return ", ".join(parts)


def slowest(run: "Run", k: int = 5) -> list[Story]:
    """Tell the stories of the `k` slowest answered requests, slowest first."""
    latency = np.where(np.isnan(run.latency), -np.inf, run.latency)
    order = np.argsort(-latency, kind="stable")[:k]
    return [_tell(run, int(row)) for row in order if latency[row] > -math.inf]


def _tell(run: "Run", row: int) -> Story:
    rows = run.record.handovers
    worker = int(run.worker[row])
    arrival, dispatched, started = run.arrival[row], run.dispatched[row], run.started[row]
    finished = run.finished[row]
    answer = run.record.answer[row]
    ended = np.where(np.isnan(rows.ended), np.inf, rows.ended)

    overlap = np.minimum(ended, started) - np.maximum(rows.started, dispatched)
    overlap[(rows.worker != worker) | np.isnan(overlap)] = 0.0
    overlap[answer] = 0.0
    blocking = np.flatnonzero(overlap > 0.0)
    blocking = blocking[np.argsort(-overlap[blocking], kind="stable")]
    behind = []
    for i in blocking:
        request = int(rows.ticket[i]) // run.copies
        service = float(run.workload.service[request])
        behind.append(Blocker(request, float(overlap[i]), service))
    return Story(
        request=row,
        worker=worker,
        latency=float(run.latency[row]),
        at_master=float(dispatched - arrival),
        at_worker=float(started - dispatched),
        in_service=float(finished - started),
        service=float(run.workload.service[row]),
        behind=tuple(behind),
        idle=tuple(_idle(run, arrival, started, ended)),
        attempts=int(run.n_attempts[row]),
        outcome=OUTCOMES[run.outcome[row]],
    )


def _idle(run: "Run", begin: float, end: float, ended: np.ndarray) -> list[tuple[int, float]]:
    """Return the workers that were idle between two times, and for how long; longest first."""
    if not end > begin:
        return []
    rows = run.record.handovers
    near = np.flatnonzero((rows.started < end) & (ended > begin))
    down = down_between(run, begin, end)
    idle = []
    for worker in range(run.cluster.workers):
        mine = near[rows.worker[near] == worker]
        spans = [(max(rows.started[i], begin), min(ended[i], end)) for i in mine]
        seconds = (end - begin) - _union(spans + down.get(worker, []))
        if seconds > 0.01 * (end - begin):
            idle.append((worker, float(seconds)))
    return sorted(idle, key=lambda pair: (-pair[1], pair[0]))


def down_between(run: "Run", begin: float, end: float) -> dict[int, list[tuple[float, float]]]:
    """Return when, within a window, each worker could not have served anything."""
    spans: dict[int, list[tuple[float, float]]] = {}
    for worker, a, b in run.down_spans():
        if a < end and b > begin:
            spans.setdefault(worker, []).append((max(a, begin), min(b, end)))
    return spans


def _union(spans: list[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total = 0.0
    reach = -math.inf
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reach))
        reach = max(reach, end)
    return total


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _workers(indices: list[int]) -> str:
    if len(indices) == 1:
        return f"worker {indices[0]} was"
    names = [str(index) for index in indices[:SHOWN]]
    if len(indices) > SHOWN:
        names.append(f"{len(indices) - SHOWN} others")
    return f"workers {_list(names)} were"

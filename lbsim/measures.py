"""The figures by which runs are compared."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lbsim.engines import record
from lbsim.stats.balance import imbalance, jain
from lbsim.stats.occupancy import occupancy

if TYPE_CHECKING:
    from lbsim.run import Run

__all__ = ["MEASURES", "Measure", "measure"]


class Measure(NamedTuple):
    """One figure."""

    name: str
    unit: str  # "s", "share", "ratio" or "count"
    meaning: str

    @property
    def least(self) -> float:
        """The smallest value that can be."""
        return 1.0 if self.unit == "ratio" else 0.0

    @property
    def most(self) -> float:
        """The largest value that can be."""
        return 1.0 if self.unit == "share" else math.inf


MEASURES = (
    Measure("mean", "s", "mean latency of the answered requests"),
    Measure("p50", "s", "half of the answered requests were faster"),
    Measure("p90", "s", "one in 10 was slower"),
    Measure("p99", "s", "one in 100 was slower"),
    Measure("p99.9", "s", "one in 1000 was slower"),
    Measure("worst", "s", "the slowest answered request"),
    Measure("utilisation", "share", "share of time in which a worker had something in service"),
    Measure("imbalance", "ratio", "busy time of the busiest worker / the mean of all"),
    Measure(
        "idle_while_waiting",
        "share",
        "share of time in which some worker was idle while a request waited elsewhere",
    ),
    Measure("jain", "share", "Jain's fairness of the workers' busy times; 1: all equal"),
    Measure("answered", "share", "requests that were answered"),
    Measure("shed", "count", "requests that were refused"),
    Measure("lost", "count", "requests that died with their worker"),
    Measure("timeout", "count", "requests whose client gave up"),
    Measure("unfinished", "count", "requests whose client still waits"),
    Measure("redispatched", "count", "requests that were handed over more than once"),
    Measure("kept", "share", "requests of known sessions that found their session"),
    Measure("moved", "count", "requests whose session was elsewhere"),
)

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


def measure(run: "Run", warmup: int = 0) -> dict[str, float]:
    """Return all figures of a run.

    Parameters
    ----------
    run : Run
    warmup : int, default 0
        How many of the first requests are left out; the shares of time begin with the first
        request that is not.

    Returns
    -------
    dict
        By the names in `MEASURES`. NaN where there is nothing to measure (latencies of a run
        without answers, `kept` without sessions).
    """
    latency = run.latency[warmup:]
    latency = latency[~np.isnan(latency)]
    figures = {"mean": float(latency.mean()) if len(latency) else np.nan}
    for name, q in _QUANTILES.items():
        figures[name] = float(np.quantile(latency, q)) if len(latency) else np.nan
    figures["worst"] = float(latency.max()) if len(latency) else np.nan
    figures.update(_of_workers(run, warmup))
    outcomes = np.bincount(run.outcome[warmup:], minlength=len(record.OUTCOMES))
    figures["answered"] = float(outcomes[record.OK]) / max(1, len(run) - warmup)
    for name, code in (
        ("shed", record.SHED),
        ("lost", record.LOST),
        ("timeout", record.TIMEOUT),
        ("unfinished", record.UNFINISHED),
    ):
        figures[name] = float(outcomes[code])
    figures["redispatched"] = float((run.n_attempts[warmup:] > 1).sum())
    figures.update(_of_sessions(run, warmup))
    return {m.name: figures[m.name] for m in MEASURES}


def _of_workers(run: "Run", warmup: int) -> dict[str, float]:
    """Return the shares of time, from the first request after the warm-up to the last one.

    What happens after the last arrival is left out: workers that run dry then say nothing of
    the policy.
    """
    begin = float(np.nanmin(run.arrival[warmup:])) if len(run) > warmup else 0.0
    end = float(np.nanmax(run.arrival[warmup:])) if len(run) > warmup else 0.0
    names = ("utilisation", "imbalance", "idle_while_waiting", "jain")
    if not end > begin:
        return dict.fromkeys(names, np.nan)
    n = run.cluster.workers
    seen = occupancy(
        *stays(run),
        n_workers=n,
        concurrency=run.cluster.concurrency if run.cluster.discipline == "fcfs" else 1,
        down=run.down_spans(),
        begin=begin,
        end=end,
    )
    busy = seen.utilisation
    is_used = bool(busy.any())
    return {
        "utilisation": float(busy.mean()),
        "imbalance": imbalance(busy) if is_used else np.nan,
        "idle_while_waiting": seen.idle_while_waiting,
        "jain": jain(busy) if is_used else np.nan,
    }


def stays(run: "Run") -> tuple[np.ndarray, ...]:
    """Return when each handover's request was at the master, came, began, ended, and where.

    A copy is at the master from its request's arrival (a retry or hedge: from its handover), and
    again from its worker's death. Requests that were never handed over come last.

    Returns
    -------
    at_master, dispatched, started, ended, worker : ndarray, shape (n,)
        Seconds, NaN for what did not happen.
    """
    rows = run.record.handovers
    is_first = np.ones(len(rows.ticket), bool)
    is_first[1:] = rows.ticket[1:] != rows.ticket[:-1]
    sent = np.where(np.isnan(rows.dispatched), rows.ended, rows.dispatched)
    at_master = np.where(
        rows.ticket % run.copies == 0, run.arrival[rows.ticket // run.copies], sent
    )
    at_master[1:][~is_first[1:]] = rows.ended[:-1][~is_first[1:]]
    never = np.flatnonzero(run.record.answer < 0)
    nothing = np.full(len(never), np.nan)
    return (
        np.concatenate([at_master, run.arrival[never]]),
        np.concatenate([rows.dispatched, nothing]),
        np.concatenate([rows.started, nothing]),
        np.concatenate([rows.ended, run.finished[never]]),
        np.concatenate([rows.worker, np.zeros(len(never), np.int64)]),
    )


def _of_sessions(run: "Run", warmup: int) -> dict[str, float]:
    """Return how often a session was where its request went."""
    key = run.workload.key
    served = (run.worker >= 0) & (key >= 0)
    moved = run.miss & served
    _, first = np.unique(np.where(served, key, -1), return_index=True)
    known = served.copy()
    known[first] = False
    known[:warmup] = False
    moved[:warmup] = False
    visits = int((known | moved).sum())
    return {
        "kept": 1.0 - float(moved.sum()) / visits if visits else np.nan,
        "moved": float(moved.sum()),
    }

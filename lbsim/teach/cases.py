"""Traces in which something is wrong: for the exercise that asks what.

Each is a simulated day at a small site with four workers, as a table of what an operator can
know: no service times of requests that were not served, no schedule of faults.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lbsim.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from lbsim.policy import Policy
    from lbsim.run import Run
    from lbsim.workload import Workload

__all__ = ["CASES", "CAUSES", "Truth", "case", "truth"]

CASES = ("a", "b", "c", "d")
CAUSES = ("slow worker", "hot session", "blocking kind", "too little capacity")
COLUMNS = ["arrival", "key", "kind", "worker", "dispatched", "started", "finished", "latency"]
WORKERS, REQUESTS = 4, 6000
SLOW, SINCE = 2, 12.0  # case a: which worker, from when on


@dataclass(frozen=True)
class Truth:
    """What is wrong in a case: the answer of the exercise."""

    cause: str
    worker: int | None = None
    since: float | None = None
    key: int | None = None
    kind: int | None = None


def case(name: str) -> "pd.DataFrame":
    """Return the trace of a case: one row per request, times in seconds.

    Parameters
    ----------
    name : {"a", "b", "c", "d"}

    Returns
    -------
    DataFrame
        Columns ``arrival``, ``key`` (session), ``kind``, ``worker``, ``dispatched`` (handed to
        that worker), ``started`` (its service began), ``finished``, ``latency``.
    """
    return _run(name).frame()[COLUMNS]


def truth(name: str) -> Truth:
    """Return what is wrong in a case."""
    run = _run(name)
    if name == "a":
        return Truth("slow worker", worker=SLOW, since=SINCE)
    if name == "b":
        key, worker = _hottest(run)
        return Truth("hot session", worker=worker, key=key)
    if name == "c":
        return Truth("blocking kind", kind=1)
    return Truth("too little capacity")


@functools.lru_cache(maxsize=len(CASES))
def _run(name: str) -> "Run":
    from lbsim import policies
    from lbsim.cluster import Cluster
    from lbsim.faults import SlowDown
    from lbsim.simulate import simulate
    from lbsim.workload import Deterministic, Exponential, Kind, Sessions, Workload

    if name not in CASES:
        raise InputError(f"case = {name!r} is not known; give one of {', '.join(CASES)}")
    cluster = Cluster(WORKERS)
    service, load, mix = Exponential(0.010), 0.6, None
    policy: Policy = policies.RoundRobin()
    if name == "a":
        cluster = Cluster(WORKERS, faults=[SlowDown(SLOW, SINCE, np.inf, 0.55)])
    elif name == "b":
        policy = policies.Sticky()
    elif name == "c":
        mix = {"page": Kind(0.98, Exponential(0.005)), "export": Kind(0.02, Deterministic(0.4))}
        load = 0.65
    else:
        load = 0.97
    workload = Workload.synthetic(
        REQUESTS,
        service=None if mix else service,
        kinds=mix,
        sessions=Sessions(300, zipf=0.4),
        load=load,
        cluster=cluster,
        seed=31,
    )
    if name == "b":
        workload = _with_a_hot_session(workload)
    return simulate(workload, policy, cluster, seed=31)


def _with_a_hot_session(workload: "Workload") -> "Workload":
    """Let one session (a crawler, say) send a third of all requests."""
    from lbsim.workload import Workload

    rng = np.random.default_rng(32)
    key = np.where(rng.random(len(workload)) < 0.36, workload.key[0], workload.key)
    return Workload.from_arrays(workload.arrival, workload.cpu, key=key, name="case b")


def _hottest(run: "Run") -> tuple[int, int]:
    keys, counts = np.unique(run.workload.key, return_counts=True)
    key = int(keys[np.argmax(counts)])
    return key, int(np.bincount(run.worker[run.workload.key == key]).argmax())

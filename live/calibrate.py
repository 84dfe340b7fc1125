"""Measure what this machine costs: ``live calibrate``.

Small experiments with the real server, none of them with a queue whose length would have to be
explained:

- *sparse*: requests that always find an idle worker. From when one is due until its handler
  begins, less the master's own part, is `before`; from there to the client, less the work, `rest`.
- *burst*: many requests at once. Then no worker is ever without work, and the time between two
  ends at one of them, less the work, is what a request occupies it beyond its work: `overrun`.
  Once with the requests waiting at the worker, once with acknowledgements, and once with the
  requests held by the master, which must hear of each end before it hands over the next.
- *flood*: trivial requests faster than the master can take them, so that it is never woken for a
  single one, to see its processor time, of which the kernel keeps the account
  (/proc/PID/schedstat).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lbsim import policies
from lbsim.calibration import REGIMES, Calibration
from lbsim.cluster import Cluster
from lbsim.faults import Crash, Faults
from lbsim.policy import Policy
from lbsim.workload import Workload
from live.client import Task, replay
from live.machine import facts
from live.measured import MeasuredRun
from live.measuring import measure, measure_against, server
from live.peers import node_cluster

__all__ = ["calibrate", "calibrate_node"]

REGIME_POLICIES: dict[str, Policy] = {
    "queued": policies.RoundRobin(),
    "acknowledged": policies.NodeCluster(),
    "held": policies.CentralQueue(),
}
WORKS = (0.002, 0.005, 0.010, 0.020)  # seconds, mixed at random in a burst
BURST_WORKERS = 4
LEVELS = 101  # quantiles kept of each spread
SPARSE_RATE = 150.0  # requests a second
SPARSE_WORKERS = 8
WORK_S = 0.005  # long against the costs, short enough for many
FLOOD_RATE = 20_000.0  # requests a second: more than anybody can take
PAYLOAD = 50_000.0  # bytes; less than the master holds of a body


def calibrate(
    seconds: float = 12.0, mode: str = "pass", say: Callable[[str], None] = lambda _: None
) -> Calibration:
    """Measure what a master and workers cost on this machine.

    Parameters
    ----------
    seconds : float, default 12
        About how long to measure.
    mode : {"pass", "message"}
        How requests get to workers (`live.options.Options`).
    say : callable, optional
        Is told what is being done.

    Returns
    -------
    Calibration
    """
    say("calibrating: a busy worker")
    overrun, accepts = {}, []
    for regime, policy in REGIME_POLICIES.items():
        gaps, accept = _burst(measured(policy, BURST_WORKERS, mode), 0.12 * seconds)
        overrun[regime] = _spread(gaps)
        accepts.append(accept)
    worker_accept_s = accepts[0]
    say("calibrating: a busy master")
    accept_s, whole_s, per_byte_s = _flood(0.2 * seconds, mode)
    say("calibrating: requests that find an idle worker")
    least = policies.LeastConnections()
    before, rest = _sparse(measured(least, SPARSE_WORKERS, mode), 0.35 * seconds)
    say("calibrating: a worker's death")
    return Calibration(
        accept_s=accept_s,
        dispatch_s=max(0.0, whole_s - accept_s),
        per_byte_s=per_byte_s,
        worker_accept_s=worker_accept_s,
        overrun=overrun,
        # What the simulator adds by itself is not a part of the way.
        before=_spread(np.maximum(0.0, before - whole_s - worker_accept_s)),
        rest=_spread(rest),
        restart_s=_restart(),
        machine=facts(),
    )


def calibrate_node(
    scheduling: str, seconds: float = 6.0, say: Callable[[str], None] = lambda _: None
) -> Calibration:
    """Measure what Node.js's cluster costs on this machine, as far as its clients can see it.

    Parameters
    ----------
    scheduling : {"rr", "none"}
    seconds : float, default 6
    say : callable, optional

    Returns
    -------
    Calibration
        Its master's processor time is a part of `before`, since Node's cannot be asked for each
        request; `overrun` is the same in all regimes, since the scheduling is what it is.
    """

    def run(workload: Workload, workers: int) -> MeasuredRun:
        cluster = Cluster(workers, discipline="event_loop")
        with node_cluster(workers, scheduling) as peer:
            url = f"http://{peer.address[0]}:{peer.address[1]}"
            return measure_against(workload, url, policies.NodeCluster(), cluster, pids=peer.pids)

    say("calibrating Node: a busy worker")
    gaps, _ = _burst(lambda workload: run(workload, BURST_WORKERS), 0.3 * seconds)
    say("calibrating Node: requests that find an idle worker")
    before, rest = _sparse(lambda workload: run(workload, SPARSE_WORKERS), 0.6 * seconds)
    return Calibration(
        0.0, 0.0, 0.0, 0.0, dict.fromkeys(REGIMES, _spread(gaps)),
        _spread(np.maximum(0.0, before)), _spread(rest), 0.0, facts(),
    )  # fmt: skip


def measured(policy: Policy, workers: int, mode: str) -> Callable[[Workload], MeasuredRun]:
    """Return what measures a workload with our own server."""
    cluster = Cluster(workers, discipline="event_loop")
    return lambda workload: measure(workload, policy, cluster, mode=mode)


def _burst(run: Callable[[Workload], MeasuredRun], seconds: float) -> tuple[np.ndarray, float]:
    """Return by how much each request occupied its worker beyond its work, and an accept."""
    mean = sum(WORKS) / len(WORKS)
    works = np.resize(WORKS, BURST_WORKERS * max(20, int(seconds / mean)))
    works = np.random.default_rng(1).permutation(works)
    found = run(Workload.from_arrays(np.arange(len(works)) * 1e-5, works, name="burst"))
    rows = found.record.handovers
    gaps, accepts = [], []
    for worker in np.unique(rows.worker):
        mine = np.flatnonzero(rows.worker == worker)
        mine = mine[np.argsort(rows.started[mine])]
        gaps.append(np.diff(rows.ended[mine]) - found.workload.cpu[rows.ticket[mine]][1:])
        if found.stamps is not None:
            accepts.append(np.diff(np.sort(found.stamps["accepted"][mine])))
    steps = np.concatenate(accepts) if accepts else np.zeros(0)
    # Connections taken in one turn of the loop follow each other without work between.
    steps = steps[steps < 0.5 * min(WORKS)]
    return np.concatenate(gaps), float(np.median(steps)) if len(steps) else 0.0


def _sparse(
    run: Callable[[Workload], MeasuredRun], seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return how long requests were on their way to idle workers, and the rest without work."""
    workload = Workload.synthetic(
        max(100, int(seconds * SPARSE_RATE)), service=WORK_S, rate=SPARSE_RATE, seed=2
    )
    found = run(workload)
    rows = found.record.handovers
    idle = np.ones(len(workload), bool)
    for worker in np.unique(rows.worker):
        mine = np.flatnonzero(rows.worker == worker)
        mine = mine[np.argsort(rows.started[mine])]
        # Whoever came while the one before was served had to wait for it.
        waited = rows.dispatched[mine][1:] < rows.ended[mine][:-1]
        idle[rows.ticket[mine][1:][waited]] = False
    before = (found.started - found.arrival)[idle]
    rest = (found.finished - found.started - WORK_S)[idle]
    return before, rest


def _flood(seconds: float, mode: str) -> tuple[float, float, float]:
    """Return the master's seconds to accept and decide, for everything, and for a byte more."""
    small, accept_s = _master_time(seconds / 2, 0.0, mode)
    large, _ = _master_time(seconds / 2, PAYLOAD, mode)
    return min(accept_s, small), small, max(0.0, (large - small) / PAYLOAD)


def _master_time(seconds: float, payload: float, mode: str) -> tuple[float, float]:
    """Return the master's processor time a request, and the part until it had decided."""
    n = max(500, int(2000 * seconds))
    workload = Workload.from_arrays(
        np.arange(n) / FLOOD_RATE, np.zeros(n), payload=np.full(n, payload), name="flood"
    )
    cluster = Cluster(2, discipline="event_loop")
    with server(policies.LeastConnections(), cluster, mode=mode) as running:
        before = _processor_time(running.crew.master_pid)
        seen = replay(Task.of(workload, running.crew.address))
        spent = _processor_time(running.crew.master_pid) - before
        stamps, _ = running.stop(seen.start)
    return spent / n, float(np.median(stamps["decided"] - stamps["accept"]))


def _processor_time(pid: int) -> float:
    """Return the seconds that a process has been on a processor, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) * 1e-9


def _restart() -> float:
    """Return the median time from a worker's death until its successor is up."""
    crashes = [Crash(worker, 0.1 + 0.3 * worker) for worker in range(3)]
    cluster = Cluster(4, discipline="event_loop", faults=Faults(*crashes))
    n = 30
    run = measure(
        Workload.from_arrays(np.arange(n) * 0.1, np.full(n, 1e-3)),
        policies.RoundRobin(),
        cluster,
    )
    down = [end - begin for _, begin, end in run.down_spans() if np.isfinite(end)]
    return float(np.median(down))


def _spread(values: np.ndarray) -> tuple[float, ...]:
    values = values[~np.isnan(values)]
    return tuple(np.quantile(values, np.linspace(0.0, 1.0, LEVELS)).tolist())

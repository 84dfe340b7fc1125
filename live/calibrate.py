"""Measure what this machine costs: ``python -m live calibrate``.

Three small experiments with the real server, none of them with a queue whose length would have
to be explained:

- *sparse*: requests that always find an idle worker. From when one is due until its handler
  begins, less the master's own part, is `before`; from the handler's end to the client, `after`.
- *burst*: many requests at once for one worker. Then the worker is never idle, and the time
  between two ends, less the work, is what a request occupies it beyond its work: `overrun`.
- *flood*: trivial requests as fast as they come, to see the master's processor time, of which the
  kernel keeps the account (/proc/PID/schedstat).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lbsim import policies
from lbsim.calibration import Calibration
from lbsim.cluster import Cluster
from lbsim.faults import Crash, Faults
from lbsim.workload import Workload
from live.client import Task, replay
from live.machine import facts
from live.measured import MeasuredRun
from live.measuring import measure, server

__all__ = ["calibrate"]

LEVELS = 101  # quantiles kept of each spread
SPARSE_RATE = 150.0  # requests a second
SPARSE_WORKERS = 8
WORK_S = 0.005  # long against the costs, short enough for many
FLOOD_RATE = 1500.0  # requests a second
PAYLOAD = 50_000.0  # bytes; less than the master holds of a body


def calibrate(seconds: float = 12.0, say: Callable[[str], None] = lambda _: None) -> Calibration:
    """Measure what a master and workers cost on this machine.

    Parameters
    ----------
    seconds : float, default 12
        About how long to measure.
    say : callable, optional
        Is told what is being done.

    Returns
    -------
    Calibration
    """
    say("calibrating: a busy worker")
    overrun, worker_accept_s = _burst(0.2 * seconds)
    say("calibrating: a busy master")
    accept_s, whole_s, per_byte_s = _flood(0.3 * seconds)
    say("calibrating: requests that find an idle worker")
    before, after = _sparse(0.5 * seconds)
    say("calibrating: a worker's death")
    spread = _spread(overrun)
    in_loop = float(np.mean(spread)) - worker_accept_s
    return Calibration(
        accept_s=accept_s,
        dispatch_s=max(0.0, whole_s - accept_s),
        per_byte_s=per_byte_s,
        worker_accept_s=worker_accept_s,
        overrun=spread,
        # What the simulator adds by itself is not a part of the way.
        before=_spread(np.maximum(0.0, before - whole_s - worker_accept_s)),
        after=_spread(after - in_loop),
        restart_s=_restart(),
        machine=facts(),
    )


def _burst(seconds: float) -> tuple[np.ndarray, float]:
    """Return by how much each request occupied its worker beyond its work, and an accept."""
    works = np.resize([0.002, 0.005, 0.010, 0.020], max(40, int(seconds / 0.00925)))
    works = np.random.default_rng(1).permutation(works)
    workload = Workload.from_arrays(np.arange(len(works)) * 1e-5, works, name="burst")
    run = measure(workload, policies.RoundRobin(), workers=1)
    rows = run.record.handovers
    order = np.argsort(rows.started)
    gaps = np.diff(rows.ended[order]) - workload.cpu[rows.ticket[order]][1:]
    accepts = np.diff(np.sort(_stamps(run)["accepted"]))
    # Connections taken in one turn of the loop follow each other without work between them.
    return gaps, float(np.median(accepts[accepts < 0.5 * works.min()]))


def _sparse(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how long requests were on their way to idle workers, and back beyond their work."""
    cluster = Cluster(SPARSE_WORKERS, discipline="event_loop")
    workload = Workload.synthetic(
        max(100, int(seconds * SPARSE_RATE)), service=WORK_S, rate=SPARSE_RATE, seed=2
    )
    run = measure(workload, policies.LeastConnections(), cluster)
    phases = run.breakdown()
    idle = (phases["queue"] == 0.0).to_numpy()
    before = (run.started - run.arrival)[idle]
    after = (run.finished - run.started - WORK_S)[idle]
    return before, after


def _flood(seconds: float) -> tuple[float, float, float]:
    """Return the master's seconds to accept and decide, for everything, and for a byte more."""
    small, accept_s = _master_time(seconds / 2, 0.0)
    large, _ = _master_time(seconds / 2, PAYLOAD)
    return min(accept_s, small), small, max(0.0, (large - small) / PAYLOAD)


def _master_time(seconds: float, payload: float) -> tuple[float, float]:
    """Return the master's processor time a request, and the part until it had decided."""
    n = max(200, int(seconds * FLOOD_RATE))
    workload = Workload.from_arrays(
        np.arange(n) / FLOOD_RATE, np.zeros(n), payload=np.full(n, payload), name="flood"
    )
    with server(policies.LeastConnections(), Cluster(2, discipline="event_loop")) as running:
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


def _stamps(run: MeasuredRun) -> np.ndarray:
    assert run.stamps is not None
    return run.stamps

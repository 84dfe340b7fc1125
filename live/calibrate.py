"""Measure what this machine costs: ``live calibrate``.

Small experiments with the real server, none of them with a queue whose length would have to be
explained:

- *sparse*: requests that find an idle worker, at several rates, each of them in several turns. From
  when one is due until its handler begins, less the master's own part, is `before`; from there to
  the client, less the work, `rest`. How long the load generator took meanwhile to make a
  socket, and how much the turns differ beside that, is kept too.
- *busy*: requests at high load. Of those that were there when their worker had done with the one
  before, the time between the two ends, less the work, is what a request occupies a worker beyond
  its work. That depends on whether its worker's loop found it in a turn between the two, and how
  many it found: a part for such a turn, a part for each connection found (least squares), and what
  remains is `overrun`. Once with the requests waiting at the worker, once with acknowledgements,
  and once with the requests held by the master, which must hear of each end before it hands over
  the next. Of Node.js's workers, which acknowledge a connection before they set it up, also how
  often the next was accepted before the handler of this one ran.
- *flood*: trivial requests faster than the master can take them, so that it is never woken for a
  single one, to see its processor time, of which the kernel keeps the account
  (/proc/PID/schedstat).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lbsim import policies
from lbsim.calibration import REGIMES, Calibration
from lbsim.cluster import Cluster
from lbsim.faults import Crash, Faults
from lbsim.policy import Policy
from lbsim.workload import Workload
from live.experiments.busy import BUSY_WORKERS, busy_worker
from live.experiments.common import Runner, measured, undisturbed
from live.experiments.flood import busy_master, flood_of, master_time
from live.experiments.sparse import SPARSE_WORKERS, idle_worker
from live.machine import facts
from live.measured import MeasuredRun
from live.measuring import measure, measure_against
from live.peers import node_cluster

__all__ = ["calibrate", "calibrate_again", "calibrate_node"]

REGIME_POLICIES: dict[str, Policy] = {
    "queued": policies.LeastConnections(),
    "acknowledged": policies.NodeCluster(),
    "held": policies.CentralQueue(),
}
SETUP = 1.5  # of the primary's time for the next: surely longer, if it has nothing else to do


def calibrate(
    seconds: float = 12.0, mode: str = "pass", say: Callable[[str], None] = lambda _: None
) -> Calibration:
    """Measure what a master and workers cost on this machine.

    Parameters
    ----------
    seconds : float, default 12
        About how long to measure.
    mode : {"pass", "message", "shared", "reuseport"}
        How requests get to workers (`live.options.Options`). In the last two no master has a part,
        and nothing but `overrun` and the ways is measured.
    say : callable, optional
        Is told what is being done.

    Returns
    -------
    Calibration
    """
    if mode in ("shared", "reuseport"):
        busy, sparse = (
            measured(policies.SharedAccept(), workers, mode)
            for workers in (BUSY_WORKERS, SPARSE_WORKERS)
        )
        return _without_asking(busy, sparse, seconds / 2, say)
    say("calibrating: a busy worker")
    found = {
        regime: busy_worker(measured(policy, BUSY_WORKERS, mode), 0.2 * seconds)
        for regime, policy in REGIME_POLICIES.items()
    }
    say("calibrating: a busy master")
    accept_s, whole_s, per_byte_s = busy_master(0.2 * seconds, mode)
    say("calibrating: a worker's death")
    restart_s = _restart()
    say("calibrating: requests that find an idle worker")
    least = measured(policies.LeastConnections(), SPARSE_WORKERS, mode)
    ways = idle_worker(least, 0.45 * seconds)
    now = {regime: busy.when(ways["making"]) for regime, busy in found.items()}
    worker_accept_s, worker_turn_s = taking = now["queued"].taking()
    ways["before"] = _less(ways["before"], whole_s + worker_accept_s + worker_turn_s)
    ways["is_quiet"] &= all(busy.is_quiet for busy in found.values())
    return Calibration(
        accept_s=accept_s,
        dispatch_s=whole_s - accept_s,
        per_byte_s=per_byte_s,
        worker_accept_s=worker_accept_s,
        worker_turn_s=worker_turn_s,
        overrun={regime: busy.overrun(*taking) for regime, busy in now.items()},
        restart_s=restart_s,
        machine=facts(),
        **ways,
    )


def calibrate_again(
    known: Calibration,
    seconds: float = 3.0,
    mode: str = "pass",
    say: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Measure the ways of requests anew; all other figures are `known`.

    Parameters
    ----------
    known : Calibration
    seconds : float, default 3
    mode, say
        As for `calibrate`.

    Returns
    -------
    Calibration
        `lbsim.calibration.Calibration.pooled` takes it together with what was known.
    """
    say("calibrating: requests that find an idle worker")
    least = measured(policies.LeastConnections(), SPARSE_WORKERS, mode)
    ways = idle_worker(least, seconds)
    # What is not measured again follows how long making a socket takes, as in a prediction.
    now = np.mean([ways["making"][rate] / known.making[rate] for rate in known.making] or [1.0])
    singles = ("accept_s", "dispatch_s", "worker_accept_s", "worker_turn_s")
    costs: dict[str, Any] = {name: float(now * getattr(known, name)) for name in singles}
    overrun = {
        regime: tuple((now * np.array(spread)).tolist()) for regime, spread in known.overrun.items()
    }
    ways["before"] = _less(ways["before"], sum(costs.values()))
    ways["is_quiet"] &= known.is_quiet
    return replace(known, overrun=overrun, **costs, **ways)


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
        All of its master's processor time is in `dispatch_s`, since Node's cannot be asked for
        each request; `overrun` is the same in all regimes, since the scheduling is what it is.
    """
    say("calibrating: Node.js compiles")
    cluster = Cluster(SPARSE_WORKERS, discipline="event_loop")
    with node_cluster(cluster.workers, scheduling) as peer:

        @undisturbed
        def run(workload: Workload) -> MeasuredRun:
            return measure_against(
                workload, peer.url, policies.NodeCluster(), cluster, pids=peer.pids
            )

        master_s = 0.0
        if scheduling == "rr":
            say("calibrating: a busy master")
            master_s, _ = master_time(flood_of(0.1 * seconds, 0.0), peer.address, peer.master)
        return _without_asking(run, run, seconds, say, cluster.workers, master_s)


def _without_asking(
    run_busy: Runner,
    run_sparse: Runner,
    seconds: float,
    say: Callable[[str], None],
    busy_workers: int = BUSY_WORKERS,
    master_s: float = 0.0,
) -> Calibration:
    """Measure what can be seen without asking a master, with what runs a workload."""
    say("calibrating: a busy worker")
    busy = busy_worker(run_busy, 0.3 * seconds, busy_workers)
    say("calibrating: requests that find an idle worker")
    ways = idle_worker(run_sparse, 0.6 * seconds)
    setup_s = SETUP * master_s
    ways["before"] = _less(ways["before"], master_s + busy.overtaking * setup_s)
    ways["is_quiet"] &= busy.is_quiet
    return Calibration(
        accept_s=0.0,
        dispatch_s=master_s,
        per_byte_s=0.0,
        worker_accept_s=0.0,
        worker_turn_s=0.0,
        worker_setup_s=setup_s,
        setup_share=busy.overtaking if setup_s > 0.0 else 0.0,
        overrun=dict.fromkeys(REGIMES, busy.when(ways["making"]).overrun()),
        restart_s=0.0,
        machine=facts(),
        **ways,
    )


def _less(spreads: dict[float, tuple[float, ...]], part: float) -> dict[float, tuple[float, ...]]:
    """Return spreads without what the simulator adds by itself."""
    return {
        rate: tuple(np.maximum(0.0, np.array(spread) - part).tolist())
        for rate, spread in spreads.items()
    }


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

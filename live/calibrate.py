"""Measure what this machine costs: ``live calibrate``.

Small experiments with the real server, none of them with a queue whose length would have to be
explained:

- *sparse*: requests that find an idle worker, at several rates, each of them in several turns. From
  when one is due until its handler begins, less the master's and the worker's own parts, is
  `before`; from there to the client, less the work, `rest`. How long the load generator took
  meanwhile to make a socket, and how much the turns differ beside that, is kept too.
- *busy*: requests at high load, for each number of workers. Of those that were there when
  their worker had done with the one before, the time between the two ends, less the work, is what a
  request occupies a worker beyond its work. That depends on whether its worker's loop found it in a
  turn between the two, and how many it found: a part for such a turn, a part for each connection
  found (least squares), and what remains is `overrun`. Once with the requests waiting at the
  worker, once with acknowledgements, and once with the requests held by the master, which must hear
  of each end before it hands over the next. Where no master of ours has a part, the worker's
  time for a connection before its handler is what its own stamps say in *sparse*, since one that
  is idle has that to do as well. Of Node.js's workers, which acknowledge a connection
  before they set it up, also how often the next was accepted before the handler of this one ran.
  How much of a cost neighbours have in common is kept too (`lbsim.bunches`).
- *herd*: a connection for which many processes wake, to see how far apart they look for it.
- *flood*: trivial requests faster than the master can take them, so that it is never woken for a
  single one, to see its processor time, of which the kernel keeps the account
  (/proc/PID/schedstat). Then its workers are killed, to see how long they take to come back.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from lbsim import policies
from lbsim.calibration import Calibration
from lbsim.cluster import Cluster
from lbsim.costs import REGIMES
from lbsim.policy import Policy
from live.experiments.busy import bunched_of, busy_workers, makings_of, overruns_of, unsure_of
from live.experiments.common import (
    Runner,
    connected,
    decided_by_master,
    decided_unseen,
    measured,
    undisturbed,
)
from live.experiments.flood import busy_master, flood_of, master_time
from live.experiments.herd import herd
from live.experiments.sparse import idle_worker
from live.machine import facts
from live.measured import MeasuredRun
from live.measuring import measure_against
from live.peers import node_cluster
from live.peers.node import Peer

__all__ = ["WORKERS", "calibrate", "calibrate_again", "calibrate_node"]

WORKERS = (4, 8)
"""How many workers are calibrated: those of clusters of other sizes cost about as much at the same
rate of requests."""

REGIME_POLICIES: dict[str, Policy] = {
    "queued": policies.LeastConnections(),
    "acknowledged": policies.NodeCluster(),
    "held": policies.CentralQueue(),
}
SETUP = 1.5  # of the primary's time for the next: surely longer, if it has nothing else to do


def calibrate(
    seconds: float = 12.0,
    mode: str = "pass",
    say: Callable[[str], None] = lambda _: None,
    seed: int = 1,
    workers: Sequence[int] = WORKERS,
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
    seed : int, default 1
        Of the experiments' arrivals and work. Calibrations to be pooled should each have their own.
    workers : sequence of int, default (4, 8)
        How many: those of the clusters that are to be predicted, if that is known.

    Returns
    -------
    Calibration
    """
    rng = np.random.default_rng(seed)
    if mode in ("shared", "reuseport"):
        runs = _servers(policies.SharedAccept(), mode, workers)
        return _without_asking(runs, seconds / 2, rng, say, connected)
    say("calibrating: busy workers")
    found = {
        regime: busy_workers(_servers(policy, mode, workers), 0.2 * seconds, rng)
        for regime, policy in REGIME_POLICIES.items()
    }
    say("calibrating: a busy master")
    master = busy_master(0.2 * seconds, mode)
    say("calibrating: requests that find an idle worker")
    least = measured(policies.LeastConnections(), max(workers), mode)
    ways, _ = idle_worker(least, max(workers), 0.45 * seconds, rng, decided_by_master)
    ways["making"] |= makings_of([busy for several in found.values() for busy in several])
    now = {
        regime: [busy.when(ways["making"]) for busy in several] for regime, several in found.items()
    }
    dispatch_s = master.whole_s - master.accept_s
    # An idle worker does all that between the decision and its handler, and three of four need more
    # time, since they must wake.
    quickly_s = min(float(np.quantile(of, 0.25)) for of in ways["waking"].values())
    most_s = max(0.0, quickly_s - dispatch_s)
    # Where they are least in each other's way.
    worker_accept_s, worker_turn_s = taking = now["queued"][0].taking(most_s)
    ways["before"] = _less(ways["before"], master.accept_s)
    ways["waking"] = _less(ways["waking"], dispatch_s + worker_accept_s + worker_turn_s)
    ways["is_quiet"] &= all(busy.is_quiet for several in found.values() for busy in several)
    overrun = {regime: overruns_of(several, *taking) for regime, several in now.items()}
    return Calibration(
        accept_s=master.accept_s,
        dispatch_s=dispatch_s,
        per_byte_s=master.per_byte_s,
        worker_accept_s=worker_accept_s,
        worker_turn_s=worker_turn_s,
        overrun=overrun,
        unsure={regime: unsure_of(several, overrun[regime]) for regime, several in now.items()},
        bunched={regime: bunched_of(several) for regime, several in now.items()},
        restart_s=master.restart_s,
        machine=facts(),
        **ways,
    )


def calibrate_again(
    known: Calibration,
    seconds: float = 3.0,
    mode: str = "pass",
    say: Callable[[str], None] = lambda _: None,
    seed: int = 2,
    workers: int = max(WORKERS),
) -> Calibration:
    """Measure the ways of requests anew; all other figures are `known`.

    Parameters
    ----------
    known : Calibration
        Which `calibrate` has returned.
    seconds : float, default 3
    mode, say, seed
        As for `calibrate`.
    workers : int, default 8

    Returns
    -------
    Calibration
        `lbsim.calibration.Calibration.pooled` takes it together with what was known.
    """
    say("calibrating: requests that find an idle worker")
    least = measured(policies.LeastConnections(), workers, mode)
    rng = np.random.default_rng(seed)
    ways, _ = idle_worker(least, workers, seconds, rng, decided_by_master)
    # What is not measured again follows how long making a socket takes, as in a prediction.
    making = ways["making"]
    now = np.mean([making[rate] / known.making[rate] for rate in making])
    ways["making"] = {rate: float(now * of) for rate, of in known.making.items()} | making
    singles = ("accept_s", "dispatch_s", "worker_accept_s", "worker_turn_s")
    costs: dict[str, Any] = {name: float(now * getattr(known, name)) for name in singles}
    overrun = {
        regime: {rate: tuple((now * np.array(of)).tolist()) for rate, of in of_rate.items()}
        for regime, of_rate in known.overrun.items()
    }
    accept_s, *after_it = costs.values()
    ways["before"] = _less(ways["before"], accept_s)
    ways["waking"] = _less(ways["waking"], sum(after_it))
    ways["is_quiet"] &= known.is_quiet
    return replace(known, overrun=overrun, **costs, **ways)


def calibrate_node(
    scheduling: str,
    seconds: float = 6.0,
    say: Callable[[str], None] = lambda _: None,
    seed: int = 1,
    peers: Mapping[int, Peer] | None = None,
    workers: Sequence[int] = WORKERS,
) -> Calibration:
    """Measure what Node.js's cluster costs on this machine, as far as its clients can see it.

    Parameters
    ----------
    scheduling : {"rr", "none"}
    seconds : float, default 6
    say, seed
        As for `calibrate`.
    peers : mapping of int to Peer, optional
        Clusters with this scheduling that run already, by how many workers they have. By default
        some are started.
    workers : sequence of int, default (4, 8)
        How many workers those have.

    Returns
    -------
    Calibration
        All of its master's processor time is in `dispatch_s`, since Node's cannot be asked for
        each request; `overrun` is the same in all regimes, since the scheduling is what it is.
    """
    with ExitStack() as started:
        if peers is None:
            say("calibrating: Node.js compiles")
            peers = {n: started.enter_context(node_cluster(n, scheduling)) for n in workers}
        master_s, decided_at = 0.0, connected
        if scheduling == "rr":
            say("calibrating: a busy master")
            flooded = peers[max(peers)]
            master_s, _ = master_time(flood_of(0.1 * seconds, 0.0), flooded.address, flooded.master)
            decided_at = partial(decided_unseen, master_s=master_s)
        herd_s = 0.0 if scheduling == "rr" else herd(max(peers))
        runs = {n: _node(peer, n) for n, peer in peers.items()}
        rng = np.random.default_rng(seed)
        found = _without_asking(runs, seconds, rng, say, decided_at, master_s)
        return replace(found, herd_s=herd_s)


def _node(peer: Peer, workers: int) -> Runner:
    """Return what measures a workload with a Node.js cluster."""
    cluster = Cluster(workers, discipline="event_loop")
    return undisturbed(
        lambda workload: measure_against(
            workload, peer.url, policies.NodeCluster(), cluster, pids=peer.pids
        )
    )


def _servers(policy: Policy, mode: str, workers: Sequence[int]) -> dict[int, Runner]:
    """Return what measures a workload with our own server, for each number of workers."""
    return {each: measured(policy, each, mode) for each in workers}


def _without_asking(
    runs: Mapping[int, Runner],
    seconds: float,
    rng: np.random.Generator,
    say: Callable[[str], None],
    decided_at: Callable[[MeasuredRun], np.ndarray],
    master_s: float = 0.0,
) -> Calibration:
    """Measure what can be seen without asking a master, with what runs a workload."""
    say("calibrating: busy workers")
    found = busy_workers(runs, 0.3 * seconds, rng)
    say("calibrating: requests that find an idle worker")
    ways, taking_s = idle_worker(runs[max(runs)], max(runs), 0.6 * seconds, rng, decided_at)
    ways["before"] = _less(ways["before"], master_s)
    ways["waking"] = _less(ways["waking"], taking_s)
    overtaking = float(np.mean([busy.overtaking for busy in found]))
    setup_s = SETUP * master_s
    taking_s = max(0.0, taking_s - overtaking * setup_s)  # which is a part of it
    ways["is_quiet"] &= all(busy.is_quiet for busy in found)
    ways["making"] |= makings_of(found)
    overrun = overruns_of(found, taking_s)
    return Calibration(
        accept_s=0.0,
        dispatch_s=master_s,
        per_byte_s=0.0,
        worker_accept_s=taking_s,
        worker_turn_s=0.0,
        worker_setup_s=setup_s,
        setup_share=overtaking if setup_s > 0.0 else 0.0,
        overrun=dict.fromkeys(REGIMES, overrun),
        unsure=dict.fromkeys(REGIMES, unsure_of(found, overrun)),
        bunched=dict.fromkeys(REGIMES, bunched_of(found)),
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

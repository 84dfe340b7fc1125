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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from lbsim import policies
from lbsim.calibration import REGIMES, Calibration
from lbsim.cluster import Cluster
from lbsim.engines.record import Handovers
from lbsim.faults import Crash, Faults
from lbsim.policy import Policy
from lbsim.spread import value_at_rate
from lbsim.workload import Workload
from live.client import Task, replay
from live.machine import facts
from live.measured import MeasuredRun
from live.measuring import measure, measure_against, server
from live.peers import node_cluster

__all__ = ["calibrate", "calibrate_again", "calibrate_node"]

REGIME_POLICIES: dict[str, Policy] = {
    "queued": policies.LeastConnections(),
    "acknowledged": policies.NodeCluster(),
    "held": policies.CentralQueue(),
}
WORKS = (0.002, 0.005, 0.010, 0.020)  # seconds, mixed at random
BUSY_WORKERS = 4
BUSY_LOAD = 0.9
COLD = 100  # the first requests after a server's start, which take it longer, are not looked at
SURELY_S = 0.002  # after which a request is surely at the master, and a worker surely idle
QUANTILES = 101  # kept of each spread
USUAL = 0.98  # the share of busy times that tell what a turn costs; the others were disturbed
SPARSE_RATES = {40.0: 0.4, 160.0: 0.3, 640.0: 0.3}  # requests a second: the share of a turn
SPARSE_TURNS = 4
SPARSE_WORKERS = 8
FLOOD_WORKERS = 2
FLOOD_RATE = 20_000.0  # requests a second: more than anybody can take
ATTEMPTS = 3  # at each of these experiments, if others take the processors
SETUP = 1.5  # of the primary's time for the next: surely longer, if it has nothing else to do
PAYLOAD = 50_000.0  # bytes; less than the master holds of a body


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
        regime: _busy(measured(policy, BUSY_WORKERS, mode), 0.2 * seconds)
        for regime, policy in REGIME_POLICIES.items()
    }
    say("calibrating: a busy master")
    accept_s, whole_s, per_byte_s = _flood(0.2 * seconds, mode)
    say("calibrating: a worker's death")
    restart_s = _restart()
    say("calibrating: requests that find an idle worker")
    least = measured(policies.LeastConnections(), SPARSE_WORKERS, mode)
    ways = _sparse(least, 0.45 * seconds)
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
    ways = _sparse(least, seconds)
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
            master_s, _ = _master_time(_flood_of(0.1 * seconds, 0.0), peer.address, peer.master)
        return _without_asking(run, run, seconds, say, cluster.workers, master_s)


def _without_asking(
    run_busy: Callable[[Workload], MeasuredRun],
    run_sparse: Callable[[Workload], MeasuredRun],
    seconds: float,
    say: Callable[[str], None],
    busy_workers: int = BUSY_WORKERS,
    master_s: float = 0.0,
) -> Calibration:
    """Measure what can be seen without asking a master, with what runs a workload."""
    say("calibrating: a busy worker")
    busy = _busy(run_busy, 0.3 * seconds, busy_workers)
    say("calibrating: requests that find an idle worker")
    ways = _sparse(run_sparse, 0.6 * seconds)
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


def measured(policy: Policy, workers: int, mode: str) -> Callable[[Workload], MeasuredRun]:
    """Return what measures a workload with our own server."""
    cluster = Cluster(workers, discipline="event_loop")
    return undisturbed(lambda workload: measure(workload, policy, cluster, mode=mode))


def undisturbed(run: Callable[[Workload], MeasuredRun]) -> Callable[[Workload], MeasuredRun]:
    """Return what runs a workload again if the machine was not ours alone meanwhile."""

    def until_quiet(workload: Workload) -> MeasuredRun:
        for _ in range(ATTEMPTS):
            found = run(workload)
            if found.disturbance.is_quiet:
                break
        return found

    return until_quiet


@dataclass(frozen=True)
class _Busy:
    """What requests tell that had to wait at busy workers, an element for each.

    Attributes
    ----------
    cost : ndarray of float64
        Seconds between the end of the one before and its own, without its work.
    found : ndarray of int
        How many connections its worker took in between, itself among them. 0: it had been taken
        before, or nobody knows.
    rate : float
        Of requests a second.
    making_s : float
        How long it took the load generator to make a socket, the median.
    overtaking : float
        How often the next connection was accepted before the handler of one ran, where the next
        had come to the master before that one was accepted.
    is_quiet : bool
        Whether nobody else took the processors.
    """

    cost: np.ndarray
    found: np.ndarray
    rate: float
    making_s: float
    overtaking: float = 0.0
    is_quiet: bool = True

    def when(self, making: Mapping[float, float]) -> "_Busy":
        """Return the same at the time when `making` was measured."""
        making_s = value_at_rate(making, self.rate)
        return replace(self, cost=self.cost * (making_s / self.making_s), making_s=making_s)

    def taking(self) -> tuple[float, float]:
        """Return what a worker needs for a connection that it takes, and for a turn beside that."""
        usual = self.cost <= np.quantile(self.cost, USUAL)
        found = self.found[usual]
        terms = np.column_stack([found, found > 0, np.ones(len(found))])
        # No part can be negative; in a short calibration on a busy machine one may well be zero.
        (each, turn, _), _ = nnls(terms, self.cost[usual])
        return float(each), float(turn)

    def overrun(self, each: float = 0.0, turn: float = 0.0) -> tuple[float, ...]:
        """Return the spread of the rest."""
        return _spread(self.cost - each * self.found - turn * (self.found > 0))


def _busy(
    run: Callable[[Workload], MeasuredRun], seconds: float, workers: int = BUSY_WORKERS
) -> _Busy:
    """Look at requests that had to wait at busy workers."""
    rng = np.random.default_rng(1)
    rate = BUSY_LOAD * workers / float(np.mean(WORKS))
    n = COLD + max(100, int(seconds * rate))
    works = rng.permutation(np.resize(WORKS, n))
    arrival = np.cumsum(rng.exponential(1.0 / rate, n))
    seen = run(Workload.from_arrays(arrival, works, name="busy"))
    rows = seen.record.handovers
    costs, founds, overtaking = [], [], []
    accepted_at = seen.replay.accepted - seen.replay.start
    for mine in _by_worker(rows):
        requests = rows.ticket[mine]
        cost = np.diff(rows.ended[mine]) - works[requests][1:]
        found = np.zeros(len(cost), np.int64)
        if seen.stamps is not None:
            accepted = np.sort(seen.stamps["accepted"][mine])
            found = np.searchsorted(accepted, rows.started[mine][1:], "right")
            found -= np.searchsorted(accepted, rows.ended[mine][:-1], "right")
        waited = seen.arrival[requests][1:] + SURELY_S < rows.ended[mine][:-1]
        chosen = waited & (requests[1:] >= COLD)
        overtaking.append(
            _overtaking(seen.arrival[requests], accepted_at[requests], rows.started[mine])
        )
        costs.append(cost[chosen])
        founds.append(found[chosen])
    return _Busy(
        np.concatenate(costs),
        np.concatenate(founds),
        rate,
        float(np.nanmedian(seen.making[COLD:])),
        _mean(np.concatenate(overtaking)),
        seen.disturbance.is_quiet,
    )


def _overtaking(arrival: np.ndarray, accepted: np.ndarray, started: np.ndarray) -> np.ndarray:
    """Say of connections of one worker whether the next one was accepted before their handler ran.

    Of those only for which that was a race: the next was at the master when they were accepted,
    and no handler ran between.
    """
    order = np.argsort(accepted)
    order = order[~np.isnan(accepted[order])]
    arrival, accepted, started = arrival[order], accepted[order], started[order]
    begun = np.sort(started)
    between = np.searchsorted(begun, started, "left") - np.searchsorted(begun, accepted, "right")
    was_race = (arrival[1:] + SURELY_S < accepted[:-1]) & (between[:-1] == 0)
    return (accepted[1:] < started[:-1])[was_race]


def _mean(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _sparse(run: Callable[[Workload], MeasuredRun], seconds: float) -> dict[str, Any]:
    """Look at requests that find idle workers.

    Returns
    -------
    dict
        `before`, `rest`, `making`, `levels` and `is_quiet` of a `Calibration`; but `before` has
        all the time until the worker begins.
    """
    rng = np.random.default_rng(2)
    top = max(SPARSE_RATES)
    gaps = [rng.exponential(1.0 / top, COLD)]
    rates, turns = [np.zeros(COLD)], [np.full(COLD, -1)]
    for turn in range(SPARSE_TURNS):
        for rate, share in SPARSE_RATES.items():
            n = max(10, int(seconds / SPARSE_TURNS * share * rate))
            gaps.append(rng.exponential(1.0 / rate, n))
            rates.append(np.full(n, rate))
            turns.append(np.full(n, turn))
    of_rate, of_turn = np.concatenate(rates), np.concatenate(turns)
    works = rng.choice(WORKS, len(of_rate))
    found = run(Workload.from_arrays(np.cumsum(np.concatenate(gaps)), works, name="sparse"))
    rows = found.record.handovers
    idle = np.ones(len(works), bool)
    for mine in _by_worker(rows):
        # Whoever came while the one before was served, or had just been, had to wait for it.
        waited = rows.dispatched[mine][1:] < rows.ended[mine][:-1] + SURELY_S
        idle[rows.ticket[mine][1:][waited]] = False
    before = found.started - found.arrival
    rest = found.finished - found.started - works
    own = {rate: idle & (of_rate == rate) for rate in SPARSE_RATES}
    making = {rate: float(np.nanmedian(found.making[of_rate == rate])) for rate in SPARSE_RATES}
    pace = np.ones(len(works))
    for turn in range(SPARSE_TURNS):
        for rate, usual in making.items():
            mine = (of_turn == turn) & (of_rate == rate)
            pace[mine] = np.nanmedian(found.making[mine]) / usual
    return {
        "before": {rate: _spread(before[mine]) for rate, mine in own.items()},
        "rest": {rate: _spread(rest[mine]) for rate, mine in own.items()},
        "making": making,
        "levels": _levels((before + rest) / pace, list(own.values()), of_turn),
        "is_quiet": found.disturbance.is_quiet,
    }


def _less(spreads: dict[float, tuple[float, ...]], part: float) -> dict[float, tuple[float, ...]]:
    """Return spreads without what the simulator adds by itself."""
    return {
        rate: tuple(np.maximum(0.0, np.array(spread) - part).tolist())
        for rate, spread in spreads.items()
    }


def _levels(times: np.ndarray, groups: list[np.ndarray], of_turn: np.ndarray) -> tuple[float, ...]:
    """Return how slow the machine was in each turn, relative to the mean.

    Medians differ by chance too, by about 1.25 σ / √n. Each turn's level is the mean over the
    groups, weighted by their precision. What chance is left in it stays in: of a few turns nobody
    can tell how much of their spread it is, and taking off too much would promise too much.
    """
    levels = []
    for turn in range(SPARSE_TURNS):
        found, weights = [], []
        for mine in groups:
            whole = np.nanmedian(times[mine])
            values = times[mine & (of_turn == turn)] / whole
            values = values[~np.isnan(values)]
            if len(values) >= 5:
                low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
                found.append(middle)
                weights.append(len(values) / max(1e-3, high - low) ** 2)
        if found:
            levels.append(float(np.average(found, weights=weights)))
    mean = float(np.mean(levels)) if levels else 1.0
    return tuple(level / mean for level in levels) or (1.0,)


def _by_worker(rows: Handovers) -> list[np.ndarray]:
    """Return the rows of each worker, in the order in which it began them."""
    order = np.argsort(rows.started, kind="stable")
    return [order[rows.worker[order] == worker] for worker in np.unique(rows.worker)]


def _flood(seconds: float, mode: str) -> tuple[float, float, float]:
    """Return the master's seconds to accept and decide, for everything, and for a byte more."""
    small, accept_s = _flooded(_flood_of(seconds / 2, 0.0), mode)
    large, _ = _flooded(_flood_of(seconds / 2, PAYLOAD), mode)
    return min(accept_s, small), small, max(0.0, (large - small) / PAYLOAD)


def _flooded(flood: Workload, mode: str) -> tuple[float, float]:
    """Return our master's processor time a request, and the part until it had decided."""
    cluster = Cluster(FLOOD_WORKERS, discipline="event_loop")
    with server(policies.LeastConnections(), cluster, mode=mode) as running:
        spent, start = _master_time(flood, running.crew.address, running.crew.master_pid)
        stamps, _ = running.stop(start)
    return spent, float(np.median(stamps["decided"] - stamps["accept"]))


def _flood_of(seconds: float, payload: float) -> Workload:
    n = max(500, int(2000 * seconds))
    return Workload.from_arrays(
        np.arange(n) / FLOOD_RATE, np.zeros(n), payload=np.full(n, payload), name="flood"
    )


def _master_time(flood: Workload, address: tuple[str, int], pid: int) -> tuple[float, float]:
    """Return a master's processor time a request, and when the flood began."""
    before = _processor_time(pid)
    seen = replay(Task.of(flood, address))
    return (_processor_time(pid) - before) / len(flood), seen.start


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
    return tuple(np.quantile(values, np.linspace(0.0, 1.0, QUANTILES)).tolist())

"""What a machine costs, measured beforehand, and what a simulation then predicts.

A calibration holds the times that a real master and real workers take beside the requests' own
work. They enter the simulator as physics: a master that is a server, a worker that is occupied
for longer than the work it does, a way to the server and back that takes time. None of them is
fitted to the latencies that are to be predicted.

A policy that looks at load is chaotic: a jitter of 0.1 ms sends most requests elsewhere. So a
prediction is not one simulated run but many, each with its own draws of the measured jitter.

A machine that is used seldom is slow to wake (processors sleep, caches are cold), so the way of a
request depends on how many requests come, and is measured at several rates. And a machine is not
equally fast at all times. The load generator is the thermometer: it makes a socket for each
request before it connects it, which takes longer when all takes longer, and has nothing to do with
who is to serve. How long that took in a run, against how long it took in the calibration, scales
the costs. A hypervisor may take processors away for a while: who wakes then waits. A calibration is
of what things cost without that, and how often it happened in a run the kernel has counted. What
neither explains is drawn: measurements are repeated, and each simulated run draws a level out of
what the repetitions say of the next one.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from lbsim import checks, spread
from lbsim.bunches import ALONE
from lbsim.client import Client
from lbsim.cluster import Cluster, Master
from lbsim.costs import Costs
from lbsim.engines import READABLE_S
from lbsim.engines.plan import make_plan
from lbsim.policy import Policy
from lbsim.prediction import Prediction
from lbsim.simulate import simulate
from lbsim.theft import WAKES, apart, together

if TYPE_CHECKING:
    from lbsim.workload import Workload

__all__ = ["PACED", "Calibration", "paces_of", "regime_of"]

FEWEST = 40
"""Replays that are made however long they take: fewer have no 95 % interval."""

PACED = 250
"""Requests whose median tells how slow the machine was meanwhile."""

PACES = (0.6, 1.6)
"""Beyond these something else than a slow machine held the load generator up: who took its
processor did not take the workers'."""

LOADING_S, COMPILING_S = 2.0, 20.0
"""About how long it takes to load the compiled engine, and to compile a policy for it."""


def regime_of(policy: Policy, cluster: Cluster) -> str:
    """Return which of the `lbsim.costs.REGIMES` a policy leads to."""
    if policy.needs_ack:
        return "acknowledged"
    return "held" if min(policy.slots, max(cluster.slots)) == 1 else "queued"


def paces_of(making: np.ndarray, usual: float, parts: int) -> np.ndarray:
    """Return how slow the machine was at each request: `Calibration.pace`, of so many parts."""
    n = len(making)
    blocks = [
        rows for rows in np.array_split(np.arange(n), parts) if not np.isnan(making[rows]).all()
    ]
    if not blocks:
        return np.ones(n)
    middles = [float(rows.mean()) for rows in blocks]
    paces = [float(np.nanmedian(making[rows])) / usual for rows in blocks]
    return np.interp(np.arange(n), middles, np.clip(paces, *PACES))


@dataclass(frozen=True)
class Calibration(Costs):
    """What a machine costs (`lbsim.costs.Costs`, whose attributes it has), and what follows."""

    def overhead(self, cluster: Cluster, regime: str, rate: float = 1.0) -> float:
        """Return the mean overrun, less what the simulator adds by itself, in seconds."""
        mean = spread.mean(spread.at_rate(self.overrun[regime], rate))
        if cluster.discipline == "event_loop":
            mean -= self.setup_share * self.worker_setup_s
        else:  # which takes a request whenever it begins one
            mean += self.worker_accept_s + self.worker_turn_s
        # Then the worker is idle while the master hands over. Without a master it takes the next
        # itself, and never sleeps while one waits.
        if regime == "held" and self.dispatch_s > 0.0:
            mean -= self.dispatch_s
            if cluster.discipline == "event_loop":
                mean -= spread.mean(self._wakes(rate))
        return max(0.0, mean)

    def _wakes(self, rate: float) -> np.ndarray:
        """Return the spread of how long an idle worker wakes, as far as that is known apart."""
        return spread.at_rate(self.waking, rate) if self.waking else np.zeros(2)

    def apply(
        self, cluster: Cluster, regime: str = "queued", level: float = 1.0, rate: float = 1.0
    ) -> Cluster:
        """Return the cluster with this machine's costs.

        Parameters
        ----------
        cluster : Cluster
            Its own `master`, `overhead_s`, `accept_s`, `turn_s`, `setup_s`, `setup_share`,
            `wake_s`, `herd_s` and restart time are replaced.
        regime : {"queued", "acknowledged", "held"}
            See `regime_of`.
        level : float, default 1
            How slow the machine is, relative to the calibration.
        rate : float, default 1
            Of requests a second; see `overrun`. As if few came if it is not said.
        """
        faults = cluster.faults
        is_loop = cluster.discipline == "event_loop"
        master = (self.accept_s, self.dispatch_s, self.per_byte_s)
        return cluster.changed(
            master=Master(*(level * cost for cost in master)),
            overhead_s=level * self.overhead(cluster, regime, rate),
            accept_s=level * self.worker_accept_s if is_loop else 0.0,
            turn_s=level * self.worker_turn_s if is_loop else 0.0,
            setup_s=level * self.worker_setup_s if is_loop else 0.0,
            setup_share=self.setup_share,
            wake_s=(level * self._wakes(rate)).tolist() if is_loop else 0.0,
            herd_s=level * self.herd_s if is_loop else 0.0,
            faults=type(faults)(
                *faults.schedule,
                detect_s=faults.detect_s,
                restart_s=self.restart_s,
                backoff=faults.backoff,
                backoff_limit_s=faults.backoff_limit_s,
                healthy_s=faults.healthy_s,
            ),
        )

    def pace(self, making: np.ndarray, workload: "Workload", cluster: Cluster) -> np.ndarray:
        """Return how slow the machine was at each request, relative to the calibration.

        Parameters
        ----------
        making : ndarray of float64, shape (n,)
            How long the load generator took to make a socket for each request, in seconds; NaN
            where that is not known.
        workload : Workload
            The requests, in order of arrival.
        cluster : Cluster

        Returns
        -------
        ndarray of float64, shape (n,)
            The median of some hundred requests around each one, divided by what it was
            in the calibration at this rate, within `PACES`. Of clients that wait for answers (a
            closed loop), one figure for all.
        """
        if not self.making:
            return np.ones(len(making))
        usual = spread.value_at_rate(self.making, _rate(workload, cluster))
        parts = 1 if workload.is_closed else max(1, len(making) // PACED)
        return paces_of(making, usual, parts)

    def perturb(
        self,
        workload: "Workload",
        seed: int | Sequence[int],
        cluster: Cluster,
        regime: str = "queued",
        pace: np.ndarray | float = 1.0,
        theft: np.ndarray | None = None,
    ) -> tuple["Workload", Cluster, np.ndarray]:
        """Return what the server would see, and how slow it would be, with one draw of the jitter.

        Parameters
        ----------
        workload : Workload
        seed : int or sequence of int
        cluster : Cluster
        regime : str
        pace : float or ndarray of float64, shape (n,), default 1
            How slow the machine is at each request, relative to the calibration.
        theft : ndarray of float64, shape (n,), optional
            How likely it is at each request that a processor is away (`live.machine.Watch.theft`).
            None ever is if that is not given.

        Returns
        -------
        workload : Workload
            The same rows: arrivals later by `before`, work longer by how far `overrun` is from
            its mean, both by what is stolen. Nobody overtakes: client and master do one thing
            after the other, so what is late makes late what follows. All costs have one level,
            drawn too, and `overrun` one of its own, if it is `unsure`.
        cluster : Cluster
            With this machine's costs, at that level.
        outside : ndarray of float64, shape (n,)
            What each client waits beside what the simulation says, in seconds.
        """
        n = len(workload)
        rng = np.random.default_rng(seed)
        level = pace * self._draw_level(rng)
        usual = float(np.mean(level))
        rate = _rate(workload, cluster)
        costs = self._drawn(regime, rng)
        costly = costs.apply(cluster, regime, usual, rate).changed(
            cost_seed=int(rng.integers(2**63))
        )
        overruns = spread.at_rate(costs.overrun[regime], rate)
        before = level * spread.draw(spread.at_rate(self.before, rate), rng, n)
        overrun = level * spread.draw(overruns, rng, n, self.bunched.get(regime, ALONE))
        rest = level * spread.draw(spread.at_rate(self.rest, rate), rng, n)
        rows = workload.columns
        # The way to the worker; the end of its work, of which the client hears later too; and the
        # way back, on which only the client must still wake.
        on_its_way, at_work, on_its_way_back = np.zeros(n), np.zeros(n), np.zeros(n)
        if theft is not None:
            way_in = 1.0 - (1.0 - theft) ** WAKES
            if workload.is_closed:  # when they come, only the simulation says
                on_its_way = apart(way_in, rng)
            else:
                on_its_way = together(rows.arrival, way_in, rng)
            at_work, on_its_way_back = apart(theft, rng), apart(theft, rng)
        asleep = self._asleep(cluster, rate, level * np.ones(n), rng)
        before = np.maximum(0.0, before + asleep) + on_its_way
        rest = rest + on_its_way_back
        # The cluster has one figure for what to take a request costs. Turns are for several.
        taken = (level - usual) * costly.accept_s / usual
        mean = usual * spread.mean(overruns)
        cpu = np.maximum(0.0, rows.cpu + taken + overrun - mean)
        # The simulator lets the client have its answer when the worker is free again. The client
        # need not wait for that, but for the rest.
        after = rest - costly.overhead_s - (cpu - rows.cpu - taken)
        rows = rows._replace(cpu=cpu + at_work)
        if workload.is_closed:  # who waits longer comes back later
            rows = rows._replace(think=np.maximum(0.0, rows.think + before + after))
            return replace(workload, recipe=None, rows=rows), costly, before + after
        arrival = np.maximum.accumulate(rows.arrival + before)
        outside = arrival - rows.arrival + after
        seen = replace(workload, recipe=None, rows=rows._replace(arrival=arrival))
        return seen, costly, outside

    def _asleep(
        self, cluster: Cluster, rate: float, level: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return what an idle worker's waking adds for each request beside the cluster's `wake_s`.

        Which has one figure for how slow the machine is, and is of event loops only.
        """
        wakes = self._wakes(rate)
        if cluster.discipline == "event_loop":
            return (level - np.mean(level)) * spread.mean(wakes)
        return level * spread.draw(wakes, rng, len(level))

    def _drawn(self, regime: str, rng: np.random.Generator) -> Self:
        """Return the same with as much `overrun` as there may be, for all that is known."""
        unsure = self.unsure.get(regime, 0.0)
        if unsure == 0.0:
            return self
        factor = math.exp(unsure * self._draw(rng))
        scaled = {
            rate: tuple((factor * np.asarray(of)).tolist())
            for rate, of in self.overrun[regime].items()
        }
        return replace(self, overrun={**self.overrun, regime: scaled})

    def _draw_level(self, rng: np.random.Generator) -> float:
        """Draw how slow the machine is, relative to what was measured on the average.

        The predictive distribution of the next of several normal values (here logarithms):
        Student's t with one degree of freedom fewer than there are values (Gelman et al.,
        Bayesian Data Analysis, 3rd ed., section 3.2).
        """
        return math.exp(self._uncertainty() * self._draw(rng))

    def _draw(self, rng: np.random.Generator) -> float:
        """Draw how far off something is, in standard errors that so many repetitions tell."""
        m = len(self.levels)
        return float(rng.standard_t(m - 1) if m > 1 else rng.standard_normal())

    def predict(
        self,
        workload: "Workload",
        policy: Policy,
        cluster: Cluster,
        *,
        replays: int = 200,
        seed: int = 0,
        jitter_seed: int = 0,
        client: Client | None = None,
        engine: str = "auto",
        seconds: float | None = None,
        making: np.ndarray | None = None,
        theft: np.ndarray | None = None,
    ) -> Prediction:
        """Simulate the same requests many times, each time with other jitter.

        Parameters
        ----------
        workload, policy, cluster, client, engine
            As for `lbsim.simulate`; the cluster gets this machine's costs. "auto" compiles if
            that saves time over all replays.
        replays : int, default 200
        seed : int, default 0
            Of the policy's chance, the same in every replay as in the measured run.
        jitter_seed : int, default 0
        seconds : float, optional
            Make fewer replays, but not fewer than 20, if they take longer than this.
        making : ndarray of float64, shape (n,), optional
            How long the load generator took to make a socket for each request of the run that is
            to be predicted; see `pace`. Without it the machine is as it was in the calibration.
        theft : ndarray of float64, shape (n,), optional
            How likely it was that a processor was away at each of its requests; see `perturb`.
            Of workers that sleep in place of computing, and wake at the end.
        """
        replays = checks.count("predict", "replays", replays)
        regime = regime_of(policy, cluster)
        latency = np.full((replays, len(workload)), np.nan)
        worker = np.full((replays, len(workload)), -1, np.int32)
        usual = self.apply(cluster, regime, rate=_rate(workload, cluster))
        engine = _engine(workload, policy, usual, client, seed, replays, engine, seconds)
        until = math.inf if seconds is None else time.monotonic() + seconds
        pace = 1.0 if making is None else self.pace(making, workload, cluster)
        made = 0
        for i in range(replays):
            if made >= FEWEST and time.monotonic() > until:
                break
            seen, costly, outside = self.perturb(
                workload, (jitter_seed, i), cluster, regime, pace, theft
            )
            run = simulate(seen, policy, costly, engine=engine, seed=seed, client=client)
            latency[i] = run.latency + outside
            worker[i] = run.worker
            made += 1
        return Prediction(latency[:made], worker[:made])


def _engine(
    workload: "Workload",
    policy: Policy,
    cluster: Cluster,
    client: Client | None,
    seed: int,
    replays: int,
    engine: str,
    seconds: float | None,
) -> str:
    """Return the engine that takes least time for all replays, compiling included."""
    takes = replays * len(workload) * READABLE_S
    if engine != "auto" or takes < LOADING_S:
        return engine
    from lbsim.engines import compiled

    plan = make_plan(workload, cluster, Client() if client is None else client, seed)
    try:
        compiled.run(plan, policy, patient=False)
    except compiled.NotYet:
        return "compiled" if takes > COMPILING_S and seconds is None else "readable"
    except compiled.Refused:
        return "readable"
    return "compiled"


def _rate(workload: "Workload", cluster: Cluster) -> float:
    """Return about how many requests a second there will be."""
    if workload.is_closed:
        # Nobody waits, or the workers are the bottleneck (asymptotic bounds;
        # Denning and Buzen 1978, "The operational analysis of queueing network models").
        work = float(np.mean(workload.cpu))
        idle = float(np.mean(workload.think)) + work + float(np.mean(workload.wait))
        rates = [workload.n_clients / idle if idle > 0 else math.inf]
        rates.append(sum(cluster.speeds) / work if work > 0 else math.inf)
        return min(rates)
    span = float(workload.arrival[-1] - workload.arrival[0])
    return len(workload) / span if span > 0 else math.inf

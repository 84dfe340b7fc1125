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
neither explains is drawn: measurements are repeated, and each simulated run
draws a level out of what the repetitions say of the next one.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lbsim import checks, spread
from lbsim.client import Client
from lbsim.cluster import Cluster, Master
from lbsim.engines import READABLE_S
from lbsim.engines.plan import make_plan
from lbsim.errors import InputError
from lbsim.policy import Policy
from lbsim.prediction import Prediction
from lbsim.simulate import simulate
from lbsim.spread import Spread

if TYPE_CHECKING:
    from lbsim.workload import Workload

__all__ = ["REGIMES", "SINGLES", "SLICE_S", "WAKES", "Calibration", "regime_of"]

VERSION = 5
FEWEST = 20
"""Replays that are made however long they take."""

PACED = 250
"""Requests whose median tells how slow the machine was meanwhile."""

PACES = (0.6, 1.6)
"""Beyond these something else than a slow machine held the load generator up: who took its
processor did not take the workers'."""

SLICE_S = 3e-3
"""How long a processor that a hypervisor has given to somebody else is away on the average: what
Linux gives a process at once where there are many processors (kernel/sched/fair.c, base slice: 0.75
ms times 1 + log2 of the processors, of which it counts up to 8)."""

WAKES = 2
"""Who must wake for a request on its way to a worker (client, master) and for its answer (worker,
client)."""

LOADING_S, COMPILING_S = 2.0, 20.0
"""About how long it takes to load the compiled engine, and to compile a policy for it."""

SINGLES = (
    "accept_s", "dispatch_s", "per_byte_s", "worker_accept_s", "worker_turn_s", "worker_setup_s",
    "setup_share", "restart_s",
)  # fmt: skip
"""What a `Calibration` has one figure of."""

REGIMES = ("queued", "acknowledged", "held")
"""Where the next request is when a worker has done with one: at the worker; at the worker, which
takes them off its channel one by one, since the policy waits for acknowledgements; at the master,
which must hear of the end before it hands over the next."""


def regime_of(policy: Policy, cluster: Cluster) -> str:
    """Return which of the `REGIMES` a policy leads to."""
    if policy.needs_ack:
        return "acknowledged"
    return "held" if min(policy.slots, max(cluster.slots)) == 1 else "queued"


@dataclass(frozen=True)
class Calibration:
    """What a machine costs; all times in seconds.

    Spreads are quantiles at evenly spaced probabilities, the smallest and the largest included.

    Attributes
    ----------
    accept_s, dispatch_s, per_byte_s : float
        The master's processor time: to accept a connection, read and decide; to hand it over and
        to hear of it; for each byte of a request that it holds or passes on.
    worker_accept_s, worker_turn_s : float
        A worker's time for a connection that it takes off its channel; and for a turn of its loop
        that finds some, beside that.
    overrun : mapping of str to mapping of float to tuple of float
        By how much longer a request occupies its worker than its own work and what it costs to
        take it, in each of the `REGIMES`: a spread for each of some rates (requests a second),
        since workers that share processors are in each other's way.
    before : mapping of float to tuple of float
        From when a request is due until an idle worker begins with it, without the costs above:
        the load generator's lateness, the network, wake-ups. A spread for each of several rates
        (requests a second).
    rest : mapping of float to tuple of float
        From then until the client has the answer, without the work. A spread for each rate.
    restart_s : float
        From a worker's death until its successor is up.
    making : mapping of float to float
        How long the load generator took at each rate to make a socket, the median; empty if that
        is not known.
    worker_setup_s, setup_share : float
        A worker's time for a connection after it has acknowledged it, and how many connections
        (a share) take it that long, `Cluster.setup_s`. Known by its effect only: how often what
        the master sent in answer was accepted before that connection's handler ran.
    levels : tuple of float
        How slow the machine was in each repetition of the measurement, relative to their mean,
        and to `making`.
    machine : dict
        Where it was measured.
    is_quiet : bool
        Whether the machine could be had for itself: some experiments were disturbed each time if
        not, and the figures may be far off.
    """

    accept_s: float
    dispatch_s: float
    per_byte_s: float
    worker_accept_s: float
    worker_turn_s: float
    overrun: dict[str, dict[float, Spread]]
    before: dict[float, Spread]
    rest: dict[float, Spread]
    restart_s: float
    making: dict[float, float] = field(default_factory=dict)
    worker_setup_s: float = 0.0
    setup_share: float = 0.0
    levels: tuple[float, ...] = (1.0,)
    machine: dict[str, Any] = field(default_factory=dict)
    is_quiet: bool = True

    def __post_init__(self) -> None:
        for name in SINGLES:
            checks.not_negative("Calibration", name, getattr(self, name))
        checks.share("Calibration", "setup_share", self.setup_share)
        if set(self.overrun) != set(REGIMES):
            raise InputError(
                f"Calibration: overrun has {', '.join(self.overrun)}, not {', '.join(REGIMES)}; "
                "measure it again with: live calibrate"
            )
        if not self.before or set(self.before) != set(self.rest):
            raise InputError(
                f"Calibration: before is of the rates {', '.join(map(str, self.before))}, rest of "
                f"{', '.join(map(str, self.rest))}; both need the same ones, and at least one; "
                "measure it again with: live calibrate"
            )
        if self.making and set(self.making) != set(self.before):
            raise InputError(
                f"Calibration: making is of the rates {', '.join(map(str, self.making))}, before "
                f"of {', '.join(map(str, self.before))}; measure it again with: live calibrate"
            )
        busy = [rate for of_rate in self.overrun.values() for rate in of_rate]
        if not all(self.overrun.values()):
            raise InputError(
                "Calibration: overrun is of no rate in some regime, and needs one in each; "
                "measure it again with: live calibrate"
            )
        for value in (*busy, *self.before, *self.making.values(), *self.levels):
            checks.positive("Calibration", "rates, making and levels", value)
        for name, of in self._spreads():
            values = np.asarray(of, np.float64)
            if len(values) < 2 or not np.isfinite(values).all() or (np.diff(values) < 0).any():
                raise InputError(
                    f"Calibration: {name} is not an ascending list of two or more numbers; "
                    "measure it again with: live calibrate"
                )

    def _spreads(self) -> list[tuple[str, Spread]]:
        """Return all spreads with their names."""
        named = {f"overrun, {regime}": of_rate for regime, of_rate in self.overrun.items()}
        named |= {"before": self.before, "rest": self.rest}
        return [
            (f"{name}, {rate:g}/s", of_rate[rate])
            for name, of_rate in named.items()
            for rate in sorted(of_rate)
        ]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` has written."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise InputError(
                f"{path} does not exist; write a calibration with: live calibrate"
            ) from error
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path} is not a calibration ({error}); write one with: live calibrate"
            ) from error
        return cls.from_json(text, str(path))

    @classmethod
    def from_json(cls, text: str, name: str = "this text") -> Self:
        """Return what `to_json` has written; `name` is for errors."""
        try:
            data = json.loads(text)
            version = data.pop("version")
            if version != VERSION:
                raise InputError(
                    f"{name} has version {version}, and this lbsim reads {VERSION}; "
                    "measure again with: live calibrate"
                )
            data["overrun"] = {name: _by_rate(of) for name, of in data["overrun"].items()}
            data["before"], data["rest"] = _by_rate(data["before"]), _by_rate(data["rest"])
            data["making"] = {float(rate): value for rate, value in data["making"].items()}
            data["levels"] = tuple(data["levels"])
            return cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{name} is not a calibration ({error}); write one with: live calibrate"
            ) from error

    @classmethod
    def pooled(cls, calibrations: "Sequence[Calibration]") -> "Calibration":
        """Return the mean of calibrations of one machine, made at different times.

        Parameters
        ----------
        calibrations : sequence of Calibration
            Measured at the same rates. Their repetitions count together, so that `levels` knows
            by how much the machine changes between them.
        """
        first = calibrations[0]
        if any(each.rates() != first.rates() for each in calibrations):
            raise InputError(
                "Calibration.pooled: these calibrations are of different rates; "
                "measure them again with: live calibrate"
            )
        whole = [each._level() for each in calibrations]
        mean = float(np.mean(whole))

        def middle(values: Sequence[Any]) -> Any:
            return np.mean(values, axis=0).tolist()

        def spreads(all_of: list[dict[float, Spread]]) -> dict[float, Spread]:
            return {rate: tuple(middle([each[rate] for each in all_of])) for rate in all_of[0]}

        return replace(
            first,
            **{name: middle([getattr(each, name) for each in calibrations]) for name in SINGLES},
            overrun={
                name: spreads([each.overrun[name] for each in calibrations]) for name in REGIMES
            },
            before=spreads([each.before for each in calibrations]),
            rest=spreads([each.rest for each in calibrations]),
            making={
                rate: middle([each.making[rate] for each in calibrations])
                for rate in first.making
                if all(each.making for each in calibrations)
            },
            levels=tuple(
                level * of / mean
                for each, of in zip(calibrations, whole, strict=True)
                for level in each.levels
            ),
            is_quiet=all(each.is_quiet for each in calibrations),
        )

    def rates(self) -> list[set[float]]:
        """Return at which rates it was measured: the ways, and the overrun in each regime."""
        return [set(of) for of in (self.before, *(self.overrun[name] for name in REGIMES))]

    def _level(self) -> float:
        """Return one number for how slow the machine was, beside what `making` says of it."""
        costs = float(sum(np.median(of) for _, of in self._spreads()))
        return costs / float(np.mean(list(self.making.values()))) if self.making else costs

    def save(self, path: str | Path) -> None:
        """Write a small JSON file."""
        Path(path).write_text(self.to_json(indent=1) + "\n", encoding="utf-8")

    def to_json(self, indent: int | None = None) -> str:
        """Return it as JSON."""
        return json.dumps({"version": VERSION, **vars(self)}, indent=indent)

    def describe(self) -> str:
        """Return the figures as lines of text."""
        lines = [
            f"{name:28} {getattr(self, name) * 1e6:10.2f} µs"
            for name in (
                "accept_s", "dispatch_s", "worker_accept_s", "worker_turn_s", "worker_setup_s",
            )
        ]  # fmt: skip
        lines += [
            f"{'setup_share':28} {self.setup_share:10.1%}",
            f"{'per_byte_s':28} {self.per_byte_s * 1e9:10.3f} ns",
            f"{'restart_s':28} {self.restart_s * 1e3:10.1f} ms",
        ]
        for name, of in self._spreads():
            p10, p50, p99 = np.quantile(np.asarray(of), [0.1, 0.5, 0.99]) * 1e6
            lines.append(f"{name:28} {p50:10.1f} µs (p10 {p10:.1f}, p99 {p99:.1f})")
        lines += [
            f"{f'making, {rate:g}/s':28} {self.making[rate] * 1e6:10.1f} µs"
            for rate in sorted(self.making)
        ]
        times = f"{len(self.levels)} repetition{'s' if len(self.levels) != 1 else ''}"
        lines.append(f"{'level':28} ± {self._uncertainty():.1%} (from {times})")
        if not self.is_quiet:
            lines.append("disturbed: other processes took the processors; measure it again")
        return "\n".join(lines)

    # --- into the simulator ------------------------------------------------------------------

    def overhead(self, cluster: Cluster, regime: str, rate: float = 1.0) -> float:
        """Return the mean overrun, less what the simulator adds by itself, in seconds."""
        mean = spread.mean(spread.at_rate(self.overrun[regime], rate))
        if cluster.discipline == "event_loop":
            mean -= self.setup_share * self.worker_setup_s
        else:  # which takes a request whenever it begins one
            mean += self.worker_accept_s + self.worker_turn_s
        if regime == "held":  # then the worker is idle while the master hands over
            mean -= self.dispatch_s
        return max(0.0, mean)

    def apply(
        self, cluster: Cluster, regime: str = "queued", level: float = 1.0, rate: float = 1.0
    ) -> Cluster:
        """Return the cluster with this machine's costs.

        Parameters
        ----------
        cluster : Cluster
            Its own `master`, `overhead_s`, `accept_s`, `turn_s`, `setup_s`, `setup_share` and
            restart time are replaced.
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
        n = len(making)
        if not self.making or np.isnan(making).all():
            return np.ones(n)
        usual = spread.value_at_rate(self.making, _rate(workload, cluster))
        parts = 1 if workload.client.max() >= 0 else max(1, n // PACED)
        blocks = [
            rows for rows in np.array_split(np.arange(n), parts) if not np.isnan(making[rows]).all()
        ]
        middles = [float(rows.mean()) for rows in blocks]
        paces = [float(np.nanmedian(making[rows])) / usual for rows in blocks]
        return np.interp(np.arange(n), middles, np.clip(paces, *PACES))

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
            drawn too.
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
        costly = self.apply(cluster, regime, usual, rate)
        overruns = spread.at_rate(self.overrun[regime], rate)
        before, overrun, rest = (
            level * spread.draw(of, rng, n)
            for of in (
                spread.at_rate(self.before, rate),
                overruns,
                spread.at_rate(self.rest, rate),
            )
        )
        # The way to the worker, and the end of its work, of which the client hears later too.
        on_its_way, at_work = (
            np.zeros(n) if theft is None else _stolen(theft, wakes, rng) for wakes in (WAKES, 1)
        )
        before = before + on_its_way
        rows = workload.columns
        # The cluster has one figure for what to take a request costs. Turns are for several.
        taken = (level - usual) * costly.accept_s / usual
        mean = usual * spread.mean(overruns)
        cpu = np.maximum(0.0, rows.cpu + taken + overrun - mean)
        # The simulator lets the client have its answer when the worker is free again. The client
        # need not wait for that, but for the rest.
        after = rest - costly.overhead_s - (cpu - rows.cpu - taken)
        rows = rows._replace(cpu=cpu + at_work)
        if workload.client.max() >= 0:  # a closed loop: who waits longer comes back later
            rows = rows._replace(think=np.maximum(0.0, rows.think + before + after))
            return replace(workload, recipe=None, rows=rows), costly, before + after
        arrival = np.maximum.accumulate(rows.arrival + before)
        outside = arrival - rows.arrival + after
        seen = replace(workload, recipe=None, rows=rows._replace(arrival=arrival))
        return seen, costly, outside

    def _uncertainty(self) -> float:
        """Return the standard deviation of the next repetition's level, relative."""
        m = len(self.levels)
        apart = float(np.std(np.log(self.levels), ddof=1)) if m > 1 else 0.0
        return apart * math.sqrt(1.0 + 1.0 / m)

    def _draw_level(self, rng: np.random.Generator) -> float:
        """Draw how slow the machine is, relative to what was measured on the average.

        The predictive distribution of the next of several normal values (here logarithms):
        Student's t with one degree of freedom fewer than there are values (Gelman et al.,
        Bayesian Data Analysis, 3rd ed., section 3.2).
        """
        if len(self.levels) < 2:
            return 1.0
        return math.exp(self._uncertainty() * rng.standard_t(len(self.levels) - 1))

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


def _stolen(theft: np.ndarray, wakes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw for how long each request's processors are away when somebody is to wake for it.

    The rest of a slice is as long as a whole one, since they are exponential.
    """
    is_away = rng.random(len(theft)) < 1.0 - (1.0 - theft) ** wakes
    return np.where(is_away, rng.exponential(SLICE_S, len(theft)), 0.0)


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


def _by_rate(data: dict[str, list[float]]) -> dict[float, Spread]:
    """Return spreads by rate, which JSON has as text."""
    return {float(rate): tuple(of) for rate, of in data.items()}


def _rate(workload: "Workload", cluster: Cluster) -> float:
    """Return about how many requests a second there will be."""
    clients = int(workload.client.max()) + 1
    if clients > 0:
        # A closed loop: nobody waits, or the workers are the bottleneck (asymptotic bounds;
        # Denning and Buzen 1978, "The operational analysis of queueing network models").
        work = float(np.mean(workload.cpu))
        idle = float(np.mean(workload.think)) + work + float(np.mean(workload.wait))
        rates = [clients / idle if idle > 0 else math.inf]
        rates.append(sum(cluster.speeds) / work if work > 0 else math.inf)
        return min(rates)
    span = float(workload.arrival[-1] - workload.arrival[0])
    return len(workload) / span if span > 0 else math.inf

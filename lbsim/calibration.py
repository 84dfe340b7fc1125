"""What a machine costs, measured beforehand, and what a simulation then predicts.

A calibration holds the times that a real master and real workers take beside the requests' own
work. They enter the simulator as physics: a master that is a server, a worker that is occupied
for longer than the work it does, a way to the server and back that takes time. None of them is
fitted to the latencies that are to be predicted.

A policy that looks at load is chaotic: a jitter of 0.1 ms sends most requests elsewhere. So a
prediction is not one simulated run but many, each with its own draws of the measured jitter.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lbsim import checks
from lbsim.client import Client
from lbsim.cluster import Cluster, Master
from lbsim.engines import READABLE_S
from lbsim.engines.plan import make_plan
from lbsim.errors import InputError
from lbsim.policy import Policy
from lbsim.simulate import simulate

if TYPE_CHECKING:
    from lbsim.workload import Workload

__all__ = ["REGIMES", "Calibration", "Prediction", "regime_of"]

VERSION = 1
FEWEST = 20
"""Replays that are made however long they take."""

LOADING_S, COMPILING_S = 2.0, 20.0
"""About how long it takes to load the compiled engine, and to compile a policy for it."""

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
    worker_accept_s : float
        A worker's time to take a connection off its channel.
    overrun : mapping of str to tuple of float
        By how much longer a request occupies its worker than its own work, in each of the
        `REGIMES`; a spread.
    before : tuple of float
        From when a request is due until an idle worker begins with it, without the costs above:
        the load generator's lateness, the network, wake-ups. A spread.
    rest : tuple of float
        From then until the client has the answer, without the work. A spread.
    restart_s : float
        From a worker's death until its successor is up.
    machine : dict
        Where it was measured.
    """

    accept_s: float
    dispatch_s: float
    per_byte_s: float
    worker_accept_s: float
    overrun: dict[str, tuple[float, ...]]
    before: tuple[float, ...]
    rest: tuple[float, ...]
    restart_s: float
    machine: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("accept_s", "dispatch_s", "per_byte_s", "worker_accept_s", "restart_s"):
            checks.not_negative("Calibration", name, getattr(self, name))
        if set(self.overrun) != set(REGIMES):
            raise InputError(
                f"Calibration: overrun has {', '.join(self.overrun)}, not {', '.join(REGIMES)}; "
                "measure it again with: live calibrate"
            )
        spreads = {"before": self.before, "rest": self.rest, **self.overrun}
        for name, spread in spreads.items():
            values = np.asarray(spread, np.float64)
            if len(values) < 2 or not np.isfinite(values).all() or (np.diff(values) < 0).any():
                raise InputError(
                    f"Calibration: {name} is not an ascending list of two or more numbers; "
                    "measure it again with: live calibrate"
                )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` has written."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            version = data.pop("version")
            data["overrun"] = {name: tuple(v) for name, v in data["overrun"].items()}
            for name in ("before", "rest"):
                data[name] = tuple(data[name])
            calibration = cls(**data)
        except FileNotFoundError as error:
            raise InputError(
                f"{path} does not exist; write a calibration with: live calibrate"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path} is not a calibration ({error}); write one with: live calibrate"
            ) from error
        if version != VERSION:
            raise InputError(
                f"{path} has version {version}, and this lbsim reads {VERSION}; "
                "measure again with: live calibrate"
            )
        return calibration

    def save(self, path: str | Path) -> None:
        """Write a small JSON file."""
        text = json.dumps({"version": VERSION, **vars(self)}, indent=1)
        Path(path).write_text(text + "\n", encoding="utf-8")

    def describe(self) -> str:
        """Return the figures as lines of text."""
        lines = [
            f"{name:22} {getattr(self, name) * 1e6:10.2f} µs"
            for name in ("accept_s", "dispatch_s", "worker_accept_s")
        ]
        lines += [
            f"{'per_byte_s':22} {self.per_byte_s * 1e9:10.3f} ns",
            f"{'restart_s':22} {self.restart_s * 1e3:10.1f} ms",
        ]
        spreads = {"before": self.before, "rest": self.rest}
        spreads |= {f"overrun, {name}": spread for name, spread in self.overrun.items()}
        for name, spread in spreads.items():
            p10, p50, p99 = np.quantile(np.asarray(spread), [0.1, 0.5, 0.99]) * 1e6
            lines.append(f"{name:22} {p50:10.1f} µs (p10 {p10:.1f}, p99 {p99:.1f})")
        return "\n".join(lines)

    # --- into the simulator ------------------------------------------------------------------

    def overhead(self, cluster: Cluster, regime: str) -> float:
        """Return the mean overrun, less what the simulator adds by itself, in seconds."""
        mean = float(np.mean(_evenly(self.overrun[regime])))
        if cluster.discipline == "event_loop":
            mean -= self.worker_accept_s
        if regime == "held":  # then the worker is idle while the master hands over
            mean -= self.dispatch_s
        return max(0.0, mean)

    def apply(self, cluster: Cluster, regime: str = "queued") -> Cluster:
        """Return the cluster with this machine's costs.

        Parameters
        ----------
        cluster : Cluster
            Its own `master`, `overhead_s`, `accept_s` and restart time are replaced.
        regime : {"queued", "acknowledged", "held"}
            See `regime_of`.
        """
        faults = cluster.faults
        return cluster.changed(
            master=Master(self.accept_s, self.dispatch_s, self.per_byte_s),
            overhead_s=self.overhead(cluster, regime),
            accept_s=self.worker_accept_s if cluster.discipline == "event_loop" else 0.0,
            faults=type(faults)(
                *faults.schedule,
                detect_s=faults.detect_s,
                restart_s=self.restart_s,
                backoff=faults.backoff,
                backoff_limit_s=faults.backoff_limit_s,
                healthy_s=faults.healthy_s,
            ),
        )

    def perturb(
        self,
        workload: "Workload",
        seed: int | Sequence[int],
        cluster: Cluster,
        regime: str = "queued",
    ) -> tuple["Workload", np.ndarray]:
        """Return the workload as the server would see it, with one draw of the jitter.

        Parameters
        ----------
        workload : Workload
        seed : int or sequence of int
        cluster : Cluster
        regime : str

        Returns
        -------
        workload : Workload
            The same rows: arrivals later by `before`, work longer by how far `overrun` is from
            its mean. Nobody overtakes: client and master do one thing after the other, so what
            is late makes late what follows.
        outside : ndarray of float64, shape (n,)
            What each client waits beside what the simulation says, in seconds.
        """
        n = len(workload)
        rng = np.random.default_rng(seed)
        before, overrun, rest = (
            _draw(spread, rng, n) for spread in (self.before, self.overrun[regime], self.rest)
        )
        # The simulator lets the client have its answer when the worker is free again.
        after = rest - self.overhead(cluster, regime)
        rows = workload.columns
        extra = overrun - float(np.mean(_evenly(self.overrun[regime])))
        rows = rows._replace(cpu=np.maximum(0.0, rows.cpu + extra))
        if workload.client.max() >= 0:  # a closed loop: who waits longer comes back later
            rows = rows._replace(think=np.maximum(0.0, rows.think + before + after))
            return replace(workload, recipe=None, rows=rows), before + after
        arrival = np.maximum.accumulate(rows.arrival + before)
        outside = arrival - rows.arrival + after
        return replace(workload, recipe=None, rows=rows._replace(arrival=arrival)), outside

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
    ) -> "Prediction":
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
        """
        replays = checks.count("predict", "replays", replays)
        regime = regime_of(policy, cluster)
        costly = self.apply(cluster, regime)
        latency = np.full((replays, len(workload)), np.nan)
        worker = np.full((replays, len(workload)), -1, np.int32)
        engine = _engine(workload, policy, costly, client, seed, replays, engine, seconds)
        until = math.inf if seconds is None else time.monotonic() + seconds
        made = 0
        for i in range(replays):
            if made >= FEWEST and time.monotonic() > until:
                break
            seen, outside = self.perturb(workload, (jitter_seed, i), cluster, regime)
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


def _draw(spread: Sequence[float], rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw from a spread, linear between its quantiles."""
    return np.interp(rng.random(n), np.linspace(0.0, 1.0, len(spread)), spread)


def _evenly(spread: Sequence[float]) -> np.ndarray:
    """Return values that stand for a spread, each as likely as the others."""
    at = (np.arange(10_000) + 0.5) / 10_000
    return np.interp(at, np.linspace(0.0, 1.0, len(spread)), spread)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Latencies of the same requests in many simulated replays.

    Attributes
    ----------
    latency : ndarray of float64, shape (replays, n)
        Seconds; NaN where there was no answer.
    worker : ndarray of int, shape (replays, n)
        Who served it; -1 if nobody.
    """

    latency: np.ndarray
    worker: np.ndarray

    def of(self, rows: np.ndarray) -> "Prediction":
        """Return the prediction for some of the requests: a mask, or row numbers."""
        return Prediction(self.latency[:, rows], self.worker[:, rows])

    @property
    def is_blind(self) -> bool:
        """Whether every replay chose the same workers: jitter changes nothing."""
        return bool((self.worker == self.worker[0]).all())

    def interval(self, q: float, confidence: float = 0.95) -> tuple[float, float, float]:
        """Return where a measured quantile should lie.

        Returns
        -------
        low, middle, high : float
            Seconds: the ends of the prediction interval, and the median of the replays.
        """
        tail = (1.0 - confidence) / 2.0
        each = np.nanquantile(self.latency, q, axis=1)
        low, middle, high = np.quantile(each, [tail, 0.5, 1.0 - tail])
        return float(low), float(middle), float(high)

    def median(self) -> np.ndarray:
        """Return each request's median latency over the replays, in seconds."""
        return np.asarray(np.nanmedian(self.latency, axis=0))

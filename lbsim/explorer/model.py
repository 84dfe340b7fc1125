"""From settings to the few hundred numbers that a picture needs; no widgets here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lbsim import policies as shipped
from lbsim.checks import count, real
from lbsim.cluster import Cluster
from lbsim.errors import InputError
from lbsim.policy import Policy
from lbsim.run import Run
from lbsim.simulate import simulate
from lbsim.workload import BoundedPareto, Sessions, Workload

__all__ = ["LIMITS", "Settings", "choices", "curve", "run", "workload_of"]

MEAN_S, MOST_S = 0.010, 1.0  # service times
SESSIONS = 2000
POINTS = 200  # of a curve; a screen shows no more
# A policy that cannot be compiled runs this many requests, so that the slider still answers.
SLOW_REQUESTS = 3000
QUANTILES = (0.5, 0.9, 0.99, 0.999)

LIMITS: Mapping[str, tuple[float, float, float]] = {
    "load": (0.05, 0.98, 0.01),
    "workers": (1, 32, 1),
    "alpha": (1.1, 3.0, 0.05),
    "sticky": (0.0, 1.0, 0.05),
}
"""Least, most and step of each slider."""

SHIPPED = (
    "RoundRobin",
    "PowerOfD:d=2",
    "Random",
    "LeastConnections",
    "LeastResponseTime",
    "BoundedQueue:k=2",
    "CentralQueue",
    "NodeCluster",
)


@dataclass(frozen=True)
class Settings:
    """What the sliders say; see `lbsim.explore` for units."""

    load: float
    workers: int
    alpha: float
    sticky: float
    requests: int
    seed: int

    def __post_init__(self) -> None:
        for name, (low, high, _) in LIMITS.items():
            value = real("explore", name, getattr(self, name))
            if not low <= value <= high:
                raise InputError(
                    f"explore: {name} = {value:g} must lie between {low:g} and {high:g}; "
                    f"change {name}"
                )
        count("explore", "workers", self.workers)
        count("explore", "requests", self.requests, least=100)


def choices(policies: Sequence[Any] | None) -> dict[str, Policy]:
    """Return the policies to choose from, by the text that is shown."""
    if isinstance(policies, str | Policy):
        policies = [policies]
    found: dict[str, Policy] = {}
    for given in SHIPPED if policies is None else policies:
        policy = shipped.parse(given) if isinstance(given, str) else given
        if not isinstance(policy, Policy):
            raise InputError(f"policy = {given!r} is not a policy object or name; give one")
        name = given if isinstance(given, str) else repr(policy)
        found[name] = policy
    if not found:
        raise InputError("policies = [] leaves nothing to choose from; give at least one")
    return found


@lru_cache(maxsize=4)
def _draw(alpha: float, requests: int, seed: int) -> tuple[Workload, np.ndarray]:
    """Return requests at load 1/2 of one worker, and a uniform number for each of them."""
    service = BoundedPareto(alpha=alpha, mean=MEAN_S, maximum=MOST_S)
    workload = Workload.synthetic(
        requests,
        service=service,
        load=0.5,
        cluster=Cluster(1),
        sessions=Sessions(SESSIONS),
        seed=seed,
    )
    return workload, np.random.default_rng(seed).random(requests)


@lru_cache(maxsize=8)
def workload_of(settings: Settings) -> Workload:
    """Return the requests of some settings.

    Load and workers stretch the time axis of the same draw, so that moving a slider shows its
    effect and not another draw's luck.
    """
    drawn, chance = _draw(settings.alpha, settings.requests, settings.seed)
    return Workload.from_arrays(
        drawn.arrival * (0.5 / (settings.load * settings.workers)),
        drawn.service,
        key=np.where(chance < settings.sticky, drawn.key, -1),
        name="explore",
    )


def run(settings: Settings, policy: Policy) -> Run:
    """Run a policy, as the fallback of a sticky one if there are sessions."""
    used = shipped.Sticky(fallback=policy) if settings.sticky > 0.0 else policy
    cluster = Cluster(settings.workers)
    return simulate(workload_of(settings), used, cluster, engine="compiled", seed=settings.seed)


def curve(name: str, run: Run) -> dict[str, Any]:
    """Return what is drawn of a run: few numbers, plain lists, times in seconds.

    Returns
    -------
    dict
        ``label``; ``requests``; ``latency`` and ``share``: points of the curve (x, share of
        requests that took longer); ``figures``: mean and quantiles; ``used``: share of its
        time that each worker was at work.
    """
    latency = np.sort(run.latency[~np.isnan(run.latency)])
    if len(latency) == 0:
        raise InputError(f"{name}: no request was answered, so there is nothing to draw")
    # Equal steps on the axis of the picture, which is the logarithm of the share.
    share = np.geomspace(1.0, 1.0 / len(latency), POINTS)
    place = np.minimum(np.rint((1.0 - share) * len(latency)).astype(int), len(latency) - 1)
    work = np.bincount(
        run.worker[run.worker >= 0],
        run.workload.service[run.worker >= 0],
        minlength=run.cluster.workers,
    )
    span = float(np.nanmax(run.finished)) - float(run.arrival[0])
    figures = [float(latency.mean()), *np.quantile(latency, QUANTILES).tolist()]
    return {
        "label": name,
        "requests": len(latency),
        "latency": [_short(value) for value in latency[place]],
        "share": [_short(value) for value in share],
        "figures": [_short(value) for value in figures],
        "used": [_short(value) for value in np.minimum(work / span, 1.0)],
    }


def _short(value: float) -> float:
    """Round to the digits that a screen can show, so that the message is short."""
    return float(f"{value:.4g}")

"""From what a user says of a synthetic workload to a checked recipe."""

import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lbsim import checks
from lbsim.errors import InputError
from lbsim.workload.arrivals import ClosedLoop, Poisson, as_arrivals
from lbsim.workload.given import as_law
from lbsim.workload.offered import arrival_rate
from lbsim.workload.recipe import Kind, Recipe, Sessions

if TYPE_CHECKING:
    from lbsim.cluster import Cluster

__all__ = ["recipe_of"]

OWNER = "Workload.synthetic"


def recipe_of(
    n: int,
    *,
    arrivals: Any,
    service: Any,
    load: float | None,
    rate: float | None,
    cluster: "Cluster | None",
    wait: Any,
    kinds: Mapping[str, Kind] | None,
    sessions: Any,
    priorities: Sequence[float] | None,
    size_error: float | None,
    payload: Any,
    seed: Any,
    allow_overload: bool,
) -> Recipe:
    """Return the recipe; the arguments are those of `Workload.synthetic`."""
    process = Poisson() if arrivals is None else as_arrivals(arrivals)
    every = _kinds(service, wait, kinds)
    if not isinstance(process, ClosedLoop):
        rate = arrival_rate(load, rate, every, cluster, allow_overload)
    elif load is None and rate is None:
        rate = 0.0
    else:
        raise InputError(
            f"load = {load!r} and rate = {rate!r} do not apply to a closed loop, where the "
            "answers set the pace; give clients and think time in ClosedLoop(...) instead"
        )
    if priorities is not None:
        priorities = checks.shares(OWNER, "priorities", priorities)
    if size_error is not None:
        size_error = checks.not_negative(OWNER, "size_error", size_error)
    return Recipe(
        n=checks.count(OWNER, "n", n),
        arrivals=process,
        rate=rate,
        kinds=every,
        sessions=_sessions(sessions),
        priorities=priorities,
        size_error=size_error,
        payload=as_law(payload),
        seed=_seed(seed),
    )


def _kinds(service: Any, wait: Any, kinds: Mapping[str, Kind] | None) -> dict[str, Kind]:
    if kinds is None and service is not None:
        return {"request": Kind(1.0, service, 0.0 if wait is None else wait)}
    if kinds is None or service is not None or wait is not None:
        raise InputError("give service= (and wait=), or kinds= where each has its own; not both")
    for name, kind in kinds.items():
        if not isinstance(kind, Kind):
            raise InputError(
                f"kinds[{name!r}] = {kind!r} is not a Kind; give "
                "lbsim.Kind(share=0.9, service=lbsim.Exponential(0.010))"
            )
    checks.shares("kinds", "shares", [kind.share for kind in kinds.values()])
    return dict(kinds)


def _sessions(sessions: Any) -> Sessions | None:
    if sessions is None or isinstance(sessions, Sessions):
        return sessions
    return Sessions(checks.count(OWNER, "sessions", sessions))


def _seed(seed: Any) -> int:
    """Return the seed as an int, of any length."""
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise InputError(f"seed = {seed!r} must be a whole number from 0 on; give one, like seed=1")
    return number

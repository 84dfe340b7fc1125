"""Recipes as plain data (numbers, texts, lists and dicts), for files and for `parameters`."""

import dataclasses
from typing import Any

import numpy as np

from lbsim.errors import InputError
from lbsim.workload.arrivals import ClosedLoop, DeterministicArrivals, Poisson, Renewal
from lbsim.workload.given import Empirical, ScipyLaw
from lbsim.workload.heavy_tails import BoundedPareto, Hyperexponential, Lognormal, Pareto
from lbsim.workload.laws import Bimodal, Deterministic, Exponential, Gamma, Law, Weibull
from lbsim.workload.modulated import FlashCrowd, MarkovModulated, OnOff, RateProfile
from lbsim.workload.recipe import Kind, Recipe, Sessions

__all__ = ["from_data", "is_portable", "to_data"]

LAWS: dict[str, Any] = {
    law.__name__: law
    for law in (
        *(Bimodal, BoundedPareto, Deterministic, Empirical, Exponential, Gamma),
        *(Hyperexponential, Lognormal, Pareto, Weibull),
    )
}
ARRIVALS: dict[str, Any] = {
    process.__name__: process
    for process in (
        *(ClosedLoop, DeterministicArrivals, FlashCrowd, MarkovModulated, OnOff),
        *(Poisson, RateProfile, Renewal),
    )
}
SCIPY = "scipy.stats"


def to_data(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as data that JSON can hold; what is not of this package as its repr."""
    return {
        "n": recipe.n,
        "arrivals": _arrivals_data(recipe.arrivals),
        "rate": recipe.rate,
        "kinds": {
            name: {
                "share": kind.share,
                "service": _law_data(kind.service),
                "wait": _law_data(kind.wait),
                "priority": kind.priority,
            }
            for name, kind in recipe.kinds.items()
        },
        "sessions": None if recipe.sessions is None else dataclasses.asdict(recipe.sessions),
        "priorities": None if recipe.priorities is None else list(recipe.priorities),
        "size_error": recipe.size_error,
        "payload": _law_data(recipe.payload),
        "seed": recipe.seed,
        "replication": recipe.replication,
    }


def from_data(data: dict[str, Any]) -> Recipe:
    """Return the recipe that `to_data` has written (further entries are left alone)."""
    sessions, priorities = data["sessions"], data["priorities"]
    return Recipe(
        n=data["n"],
        arrivals=_arrivals(data["arrivals"]),
        rate=data["rate"],
        kinds={
            name: Kind(kind["share"], _law(kind["service"]), _law(kind["wait"]), kind["priority"])
            for name, kind in data["kinds"].items()
        },
        sessions=None if sessions is None else Sessions(**sessions),
        priorities=None if priorities is None else tuple(priorities),
        size_error=data["size_error"],
        payload=_law(data["payload"]),
        seed=data["seed"],
        replication=data["replication"],
    )


def is_portable(recipe: Recipe) -> bool:
    """Return whether `from_data` can rebuild it: False if a law or process is somebody's own."""
    laws = [recipe.payload]
    for kind in recipe.kinds.values():
        laws += [kind.service, kind.wait]
    if ARRIVALS.get(type(recipe.arrivals).__name__) is not type(recipe.arrivals):
        return False
    laws += [value for value in vars(recipe.arrivals).values() if isinstance(value, Law)]
    return all(isinstance(_law_data(law), dict) for law in laws)


def _law_data(law: Law) -> dict[str, Any] | str:
    if isinstance(law, ScipyLaw):
        import scipy.stats

        name = law.frozen.dist.name
        if type(getattr(scipy.stats, str(name), None)) is not type(law.frozen.dist):
            return repr(law)
        return {
            "law": f"{SCIPY}.{name}",
            "args": [_plain(value) for value in law.frozen.args],
            "kwds": {key: _plain(value) for key, value in law.frozen.kwds.items()},
            "factor": law.factor,
        }
    if LAWS.get(type(law).__name__) is not type(law):
        return repr(law)
    return {"law": type(law).__name__} | {key: _plain(v) for key, v in law.arguments.items()}


def _law(data: dict[str, Any]) -> Law:
    arguments = dict(data)
    name = arguments.pop("law")
    if name.startswith(SCIPY):
        import scipy.stats

        make = getattr(scipy.stats, name.removeprefix(f"{SCIPY}."), None)
        if not isinstance(make, scipy.stats.rv_continuous | scipy.stats.rv_discrete):
            raise InputError(f"{name} is not a distribution; the file is damaged")
        return ScipyLaw(make(*arguments["args"], **arguments["kwds"]), arguments["factor"])
    made: Law = _known(LAWS, name)(**arguments)
    return made


def _arrivals_data(process: Any) -> dict[str, Any] | str:
    if ARRIVALS.get(type(process).__name__) is not type(process):
        return repr(process)
    return {"process": type(process).__name__} | {
        key: _law_data(value) if isinstance(value, Law) else _plain(value)
        for key, value in vars(process).items()
    }


def _arrivals(data: dict[str, Any]) -> Any:
    arguments = {
        key: _law(value) if isinstance(value, dict) else value
        for key, value in data.items()
        if key != "process"
    }
    return _known(ARRIVALS, data["process"])(**arguments)


def _known(classes: dict[str, Any], name: str) -> Any:
    if name not in classes:
        raise InputError(f"{name!r} is not known here; the file is of a newer lbsim: update it")
    return classes[name]


def _plain(value: Any) -> Any:
    """Return NumPy's numbers and arrays, and tuples, as Python's numbers and lists."""
    if isinstance(value, np.ndarray | np.generic | tuple):
        return np.asarray(value).tolist()
    return value

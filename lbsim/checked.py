"""A policy under guard: the interpreted drivers fail where the compiled engine would.

Compiled code has fixed types: an integer field that is given a float would be cut off, a
product beyond 64 bits would wrap, an index out of range would read garbage. Interpreted code
would go on with something else. So the readable engine and `live` run a policy behind this
guard, which gives its fields the compiled types and turns every violation, and every exception
of the policy, into an explained `PolicyError`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lbsim.errors import InputError, PolicyError
from lbsim.mistakes import check_methods, check_slots, explained, when
from lbsim.policy import Policy

__all__ = ["fresh", "guarded"]

_REMEDIES = {
    "int": "make it a float in prepare(), or convert with int(...)",
    "bool": "assign True or False",
    "array": "write into it, self.{name}[i] = ..., instead of replacing it",
}


def fresh(policy: Policy, n_workers: int) -> Policy:
    """Return a prepared copy of a policy, under guard.

    Parameters
    ----------
    policy : Policy
        Not changed.
    n_workers : int

    Raises
    ------
    InputError
        `prepare` refuses a parameter.
    PolicyError
        The constructor or `prepare` does not keep the contract.
    """
    check_methods(type(policy))  # type: ignore[arg-type]  # classes are hashable
    copy = policy.clone()
    try:
        copy.prepare(n_workers)
    except InputError:
        raise
    except Exception as error:
        raise explained(copy, "prepare", f"(n_workers = {n_workers})", error) from error
    check_slots(copy)
    return _guard(copy)


def _guard(policy: Policy) -> Policy:
    kinds: dict[str, str] = {}
    state = vars(policy)
    for name, value in state.items():
        if isinstance(value, Policy):
            _guard(value)
            kinds[name] = "policy"
        elif isinstance(value, bool | np.bool_):
            kinds[name] = "bool"
        elif isinstance(value, int | np.integer):
            kinds[name] = "int"
            state[name] = _as_int64(policy, name, value)
        elif isinstance(value, float | np.floating):
            kinds[name] = "float"
            state[name] = np.float64(value)
        elif isinstance(value, np.ndarray):
            kinds[name] = "array"
        else:
            kinds[name] = "other"
    state["_kinds"] = kinds
    policy.__class__ = guarded(type(policy))  # type: ignore[arg-type]  # classes are hashable
    return policy


@functools.lru_cache(maxsize=256)
def guarded(kind: type[Policy]) -> type[Policy]:
    """Return the class with guarded attributes and methods."""
    members: dict[str, Any] = {"__setattr__": _set, "__module__": kind.__module__}
    for name, check in _CHECKS.items():
        if getattr(kind, name) is not getattr(Policy, name):
            members[name] = _watched(kind, name, check)
    guard = type(kind.__name__, (kind,), members)
    guard.__qualname__ = kind.__qualname__
    return guard


def _set(self: Policy, name: str, value: Any) -> None:
    """Assign a field as the compiled engine would, or say why it cannot."""
    kinds = vars(self)["_kinds"]
    kind = kinds.get(name)
    if kind is None:
        raise PolicyError(
            f"{type(self).__name__} makes self.{name} during a run; create it in prepare(), "
            "so that every engine knows its type from the start"
        )
    if kind == "int":
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
            raise _wrong_type(self, name, value, kind)
        value = _as_int64(self, name, value)
    elif kind == "float":
        if not isinstance(value, int | float | np.integer | np.floating):
            raise _wrong_type(self, name, value, kind)
        value = np.float64(value)
    elif (kind == "bool" and not isinstance(value, bool | np.bool_)) or kind in (
        "array",
        "policy",
    ):
        raise _wrong_type(self, name, value, kind)
    vars(self)[name] = value


def _wrong_type(policy: Policy, name: str, value: Any, kind: str) -> PolicyError:
    article = "an" if kind in ("int", "array") else "a"
    remedy = _REMEDIES.get(kind, f"assign {article} {kind}").format(name=name)
    return PolicyError(
        f"{type(policy).__name__}: self.{name} = {value!r} is of type {type(value).__name__}, "
        f"but prepare() made it {article} {kind} and a field keeps its type; {remedy}"
    )


def _as_int64(policy: Policy, name: str, value: Any) -> np.int64:
    if not -(2**63) <= value < 2**63:
        raise PolicyError(
            f"{type(policy).__name__}: self.{name} = {value} does not fit into 64 bits; "
            "mask it (value & 0x7FFFFFFFFFFFFFFF) or keep it smaller"
        )
    return np.int64(value)


# --- methods -------------------------------------------------------------------------------


def _choice(policy: Policy, value: Any) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        hint = " (is a return missing on some path?)" if value is None else ""
        raise PolicyError(
            f"{type(policy).__name__}.choose returned {value!r}{hint}, which is of type "
            f"{type(value).__name__}; return the index of a worker in cluster.up (an int), HOLD "
            "or SHED"
        )
    return int(value)


def _rank(policy: Policy, value: Any) -> float:
    if not isinstance(value, int | float | np.number) or math.isnan(value):
        raise PolicyError(
            f"{type(policy).__name__}.rank returned {value!r}; return a number that is not NaN "
            "(smallest is served first)"
        )
    return float(value)


def _flag(policy: Policy, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise PolicyError(
            f"{type(policy).__name__}.may_take returned {value!r}; return True or False"
        )
    return bool(value)


def _nothing(policy: Policy, value: Any) -> None:
    """A hook's result is ignored."""


_CHECKS: dict[str, Callable[[Policy, Any], Any]] = {
    "choose": _choice,
    "rank": _rank,
    "may_take": _flag,
    "on_complete": _nothing,
    "on_down": _nothing,
    "on_up": _nothing,
    "on_ready": _nothing,
    "on_report": _nothing,
}


def _watched(
    kind: type[Policy], name: str, check: Callable[[Policy, Any], Any]
) -> Callable[..., Any]:
    """Return a method that explains what goes wrong in it."""
    method = getattr(kind, name)

    @functools.wraps(method)
    def watched(self: Policy, *arguments: Any) -> Any:
        try:
            # NumPy scalars only warn of an overflow or a division by zero; both must stop.
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                value = method(self, *arguments)
            return check(self, value)
        except PolicyError:
            raise
        except Exception as error:
            raise explained(self, name, when(arguments), error) from error

    return watched

"""What goes wrong in a policy, said so that its author can mend it.

Policies are written by people who read an error message for the first time. Every exception in
one becomes a `PolicyError` with the time, the request and the line of *their* code; the mistakes
that are made most often get the remedy as well.
"""

import functools
import inspect
import linecache
import traceback
from typing import Any

import numpy as np

from lbsim.errors import PolicyError
from lbsim.policy import ClusterView, Policy, Request

__all__ = ["check_methods", "check_slots", "explained", "when"]

# What is asked of a policy, and what `prepare` is told.
METHODS = (
    "prepare", "choose", "rank", "may_take", "on_complete", "on_down", "on_up", "on_ready",
    "on_report",
)  # fmt: skip


@functools.lru_cache(maxsize=256)
def check_methods(kind: type[Policy]) -> None:
    """Refuse a class whose methods cannot be called as they will be.

    Raises
    ------
    PolicyError
        A method has other parameters than the base class's.
    """
    for name in METHODS:
        method = inspect.getattr_static(kind, name)
        if not inspect.isfunction(method):
            raise PolicyError(
                f"{kind.__name__}.{name} is a {type(method).__name__}, not a plain method; write "
                f"def {name}{inspect.signature(getattr(Policy, name))} in the class"
            )
        expected = list(inspect.signature(getattr(Policy, name)).parameters)
        try:
            inspect.signature(method).bind(*expected)
        except TypeError:
            given = ", ".join(inspect.signature(method).parameters)
            forgot = "self" not in given.split(", ")[:1] and name in vars(kind)
            raise PolicyError(
                f"{kind.__name__}.{name} has the parameters ({given}) but is called with "
                f"({', '.join(expected)}); {'self comes first: ' if forgot else ''}"
                f"write def {name}({', '.join(expected)})"
            ) from None


def check_slots(policy: Policy) -> None:
    """Refuse a prepared policy under which no worker may ever have a request."""
    slots = policy.slots
    if isinstance(slots, bool) or not isinstance(slots, int | np.integer) or slots < 1:
        raise PolicyError(
            f"{type(policy).__name__}.slots = {slots!r} must be a whole number of at least 1: so "
            "many requests may sit at a worker; leave it out for no limit"
        )


def when(arguments: tuple[Any, ...]) -> str:
    """Say at what time, and for which request, a method was called."""
    for argument in arguments:
        if isinstance(argument, Request):
            known = ", ".join(
                f"{name}={getattr(argument, name):.6g}"
                for name in ("key", "kind", "priority", "size")
            )
            return f"at t = {argument.time:.6g} s for request({known})"
    times = [a for a in arguments if isinstance(a, float)]
    return f"at t = {times[-1]:.6g} s" if times else ""


def explained(policy: Policy, method: str, situation: str, error: Exception) -> PolicyError:
    """Turn an exception of a policy into one that names the line."""
    frames = traceback.extract_tb(error.__traceback__)
    own = inspect.unwrap(getattr(type(policy), method)).__code__.co_filename
    # The innermost line of the policy's own file: deeper ones are of a library it calls.
    frame = next((f for f in reversed(frames) if f.filename == own), frames[-1])
    line = (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
    return PolicyError(
        f"{type(policy).__name__}.{method} raised {type(error).__name__}: {error} {situation}; "
        f"the line is {frame.lineno}: {line}{_remedy(policy, error, line)}"
    )


def _remedy(policy: Policy, error: Exception, line: str) -> str:
    """Return what helps against a frequent mistake, or nothing."""
    text = str(error)
    if "read-only" in text or "can't set attribute" in text:
        return (
            ". What a policy is shown of the cluster and of a request cannot be changed: keep an "
            "array of your own, made in prepare()"
        )
    if isinstance(error, AttributeError):
        for shown, name in ((ClusterView, "cluster"), (Request, "request")):
            if f"'{shown.__name__}' object" in text:
                return f". A {name} has {', '.join(f for f in shown._fields if f != 'index')}"
        if f"'{type(policy).__name__}' object" in text:
            return ". Make it in prepare(self, n_workers), or store it in __init__"
    if isinstance(error, IndexError) and "cluster.up[" in line:
        return ". cluster.up lists the workers that are up: its length changes as they come and go"
    if "request.service" in line and not policy.oracle:
        return (
            ". request.service is NaN unless the class says oracle = True, since no real master "
            "knows it; request.size is the client's estimate"
        )
    return ""

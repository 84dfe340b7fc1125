"""The dispatcher and the shipped policies, made quick for the interpreter.

A compiled engine reads an element of an array in a nanosecond; the interpreter needs eighty, and
gets a NumPy number that is slow to compute with. A memoryview of the same memory needs half of
that, a list a fifth, and both give a plain number. So the live master runs the same functions on
lists where there is an element a worker, and on memoryviews where there is one a request.

A policy of somebody else may use any array operation, and may have a bug: it sees arrays, so that
the dispatcher has memoryviews of the same memory, and runs behind the guard of `lbsim.checked`.
The shipped ones have passed the contract test, also in this form (`tests/live/test_quick.py`),
and need neither.
"""

from typing import Any

import numpy as np

from lbsim.checked import fresh
from lbsim.dispatch import Core, Requests
from lbsim.policy import Policy

__all__ = ["is_shipped", "prepared", "quick", "quick_rows"]

_OF_WORKERS = (
    "count", "up", "is_up", "ready", "in_flight", "seen", "slots", "latency", "index"
)  # fmt: skip
_OF_TICKETS = ("place", "attempts", "handed")
_SMALL = 4096  # a list needs several times the memory of an array


def is_shipped(policy: Policy) -> bool:
    """Whether a policy, and every policy it is made of, is one of `lbsim.policies`."""
    parts = [value for value in policy.parameters().values() if isinstance(value, Policy)]
    return type(policy).__module__.startswith("lbsim.policies.") and all(map(is_shipped, parts))


def prepared(policy: Policy, n: int) -> Policy:
    """Return a prepared copy of a policy for `n` workers."""
    if not is_shipped(policy):
        return fresh(policy, n)
    copy = policy.clone()
    copy.prepare(n)
    _quicken(copy)
    return copy


def _view(array: Any) -> Any:
    return memoryview(array)


def _quicken(policy: Policy) -> None:
    for name, value in vars(policy).items():
        if isinstance(value, Policy):
            _quicken(value)
        elif isinstance(value, np.ndarray):
            setattr(policy, name, value.tolist() if value.size <= _SMALL else _view(value))


def quick_rows(requests: Requests) -> Requests:
    """Return the same requests seen through memoryviews."""
    columns: Any = map(_view, requests)
    return Requests(*columns)


def quick(core: Core, policy: Policy) -> Core:
    """Return the same core in plain lists and memoryviews, and so, if it is shipped, its policy.

    The core that was given is not to be used any more.
    """
    views: Any = {name: _view(getattr(core, name)) for name in _OF_TICKETS}
    queues: Any = {name: _view(column) for name, column in core.queues._asdict().items()}
    shown = core.shown
    if is_shipped(policy):
        views |= {name: getattr(core, name).tolist() for name in _OF_WORKERS}
        queues |= {name: getattr(core.queues, name).tolist() for name in ("first", "last", "root")}
        if core.seen is core.in_flight:
            views["seen"] = views["in_flight"]
        seen = {name: views[name] for name in ("up", "is_up", "slots", "latency", "index")}
        shown = shown._replace(**seen, in_flight=views["seen"], weight=shown.weight.tolist())
    else:
        views |= {name: _view(getattr(core, name)) for name in _OF_WORKERS}
    return core._replace(queues=core.queues._replace(**queues), shown=shown, **views)

"""The dispatcher and the shipped policies, made quick for the interpreter.

A compiled engine reads an element of an array in a nanosecond; the interpreter needs eighty, and
gets a NumPy number that is slow to compute with. A memoryview of the same memory needs half of
that and gives a plain number. So the live master runs the same functions on memoryviews.

A policy of somebody else may use any array operation, and may have a bug: it sees arrays and runs
behind the guard of `lbsim.checked`. The shipped ones have passed the contract test, also on
memoryviews (`tests/live/test_quick.py`), and need neither.
"""

from typing import Any

import numpy as np

from lbsim.checked import fresh
from lbsim.dispatch import Core, Requests
from lbsim.policy import Policy

__all__ = ["is_shipped", "prepared", "quick", "quick_rows"]

_ARRAYS = (
    "count", "up", "is_up", "ready", "in_flight", "seen", "slots", "latency", "index", "place",
    "attempts", "handed",
)  # fmt: skip
_SEEN = ("up", "is_up", "in_flight", "slots", "weight", "latency", "index")


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
            setattr(policy, name, _view(value))


def quick_rows(requests: Requests) -> Requests:
    """Return the same requests seen through memoryviews."""
    columns: Any = map(_view, requests)
    return Requests(*columns)


def quick(core: Core, policy: Policy) -> Core:
    """Return the same core seen through memoryviews, and so, if it is shipped, by its policy."""
    views: Any = {name: _view(getattr(core, name)) for name in _ARRAYS}
    lists: Any = {name: _view(column) for name, column in core.queues._asdict().items()}
    seen: Any = {}
    if is_shipped(policy):
        seen = {name: _view(getattr(core.shown, name)) for name in _SEEN}
    return core._replace(
        queues=core.queues._replace(**lists), shown=core.shown._replace(**seen), **views
    )

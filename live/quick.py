"""The dispatcher and the shipped policies, made quick for the interpreter.

A compiled engine reads an element of an array in a nanosecond; the interpreter needs eighty, and
gets a NumPy number that is slow to compute with. A memoryview of the same memory needs half of
that, a list a fifth, and both give a plain number. A field of a named tuple takes the interpreter
as long as a memoryview's element, one of an object with slots a third. So the live master
runs the same functions on such objects, of lists.

A policy of somebody else may use any array operation, and may have a bug: it sees named tuples of
arrays, so that the dispatcher has memoryviews of the same memory, and runs behind the guard of
`lbsim.checked`. The shipped ones have passed the contract test, also in this form
(`tests/live/test_quick.py`), and need neither.
"""

from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from lbsim import dispatch
from lbsim.checked import fresh
from lbsim.dispatch import NONE, Core, Requests, held, sight, transitions
from lbsim.dispatch.core import N_UP
from lbsim.policy import ClusterView, Policy, Request

__all__ = ["is_shipped", "prepared", "quick", "quick_dispatch", "quick_rows"]

_OF_WORKERS = (
    "count", "up", "is_up", "ready", "in_flight", "seen", "slots", "latency", "index"
)  # fmt: skip
_OF_TICKETS = ("place", "attempts", "handed")
_SMALL = 4096  # a list of a policy's may need several times the memory of an array


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


def quick_rows(core: Core) -> Requests:
    """Return the requests of a quick core in the form in which they are quick to write."""
    if isinstance(core.requests.key, list):
        return core.requests
    columns: Any = map(_view, core.requests)
    return _slotted(Requests(*columns))


def quick(core: Core, policy: Policy) -> Core:
    """Return the same core in plain lists and memoryviews, and so, if it is shipped, its policy.

    The core that was given is not to be used any more.
    """
    parts: Any = {name: getattr(core, name).tolist() for name in _OF_TICKETS}
    lists: Any = {name: column.tolist() for name, column in core.queues._asdict().items()}
    parts["queues"] = _slotted(core.queues._replace(**lists))
    parts["settings"] = _slotted(core.settings)
    shown = core.shown
    if is_shipped(policy):
        columns: Any = [column.tolist() for column in core.requests]
        parts["requests"] = _slotted(Requests(*columns))
        parts |= {name: getattr(core, name).tolist() for name in _OF_WORKERS}
        if core.seen is core.in_flight:
            parts["seen"] = parts["in_flight"]
        seen = {name: parts[name] for name in ("up", "is_up", "slots", "latency", "index")}
        parts["shown"] = _slotted(
            shown._replace(**seen, in_flight=parts["seen"], weight=shown.weight.tolist())
        )
    else:
        parts |= {name: _view(getattr(core, name)) for name in _OF_WORKERS}
    return _slotted(core._replace(**parts))


def _slotted(fields: Any) -> Any:
    """Return an object with the fields of a named tuple."""
    kind = type(type(fields).__name__, (), {"__slots__": fields._fields})
    copy = kind()
    for name, value in fields._asdict().items():
        setattr(copy, name, value)
    return copy


def _shown(core: Core, now: float) -> ClusterView:
    """Return what `lbsim.dispatch.view` does, and make nothing while all workers are up."""
    shown = core.shown  # load information is never old here
    return shown if core.count[N_UP] == len(shown.up) else dispatch.view(core, now)


def _asked(core: Core, now: float, ticket: int) -> Request:
    """Return what `lbsim.dispatch.request_of` does, without the call that its constructor is."""
    rows = core.requests  # one a ticket here
    fields = (
        now, rows.key[ticket], rows.kind[ticket], rows.priority[ticket], rows.size[ticket],
        rows.service[ticket],
    )  # fmt: skip
    return tuple.__new__(Request, fields)


def _changed(core: Core, _now: float, worker: int, change: int) -> None:
    """Do what `lbsim.dispatch.sight.change_load` does: load information is never old here."""
    core.in_flight[worker] += change
    sight.reindex(core, worker)


def _any_open(core: Core, policy: Policy, request: Request) -> int:
    """Find what `lbsim.dispatch` does, and look at no worker while each has all it may have.

    That is so whenever requests wait for want of workers, and to compare two lists is quick.
    """
    if core.in_flight == core.slots:
        return NONE
    return transitions._any_open(core, policy, request)


_INSTEAD = {
    "view": _shown, "request_of": _asked, "change_load": _changed, "_any_open": _any_open
}  # fmt: skip


def _showing() -> ModuleType:
    """Return `lbsim.dispatch` with transitions that call what is quicker here."""
    functions: dict[str, Any] = {**vars(held), **vars(transitions), **_INSTEAD}
    for module in (held, transitions):
        for name, function in vars(module).items():
            is_own = isinstance(function, FunctionType) and function.__module__ == module.__name__
            if is_own and name not in _INSTEAD:
                functions[name] = FunctionType(
                    function.__code__, functions, name, function.__defaults__
                )
    showing = ModuleType(dispatch.__name__)
    vars(showing).update(
        {name: functions.get(name, vars(dispatch)[name]) for name in dispatch.__all__}
    )
    return showing


_SHOWING = _showing()


def quick_dispatch(policy: Policy) -> ModuleType:
    """Return `lbsim.dispatch`; for a shipped policy, with less that is made for each request.

    Somebody else's policy might keep what it is shown.
    """
    return _SHOWING if is_shipped(policy) else dispatch

"""The general path as a kernel: `lbsim.engines.compiled.general`, compiled as it is.

Every function of it, of the dispatcher and of what they use is made known to Numba from here,
so that none of these modules needs Numba.
"""

import importlib
from types import FunctionType
from typing import Any

from numba import njit, typeof, types
from numba.extending import register_jitable

from lbsim.dispatch import Core
from lbsim.dispatch.core import CHOICE
from lbsim.dispatch.sight import request_of, view
from lbsim.engines.compiled import general, known, views  # noqa: F401  (their overloads)
from lbsim.engines.compiled.cache import KernelCache
from lbsim.engines.compiled.general import layout
from lbsim.engines.compiled.general.advance import advance
from lbsim.engines.compiled.general.build import make_state
from lbsim.engines.compiled.parts import PART, parts_stay_parts
from lbsim.engines.compiled.reference import by_reference
from lbsim.engines.compiled.value import PolicyValue
from lbsim.engines.interrupt import Interrupt
from lbsim.engines.plan import Plan, new_core, with_sessions
from lbsim.engines.progress import Progress
from lbsim.engines.record import Record
from lbsim.policy import Policy

__all__ = ["GeneralRun"]

_MODULES = (
    "lbsim.physics",
    "lbsim.queues",
    "lbsim.dispatch.sight",
    "lbsim.dispatch.held",
    "lbsim.dispatch.transitions",
    *(
        f"lbsim.engines.compiled.general.{name}"
        for name in (
            "calendar", "notes", "lines", "service", "synchronous", "sharing", "event_loop",
            "workers", "handover", "clients", "supervisor", "completion", "mishaps", "advance",
        )
    ),
)  # fmt: skip


def _register() -> None:
    for name in _MODULES:
        module = importlib.import_module(name)
        for function in vars(module).values():
            if isinstance(function, FunctionType) and function.__module__ == name:
                register_jitable(**PART)(function)


_register()


def _general(state: Any, policy: Any, budget: Any) -> Any:
    """Let at most `budget` events happen (`general.advance`)."""
    return advance(by_reference(state), policy, budget)


def _alone(state: Any, policy: Any, now: Any, worker: Any, ticket: Any) -> None:
    """Call all that the dispatcher calls of a policy, with what it is called with."""
    core = by_reference(state).core
    request = request_of(core, now, ticket)
    cluster = view(core, now)
    core.count[CHOICE] = policy.choose(request, cluster)
    core.queues.rank[ticket] = policy.rank(request)
    if policy.may_take(worker, request):
        policy.on_complete(request, worker, now, now, cluster)
        policy.on_down(worker, now, cluster)
        policy.on_up(worker, now, cluster)
        policy.on_ready(worker, now, cluster)


kernel = njit(_general, nogil=True, error_model="numpy", _nrt=False)
kernel._cache = KernelCache("general", "")
_policy_alone = njit(_alone, **PART)


class GeneralRun:
    """A run on the general path.

    Parameters
    ----------
    plan : Plan
    policy : Policy
        Prepared.
    value : PolicyValue
        Of that policy.
    """

    def __init__(self, plan: Plan, policy: Policy, value: PolicyValue) -> None:
        self.plan = with_sessions(plan)
        self.policy = policy
        self.value = value
        self.core: Core = new_core(self.plan, policy)
        self.state = make_state(self.plan, self.core)

    def compile(self) -> None:
        """Compile the kernel, or load it; raises whatever Numba does if it cannot."""
        signature = self._signature()
        with parts_stay_parts():
            if not self.is_at_hand():
                # What cannot be compiled is found here in no time: within the kernel, Numba tries
                # every function on the way to it in several ways. What is compiled is used there.
                _policy_alone.compile((*signature[:2], types.float64, types.int64, types.int64))
            kernel.compile(signature)

    def is_at_hand(self) -> bool:
        """Say whether the kernel has been compiled before, in this process or another one."""
        signature = self._signature()
        return signature in kernel.overloads or kernel._cache.holds(signature, kernel.targetctx)

    def _signature(self) -> tuple[Any, ...]:
        return typeof(self.state), typeof(self.value), typeof(0)

    def run(self) -> Record:
        """Let everything happen; Ctrl-C ends it with what has happened until then."""
        with Progress(self.plan.n) as progress, Interrupt() as interrupt:

            def look(come: int) -> bool:
                progress.done(come)
                return not interrupt.wanted

            return general.run_from(self.state, self.policy, self.value, kernel, look)

    def at(self) -> tuple[int, float]:
        """Return the number of the last request that has come, and the time, in seconds."""
        come = self.plan.n if self.plan.closed else int(self.state.count[layout.ROW])
        return max(come - 1, 0), float(self.state.clock[0])

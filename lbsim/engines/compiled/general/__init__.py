"""The general path of the compiled engine: one loop of events that does everything.

It does what the readable engine does, in the same order, with the same dispatcher
(`lbsim.dispatch`), the same formulas (`lbsim.physics`) and the same policy, and returns the same
`Record`, to the last bit. It is written as plain functions on numbers and arrays, without Numba:

- interpreted, ``run(plan, policy, core)`` takes a policy from `lbsim.checked.fresh` and a core
  from `lbsim.engines.plan.new_core`; that is slow, and how the logic is tested without compiling;
- compiled, ``run(plan, policy, core, value, advance)`` takes `advance` as compiled by the caller,
  and the compiled policy `value` that it is to be given. Numba must have been told of every
  function of the modules of this package, of `lbsim.dispatch`, `lbsim.queues` and
  `lbsim.physics` (``register_jitable``), and of how to call methods of `value`.

Read it in this order:

- `layout`: what is kept, in which arrays;
- `calendar`: what happens next;
- `notes`, `lines`, `service`: what all workers have in common;
- `synchronous`, `sharing`, `event_loop`, `workers`: three kinds of worker;
- `handover`: the master hands over, and workers take what is held;
- `clients`, `supervisor`, `completion`, `mishaps`: as the readable engine's modules;
- `advance`: the loop;
- `build`: from a plan to arrays, and from these to a record.
"""

from collections.abc import Callable
from typing import Any

from lbsim.dispatch import Core
from lbsim.engines.compiled.general import layout
from lbsim.engines.compiled.general.advance import advance as advance_interpreted
from lbsim.engines.compiled.general.build import enlarged, make_state, record_of
from lbsim.engines.complaints import bad_choice
from lbsim.engines.plan import Plan, with_sessions
from lbsim.engines.record import Record
from lbsim.policy import Policy

__all__ = ["run"]

BUDGET = 1 << 20  # events between two looks at the caller: a fraction of a second when compiled


def run(
    plan: Plan,
    policy: Policy,
    core: Core,
    value: Any = None,
    advance: Callable[[layout.State, Any, int], int] = advance_interpreted,
    look: Callable[[int], bool] | None = None,
    budget: int = BUDGET,
) -> Record:
    """Simulate a plan.

    Parameters
    ----------
    plan : Plan
    policy : Policy
        Prepared; named in complaints.
    core : Core
        A fresh dispatcher for this plan and policy.
    value : object, optional
        What `advance` is given as the policy; `policy` itself by default.
    advance : callable, optional
        ``advance(state, value, budget) -> status``; interpreted by default.
    look : callable, optional
        Called between two portions of `budget` events with the number of requests that have
        come so far; if it returns False the run ends there, and the record holds what has
        happened. So does a KeyboardInterrupt that it turns into False.
    budget : int
        Events in a portion.

    Raises
    ------
    PolicyError
        The policy chose a worker that is not up.
    """
    state = make_state(with_sessions(plan), core)
    policy_value = policy if value is None else value
    while True:
        status = advance(state, policy_value, budget)
        if status == layout.FINISHED:
            break
        if status == layout.FULL:
            state = enlarged(state)
        elif status == layout.BAD_CHOICE:
            ticket = int(state.count[layout.FAILED])
            raise bad_choice(policy, core, float(state.clock[0]), ticket)
        elif look is not None and not look(int(state.count[layout.ROW])):
            break
    return record_of(state)

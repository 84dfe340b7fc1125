"""The general path of the compiled engine: one loop of events that does everything.

It does what the readable engine does, in the same order, with the same dispatcher
(`lbsim.dispatch`), the same formulas (`lbsim.physics`) and the same policy, and returns the same
`Record`, to the last bit. It is written as plain functions on numbers and arrays, without Numba:

- `run` interprets it: that is slow, and how the logic is tested without compiling;
- `lbsim.engines.compiled.kernel` compiles it, and goes on by `run_from`.

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
from lbsim.engines.compiled.general.advance import advance
from lbsim.engines.compiled.general.build import enlarged, make_state, record_of
from lbsim.engines.complaints import bad_choice
from lbsim.engines.plan import Plan, with_sessions
from lbsim.engines.record import Record
from lbsim.policy import Policy

__all__ = ["run", "run_from"]

BUDGET = 1 << 20  # events between two looks at the caller: a fraction of a second when compiled


def run(
    plan: Plan,
    policy: Policy,
    core: Core,
    look: Callable[[int], bool] | None = None,
    budget: int = BUDGET,
) -> Record:
    """Simulate a plan, interpreted.

    Parameters
    ----------
    plan : Plan
    policy : Policy
        From `lbsim.checked.fresh`.
    core : Core
        A fresh dispatcher for this plan and policy.
    look, budget
        See `run_from`.

    Raises
    ------
    PolicyError
        The policy chose a worker that is not up.
    """
    state = make_state(with_sessions(plan), core)
    return run_from(state, policy, policy, advance, look, budget)


def run_from(
    state: layout.State,
    policy: Policy,
    value: Any,
    advance: Callable[[layout.State, Any, int], int],
    look: Callable[[int], bool] | None = None,
    budget: int = BUDGET,
) -> Record:
    """Simulate from a state on.

    Parameters
    ----------
    state : State
    policy : Policy
        Named in complaints.
    value : object
        What `advance` is given as the policy.
    advance : callable
        ``advance(state, value, budget) -> status``.
    look : callable, optional
        Called between two portions of `budget` events with the number of requests that have
        come so far. If it returns False the run ends there; the record holds what has happened.
    budget : int
        Events in a portion.

    Raises
    ------
    PolicyError
        The policy chose a worker that is not up.
    """
    while True:
        status = advance(state, value, budget)
        if status == layout.FINISHED:
            break
        if status == layout.FULL:
            state = enlarged(state)
        elif status == layout.BAD_CHOICE:
            ticket = int(state.count[layout.FAILED])
            raise bad_choice(policy, state.core, float(state.clock[0]), ticket)
        elif look is not None and not look(int(state.count[layout.ROW])):
            break
    return record_of(state)

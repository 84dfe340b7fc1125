"""The event-loop worker (`lbsim.engines.readable.event_loop.EventLoop`), but for its turns.

What a turn does needs the master and the clients; see `turns`.
"""

import math

from lbsim.engines import plan as p
from lbsim.engines.compiled.general.calendar import push
from lbsim.engines.compiled.general.layout import (
    ACCEPTED,
    ANSWERS,
    DUE,
    HANDLE_STEP,
    NO_STEP,
    PREVIOUS,
    QUEUE,
    READY,
    SERVING,
    SPEED,
    STEP,
    STEP_END,
    STEP_LEFT,
    STEP_TICKET,
    TURN_AT,
    TURN_DUE,
    TURNING,
    Loop,
    State,
)
from lbsim.engines.compiled.general.lines import append, remove
from lbsim.engines.compiled.general.service import can_work, is_alive
from lbsim.hashing import uniform
from lbsim.physics import end_of_work, quantile, work_left
from lbsim.queues import NONE

__all__ = [
    "await_answer",
    "begin",
    "drop",
    "go_on",
    "has_work",
    "pause",
    "rouse",
    "take_time",
    "wake",
]


def rouse(s: State, loop: Loop, now: float, worker: int, ticket: int, later_s: float) -> bool:
    """Wake for a ticket, `later_s` after the first that does. Return whether the loop slept."""
    if s.worker[worker, TURNING] or not is_alive(s, s.faults, worker):
        return False
    s.worker[worker, TURNING] = 1
    wakes_s = quantile(loop.wake, uniform(loop.wake_seed, ticket))
    s.pace[worker, TURN_AT] = now + wakes_s + later_s
    if can_work(s, s.faults, worker):
        _plan_turn(s, now, worker)
    return True


def begin(s: State, now: float, worker: int) -> None:
    """Let a turn begin, unless one is under way or there is nothing to do."""
    if s.worker[worker, TURNING] or not can_work(s, s.faults, worker):
        return
    if has_work(s, worker):
        s.worker[worker, TURNING] = 1
        s.pace[worker, TURN_AT] = now
        _plan_turn(s, now, worker)


def has_work(s: State, worker: int) -> bool:
    """Say whether there is something for a turn to do."""
    return (
        s.worker[worker, QUEUE] != NONE
        or s.worker[worker, ACCEPTED] != NONE
        or s.worker[worker, READY] != NONE
    )


def _plan_turn(s: State, now: float, worker: int) -> None:
    time = max(now, s.pace[worker, TURN_AT])
    s.pace[worker, TURN_DUE] = time
    push(s, time, p.TURN, worker, 0)


def take_time(s: State, now: float, worker: int, step: int, ticket: int, work: float) -> None:
    """Begin a step that takes time."""
    s.worker[worker, STEP] = step
    s.worker[worker, STEP_TICKET] = ticket
    s.pace[worker, STEP_LEFT] = work
    s.pace[worker, STEP_END] = now
    _plan_step(s, now, worker)


def _plan_step(s: State, now: float, worker: int) -> None:
    if s.pace[worker, STEP_LEFT] > 0.0:
        s.pace[worker, STEP_END] = end_of_work(
            now, s.pace[worker, STEP_LEFT], s.pace[worker, SPEED]
        )
    time = max(now, s.pace[worker, STEP_END])
    ticket = s.worker[worker, STEP_TICKET]
    if s.worker[worker, STEP] == HANDLE_STEP:
        s.moment[ticket, DUE] = time
        push(s, time, p.COMPLETION, worker, ticket)
    else:
        s.pace[worker, TURN_DUE] = time
        push(s, time, p.TURN, worker, ticket)


def await_answer(s: State, now: float, worker: int, ticket: int, wait: float) -> None:
    """A handler has computed and waits, which leaves the loop free."""
    append(s, worker, SERVING, ticket)
    s.moment[ticket, DUE] = now + wait
    push(s, now + wait, p.COMPLETION, worker, ticket)


def wake(s: State, now: float, worker: int, ticket: int) -> None:
    """Waiting is over; the answer needs a turn."""
    remove(s, worker, SERVING, ticket)
    append(s, worker, READY, ticket)
    begin(s, now, worker)


def pause(s: State, now: float, worker: int) -> None:
    """Stop in the middle of a step. Timers run on; a turn that was due comes later."""
    s.pace[worker, TURN_DUE] = math.nan
    if s.worker[worker, STEP] != NO_STEP:
        if s.worker[worker, STEP] == HANDLE_STEP:
            s.moment[s.worker[worker, STEP_TICKET], DUE] = math.nan
        left = 0.0
        if now < s.pace[worker, STEP_END]:
            left = work_left(s.pace[worker, STEP_END], now, s.pace[worker, SPEED])
        s.pace[worker, STEP_LEFT] = left


def go_on(s: State, now: float, worker: int) -> None:
    """Go on with the step, or begin the turn that was due."""
    if s.worker[worker, STEP] != NO_STEP:
        _plan_step(s, now, worker)
    elif s.worker[worker, TURNING]:
        _plan_turn(s, now, worker)


def drop(s: State, worker: int, ticket: int) -> bool:
    """Take a ticket out of service, unless its handler computes. Return whether it was."""
    if s.worker[worker, STEP] != NO_STEP and s.worker[worker, STEP_TICKET] == ticket:
        return False  # a handler that blocks cannot be stopped
    if not math.isnan(s.moment[ticket, DUE]):
        s.moment[ticket, DUE] = math.nan
        remove(s, worker, SERVING, ticket)
    elif _is_in(s, worker, READY, ticket):
        remove(s, worker, READY, ticket)
    else:
        remove(s, worker, ANSWERS, ticket)
    return True


def _is_in(s: State, worker: int, line: int, ticket: int) -> bool:
    """Say whether the line holds this ticket; the links of its ends tell."""
    while ticket != NONE:
        if s.worker[worker, line] == ticket:
            return True
        ticket = s.ticket[ticket, PREVIOUS]
    return False

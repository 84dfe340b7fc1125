"""Work or waiting is over: answers, and the turns of event loops."""

import math

from lbsim import dispatch
from lbsim.engines import record
from lbsim.engines.compiled.general import event_loop, notes, sharing, synchronous
from lbsim.engines.compiled.general.clients import answered
from lbsim.engines.compiled.general.handover import follow
from lbsim.engines.compiled.general.layout import (
    ACCEPT_STEP,
    ACCEPTED,
    ACCEPTS,
    ANSWERS,
    AT_WORKERS,
    DUE,
    HANDLE_STEP,
    HANDLES,
    LOOK,
    NO_STEP,
    QUEUE,
    READY,
    SETUP_STEP,
    STEP,
    STEP_TICKET,
    STEP_WAIT,
    TURN_DUE,
    TURNING,
    Loop,
    Sharing,
    State,
)
from lbsim.engines.compiled.general.lines import append, remove
from lbsim.engines.compiled.general.service import drop_if_gone, is_alive, note_start, row_of
from lbsim.engines.compiled.general.supervisor import served
from lbsim.hashing import uniform
from lbsim.policy import Policy
from lbsim.queues import NONE

__all__ = ["end_of_step", "turn"]


def _completed(s: State, policy: Policy, now: float, worker: int, ticket: int) -> None:
    """A worker has answered; it begins what it can, and takes what it may."""
    wanted = answered(s, s.patience, policy, now, ticket)
    notes.ended(s, now, ticket, record.ANSWERED if wanted else record.WASTED)
    s.count[AT_WORKERS] -= 1
    found = dispatch.complete(s.core, policy, now, worker, ticket)
    served(s, s.faults, now, worker)
    follow(s, s.master, policy, now, worker, found)


def end_of_step(
    s: State,
    share: Sharing | None,
    loop: Loop | None,
    policy: Policy,
    now: float,
    worker: int,
    ticket: int,
) -> None:
    """What a worker did for a ticket is over."""
    if share is not None:
        if sharing.end_of_step(s, share, now, worker, ticket):
            _completed(s, policy, now, worker, ticket)
    elif loop is not None:
        s.moment[ticket, DUE] = math.nan
        if s.worker[worker, STEP] != NO_STEP and s.worker[worker, STEP_TICKET] == ticket:
            _end_of_handler(s, loop, policy, now, worker, ticket)
        else:
            event_loop.wake(s, now, worker, ticket)
    else:
        synchronous.done(s, s.faults, worker, ticket)
        _completed(s, policy, now, worker, ticket)


# --- event loops -----------------------------------------------------------------------------


def _end_of_handler(
    s: State, loop: Loop, policy: Policy, now: float, worker: int, ticket: int
) -> None:
    s.worker[worker, STEP] = NO_STEP
    if s.pace[worker, STEP_WAIT] > 0.0:
        event_loop.await_answer(s, now, worker, ticket, s.pace[worker, STEP_WAIT])
    else:
        _completed(s, policy, now, worker, ticket)
    _go_on(s, loop, policy, now, worker)


def turn(s: State, loop: Loop, policy: Policy, now: float, worker: int) -> None:
    """Begin a turn, or go on with one: a connection has been accepted, or set up."""
    s.pace[worker, TURN_DUE] = math.nan
    step = s.worker[worker, STEP]
    if step != NO_STEP:
        if s.worker[worker, ACCEPTS] == NONE and not s.core.settings.needs_ack:
            _move(s, worker, QUEUE, ACCEPTS)
        s.worker[worker, STEP] = NO_STEP
        ticket = s.worker[worker, STEP_TICKET]
        if step == SETUP_STEP:
            _keep(s, worker, ticket)
        elif _accept(s, loop, policy, now, worker, ticket):
            return
    else:
        if s.core.settings.at_turns and s.worker[worker, QUEUE] == NONE:
            found = dispatch.looked(s.core, policy, now, worker)
            follow(s, s.master, policy, now, worker, found)
        # Look once at what is ready; what comes later is for the next turn.
        _move(s, worker, READY, ANSWERS)
        _move(s, worker, QUEUE, ACCEPTS)
        _move(s, worker, ACCEPTED, HANDLES)
        s.pace[worker, LOOK] = loop.turn_s
    _go_on(s, loop, policy, now, worker)


def _move(s: State, worker: int, source: int, target: int) -> None:
    """Move a whole line to where an empty one is."""
    s.worker[worker, target] = s.worker[worker, source]
    s.worker[worker, target + 1] = s.worker[worker, source + 1]
    s.worker[worker, source] = NONE
    s.worker[worker, source + 1] = NONE


def _go_on(s: State, loop: Loop, policy: Policy, now: float, worker: int) -> None:
    """Go on with this turn until something takes time."""
    while is_alive(s, s.faults, worker):
        if s.worker[worker, ANSWERS] != NONE:
            ticket = s.worker[worker, ANSWERS]
            remove(s, worker, ANSWERS, ticket)
            _completed(s, policy, now, worker, ticket)
        elif s.worker[worker, ACCEPTS] != NONE:
            ticket = s.worker[worker, ACCEPTS]
            remove(s, worker, ACCEPTS, ticket)
            cost = loop.accept_s + s.pace[worker, LOOK]
            s.pace[worker, LOOK] = 0.0
            if cost > 0.0:
                event_loop.take_time(s, now, worker, ACCEPT_STEP, ticket, cost)
                return
            if _accept(s, loop, policy, now, worker, ticket):
                return
        elif s.worker[worker, HANDLES] != NONE:
            ticket = s.worker[worker, HANDLES]
            remove(s, worker, HANDLES, ticket)
            if not drop_if_gone(s, ticket):
                s.pace[worker, STEP_WAIT] = note_start(s, now, worker, ticket)
                work = s.work[row_of(s, ticket)]
                event_loop.take_time(s, now, worker, HANDLE_STEP, ticket, work)
                return
        else:
            if s.core.settings.at_turns and not event_loop.has_work(s, worker):
                found = dispatch.idle(s.core, policy, now, worker)
                follow(s, s.master, policy, now, worker, found)
            s.worker[worker, TURNING] = 0
            event_loop.begin(s, now, worker)
            return


def _accept(s: State, loop: Loop, policy: Policy, now: float, worker: int, ticket: int) -> bool:
    """Acknowledge a connection. Return whether to set it up takes time."""
    if not s.core.settings.at_turns:
        found = dispatch.accepted(s.core, policy, now, worker)
        follow(s, s.master, policy, now, worker, found)
    if (
        loop.setup_s > 0.0
        and not s.gone[ticket]
        and uniform(loop.setup_seed, ticket) < loop.setup_share
    ):
        event_loop.take_time(s, now, worker, SETUP_STEP, ticket, loop.setup_s)
        return True
    _keep(s, worker, ticket)
    return False


def _keep(s: State, worker: int, ticket: int) -> None:
    """Have a connection whose handler is to run, unless its client has gone."""
    if not drop_if_gone(s, ticket):
        append(s, worker, ACCEPTED, ticket)

"""What fate and the master do to a worker, whatever its kind."""

import math

from lbsim.engines import plan as p
from lbsim.engines import record
from lbsim.engines.compiled.general import event_loop, notes, sharing, synchronous
from lbsim.engines.compiled.general.layout import (
    ACCEPTED,
    ACCEPTS,
    ALIVE,
    ANSWERS,
    DUE,
    HANDLES,
    HUNG,
    IN_SERVICE,
    LIVES,
    NEXT,
    NO_STEP,
    QUEUE,
    READY,
    SERVING,
    SPEED,
    STEP,
    STEP_TICKET,
    TURN_DUE,
    TURNING,
    Loop,
    Sharing,
    State,
)
from lbsim.engines.compiled.general.service import is_alive
from lbsim.queues import NONE

__all__ = ["boot", "die", "hang", "resume", "set_speed", "take_back"]


def boot(s: State, worker: int) -> None:
    """Come up with an empty memory."""
    s.worker[worker, ALIVE] = 1
    s.worker[worker, LIVES] += 1


def hang(s: State, now: float, worker: int) -> None:
    """Stand still."""
    _pause(s, s.sharing, s.loop, now, worker)
    s.worker[worker, HUNG] = 1


def resume(s: State, now: float, worker: int) -> None:
    """Go on as if nothing had been; what it can begin, the caller sees to."""
    s.worker[worker, HUNG] = 0
    _go_on(s, s.sharing, s.loop, now, worker)


def set_speed(s: State, now: float, worker: int, speed: float) -> None:
    """Compute faster or more slowly from now on."""
    works = s.worker[worker, ALIVE] != 0 and s.worker[worker, HUNG] == 0
    if works:
        _pause(s, s.sharing, s.loop, now, worker)
    s.pace[worker, SPEED] = speed
    if works:
        _go_on(s, s.sharing, s.loop, now, worker)


def _pause(s: State, share: Sharing | None, loop: Loop | None, now: float, worker: int) -> None:
    if share is not None:
        sharing.pause(s, share, now, worker)
    elif loop is not None:
        event_loop.pause(s, now, worker)
    else:
        synchronous.pause(s, now, worker)


def _go_on(s: State, share: Sharing | None, loop: Loop | None, now: float, worker: int) -> None:
    if share is not None:
        sharing.go_on(s, share, now, worker)
    elif loop is not None:
        event_loop.go_on(s, now, worker)
    else:
        synchronous.go_on(s, now, worker)


def take_back(
    s: State,
    share: Sharing | None,
    loop: Loop | None,
    now: float,
    worker: int,
    ticket: int,
    level: int,
) -> bool:
    """Drop a request nobody waits for, if `level` reaches it. Return whether it did."""
    if not is_alive(s, s.faults, worker) or level < p.QUEUED:
        return False
    if not notes.has_started(s, ticket):
        s.gone[ticket] = True  # the worker finds its connection closed when it gets there
        return True
    if level < p.SERVICE:
        return False
    if share is not None:
        sharing.drop(s, share, now, worker, ticket)
        return True
    if loop is not None:
        return event_loop.drop(s, worker, ticket)
    synchronous.done(s, s.faults, worker, ticket)
    return True


# --- death -----------------------------------------------------------------------------------


def die(
    s: State, share: Sharing | None, loop: Loop | None, now: float, worker: int, crashed: bool
) -> None:
    """Stop existing; a crash goes down in the record of every ticket that was there."""
    _forget_line(s, now, worker, QUEUE, crashed)
    _forget_line(s, now, worker, SERVING, crashed)
    if share is not None:
        ticket = sharing.forget_computing(s, share, worker)
        while ticket != NONE:
            _forget(s, now, ticket, crashed)
            ticket = sharing.forget_computing(s, share, worker)
    if loop is not None:
        _forget_loop(s, now, worker, crashed)
    s.worker[worker, IN_SERVICE] = 0
    s.worker[worker, ALIVE] = 0
    s.worker[worker, HUNG] = 0


def _forget_loop(s: State, now: float, worker: int, crashed: bool) -> None:
    if s.worker[worker, STEP] != NO_STEP:
        _forget(s, now, s.worker[worker, STEP_TICKET], crashed)
    for line in (READY, ACCEPTED, ANSWERS, ACCEPTS, HANDLES):
        _forget_line(s, now, worker, line, crashed)
    s.worker[worker, STEP] = NO_STEP
    s.worker[worker, TURNING] = 0
    s.pace[worker, TURN_DUE] = math.nan


def _forget_line(s: State, now: float, worker: int, line: int, crashed: bool) -> None:
    ticket = s.worker[worker, line]
    while ticket != NONE:
        _forget(s, now, ticket, crashed)
        ticket = s.ticket[ticket, NEXT]
    s.worker[worker, line] = NONE
    s.worker[worker, line + 1] = NONE


def _forget(s: State, now: float, ticket: int, crashed: bool) -> None:
    s.moment[ticket, DUE] = math.nan
    s.gone[ticket] = False
    if crashed:
        notes.ended(s, now, ticket, record.CRASHED)

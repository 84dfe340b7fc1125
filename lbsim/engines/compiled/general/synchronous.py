"""The synchronous worker (`lbsim.engines.readable.workers.Synchronous`)."""

import math

from lbsim.engines import plan as p
from lbsim.engines.compiled.general.calendar import push
from lbsim.engines.compiled.general.layout import (
    DUE,
    END,
    IN_SERVICE,
    LEFT,
    NEXT,
    QUEUE,
    SERVING,
    SPEED,
    WAIT,
    Faults,
    State,
)
from lbsim.engines.compiled.general.lines import append, remove
from lbsim.engines.compiled.general.service import drop_if_gone, note_start, row_of
from lbsim.physics import end_of_work, work_left
from lbsim.queues import NONE

__all__ = ["begin_next", "done", "go_on", "pause"]


def begin_next(s: State, faults: Faults | None, now: float, worker: int) -> None:
    """Begin to serve the first of the queue."""
    ticket = s.worker[worker, QUEUE]
    remove(s, worker, QUEUE, ticket)
    if drop_if_gone(s, ticket):
        return
    s.moment[ticket, WAIT] = note_start(s, now, worker, ticket)
    s.moment[ticket, LEFT] = s.work[row_of(s, ticket)]
    s.moment[ticket, END] = now
    s.worker[worker, IN_SERVICE] += 1
    if faults is not None:  # somebody may have to know who is in service
        append(s, worker, SERVING, ticket)
    _plan_completion(s, now, worker, ticket)


def _plan_completion(s: State, now: float, worker: int, ticket: int) -> None:
    left = s.moment[ticket, LEFT]
    end = s.moment[ticket, END]
    if left > 0.0:
        end = end_of_work(now, left, s.pace[worker, SPEED])
        s.moment[ticket, END] = end
    time = max(now, end + s.moment[ticket, WAIT])
    s.moment[ticket, DUE] = time
    push(s, time, p.COMPLETION, worker, ticket)


def done(s: State, faults: Faults | None, worker: int, ticket: int) -> None:
    """A ticket leaves service, served or taken back."""
    s.moment[ticket, DUE] = math.nan
    s.worker[worker, IN_SERVICE] -= 1
    if faults is not None:
        remove(s, worker, SERVING, ticket)


def pause(s: State, now: float, worker: int) -> None:
    """Stop in the middle of everything."""
    ticket = s.worker[worker, SERVING]
    while ticket != NONE:
        s.moment[ticket, DUE] = math.nan
        end = s.moment[ticket, END]
        left = 0.0
        if now < end:
            left = work_left(end, now, s.pace[worker, SPEED])
        s.moment[ticket, LEFT] = left
        ticket = s.ticket[ticket, NEXT]


def go_on(s: State, now: float, worker: int) -> None:
    """Go on with everything."""
    ticket = s.worker[worker, SERVING]
    while ticket != NONE:
        _plan_completion(s, now, worker, ticket)
        ticket = s.ticket[ticket, NEXT]

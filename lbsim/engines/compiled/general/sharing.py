"""The processor-sharing worker (`lbsim.engines.readable.sharing.Sharing`)."""

import math

from lbsim import queues
from lbsim.engines import plan as p
from lbsim.engines.compiled.general.calendar import push
from lbsim.engines.compiled.general.layout import (
    CONCURRENCY,
    DEPARTING,
    DUE,
    END,
    HUNG,
    IN_SERVICE,
    NEXT,
    QUEUE,
    SERVING,
    SINCE,
    SPEED,
    VIRTUAL,
    WAIT,
    Sharing,
    State,
)
from lbsim.engines.compiled.general.lines import append, remove
from lbsim.engines.compiled.general.service import can_work, drop_if_gone, note_start, row_of
from lbsim.physics import departure, virtual_time
from lbsim.queues import NONE

__all__ = ["begin", "drop", "end_of_step", "forget_computing", "go_on", "pause"]


def begin(s: State, sharing: Sharing, now: float, worker: int) -> None:
    """Begin to serve queued requests."""
    if not can_work(s, s.faults, worker):
        return
    while (
        s.worker[worker, QUEUE] != NONE
        and s.worker[worker, IN_SERVICE] < s.worker[worker, CONCURRENCY]
    ):
        ticket = s.worker[worker, QUEUE]
        remove(s, worker, QUEUE, ticket)
        if drop_if_gone(s, ticket):
            continue
        _advance(s, sharing, now, worker)
        s.moment[ticket, WAIT] = note_start(s, now, worker, ticket)
        sharing.computing.rank[ticket] = s.pace[worker, VIRTUAL] + s.work[row_of(s, ticket)]
        queues.push(sharing.computing, worker, ticket, True)
        sharing.count[worker] += 1
        s.worker[worker, IN_SERVICE] += 1
    _plan_departure(s, sharing, now, worker)


def _advance(s: State, sharing: Sharing, now: float, worker: int) -> None:
    """Bring virtual time up to now; it stands still while the worker does."""
    if s.worker[worker, HUNG]:
        return
    if sharing.count[worker] > 0:
        s.pace[worker, VIRTUAL] = virtual_time(
            s.pace[worker, VIRTUAL],
            s.pace[worker, SINCE],
            now,
            s.pace[worker, SPEED],
            sharing.count[worker],
        )
    else:
        s.pace[worker, VIRTUAL] = 0.0
    s.pace[worker, SINCE] = now


def _plan_departure(s: State, sharing: Sharing, now: float, worker: int) -> None:
    planned = s.worker[worker, DEPARTING]
    if sharing.count[worker] == 0 or s.worker[worker, HUNG]:
        _call_off(s, worker)
        return
    _advance(s, sharing, now, worker)
    ticket = queues.front(sharing.computing, worker)
    time = max(
        now,
        departure(
            s.pace[worker, VIRTUAL],
            sharing.computing.rank[ticket],
            now,
            s.pace[worker, SPEED],
            sharing.count[worker],
        ),
    )
    if ticket == planned and s.moment[ticket, DUE] == time:
        return  # it stands as it was
    _call_off(s, worker)
    s.worker[worker, DEPARTING] = ticket
    s.moment[ticket, DUE] = time
    push(s, time, p.COMPLETION, worker, ticket)


def _call_off(s: State, worker: int) -> None:
    """Expect no departure."""
    if s.worker[worker, DEPARTING] != NONE:
        s.moment[s.worker[worker, DEPARTING], DUE] = math.nan
        s.worker[worker, DEPARTING] = NONE


def end_of_step(s: State, sharing: Sharing, now: float, worker: int, ticket: int) -> bool:
    """Computing or waiting is over. Return whether the request has been served."""
    s.moment[ticket, DUE] = math.nan
    if s.worker[worker, DEPARTING] != ticket:
        remove(s, worker, SERVING, ticket)
        s.worker[worker, IN_SERVICE] -= 1
        return True
    # Set, not computed: rounding must not leave a last crumb of work.
    s.pace[worker, VIRTUAL] = sharing.computing.rank[ticket]
    s.pace[worker, SINCE] = now
    s.worker[worker, DEPARTING] = NONE
    _take_out(sharing, worker, ticket)
    if s.moment[ticket, WAIT] > 0.0:
        s.moment[ticket, END] = now + s.moment[ticket, WAIT]
        sharing.computing.rank[ticket] = math.nan
        append(s, worker, SERVING, ticket)
        _plan_answer(s, now, worker, ticket)
        _plan_departure(s, sharing, now, worker)
        return False
    s.worker[worker, IN_SERVICE] -= 1
    return True


def _plan_answer(s: State, now: float, worker: int, ticket: int) -> None:
    time = max(now, s.moment[ticket, END])
    s.moment[ticket, DUE] = time
    push(s, time, p.COMPLETION, worker, ticket)


def _take_out(sharing: Sharing, worker: int, ticket: int) -> None:
    queues.remove(sharing.computing, worker, ticket, True)
    sharing.count[worker] -= 1


def pause(s: State, sharing: Sharing, now: float, worker: int) -> None:
    """Stop in the middle of everything."""
    _advance(s, sharing, now, worker)
    _call_off(s, worker)
    ticket = s.worker[worker, SERVING]
    while ticket != NONE:
        s.moment[ticket, DUE] = math.nan
        ticket = s.ticket[ticket, NEXT]


def go_on(s: State, sharing: Sharing, now: float, worker: int) -> None:
    """Go on with everything."""
    s.pace[worker, SINCE] = now
    ticket = s.worker[worker, SERVING]
    while ticket != NONE:
        _plan_answer(s, now, worker, ticket)
        ticket = s.ticket[ticket, NEXT]
    _plan_departure(s, sharing, now, worker)


def drop(s: State, sharing: Sharing, now: float, worker: int, ticket: int) -> None:
    """Take a ticket out of service."""
    s.worker[worker, IN_SERVICE] -= 1
    if math.isnan(sharing.computing.rank[ticket]):  # it waits
        s.moment[ticket, DUE] = math.nan
        remove(s, worker, SERVING, ticket)
    else:
        _advance(s, sharing, now, worker)
        if s.worker[worker, DEPARTING] == ticket:
            _call_off(s, worker)
        _take_out(sharing, worker, ticket)
        _plan_departure(s, sharing, now, worker)


def forget_computing(s: State, sharing: Sharing, worker: int) -> int:
    """Take any ticket that computes out of the worker. Return it, or NONE."""
    _call_off(s, worker)
    ticket = queues.front(sharing.computing, worker)
    if ticket != NONE:
        _take_out(sharing, worker, ticket)
    return ticket

"""The loop: what happens next, until nothing does."""

import math

from lbsim.engines import plan as p
from lbsim.engines.compiled.general import calendar, completion, handover, mishaps
from lbsim.engines.compiled.general.clients import decide, hedge, send, timed_out, try_
from lbsim.engines.compiled.general.layout import (
    AT_WORKERS,
    BAD_CHOICE,
    BEGUN,
    BUSY,
    FAILED,
    FINISHED,
    FULL,
    GOING_ON,
    JOB_NUMBER,
    JOBS,
    PAGES,
    ROW,
    SIZE,
    TURN_DUE,
    Faults,
    Loop,
    Master,
    Patience,
    State,
)
from lbsim.engines.compiled.general.service import is_due
from lbsim.policy import Policy
from lbsim.queues import NONE

__all__ = ["advance", "room_needed"]

N_HELD = 1  # of the dispatcher's counters


def advance(s: State, policy: Policy, budget: int) -> int:
    """Let at most `budget` events happen.

    Returns
    -------
    int
        FINISHED, GOING_ON, FULL or BAD_CHOICE (see `layout`). Call it again after the first
        three of them but FINISHED; after FULL with a state whose arrays have grown.
    """
    if s.count[BEGUN] == 0:
        s.count[BEGUN] = 1
        _begin(s, s.faults, policy)
    for _ in range(budget):
        if s.count[FAILED] != NONE:
            return BAD_CHOICE
        if _is_full(s, s.master):
            return FULL
        time = calendar.next_time(s)
        kind, row = _first_alarm(s, s.patience, time)
        if kind != NONE:
            _alarm(s, s.patience, policy, kind, row)
            continue
        row = s.count[ROW]
        if row < len(s.arrival) and s.arrival[row] < time:
            # An arrival is the last thing that happens at its instant.
            s.count[ROW] = row + 1
            now = s.arrival[row]
            s.clock[0] = now
            _given(s, policy, now, send(s, policy, now, row))
        elif time == math.inf:
            return FINISHED
        else:
            s.clock[0] = time
            _happen(s, policy, time, calendar.take_next(s))
    return GOING_ON


def _begin(s: State, faults: Faults | None, policy: Policy) -> None:
    """Boot the workers, and let the first requests and faults come."""
    for worker in range(len(s.worker)):
        mishaps.boot(s, s.faults, policy, 0.0, worker)
    for row in range(min(s.clients, len(s.think))):
        calendar.push(s, 0.0 + s.think[row], p.ARRIVAL, 0, row)
    if faults is not None:
        mishaps.schedule_fault(s, faults)


def _happen(s: State, policy: Policy, now: float, key: int) -> None:
    """An event of the heap happens."""
    kind = calendar.kind_of(key)
    worker = calendar.worker_of(key)
    ticket = calendar.ticket_of(key)
    if kind == p.COMPLETION:
        if is_due(s, now, worker, ticket):
            completion.end_of_step(s, s.sharing, s.loop, policy, now, worker, ticket)
    elif kind == p.TURN:
        _turn(s, s.loop, policy, now, worker)
    elif kind == p.MASTER:
        _master_done(s, s.master, policy, now, ticket)
    elif kind == p.ARRIVAL:
        _given(s, policy, now, send(s, policy, now, ticket))
    elif kind == p.RETRY:
        _retry(s, s.patience, policy, now, ticket)
    elif kind == p.UP:
        mishaps.boot(s, s.faults, policy, now, worker)
    else:
        _fault(s, s.faults, policy, now, worker, ticket)


def _given(s: State, policy: Policy, now: float, worker: int) -> None:
    """A worker (or NONE) has been given a ticket."""
    if worker != NONE:
        handover.settle(s, s.sharing, s.loop, policy, now, worker, True)


def _turn(s: State, loop: Loop | None, policy: Policy, now: float, worker: int) -> None:
    if loop is not None and s.pace[worker, TURN_DUE] == now:
        completion.turn(s, loop, policy, now, worker)


def _fault(
    s: State, faults: Faults | None, policy: Policy, now: float, worker: int, number: int
) -> None:
    if faults is not None:
        mishaps.fault(s, faults, policy, now, worker, number)


def _master_done(s: State, master: Master | None, policy: Policy, now: float, ticket: int) -> None:
    """The master has finished a job."""
    if master is not None:
        s.count[BUSY] = 0
        number = s.count[JOB_NUMBER]
        if number == NONE:
            if master.accepting[ticket]:  # otherwise its client has closed the connection
                master.accepting[ticket] = False
                decide(s, policy, now, ticket)
        elif master.handing[ticket] == number:  # otherwise taken back, or its worker died
            master.handing[ticket] = NONE
            worker = s.core.place[ticket]
            handover.put(s, now, worker, ticket)
            _given(s, policy, now, worker)
        handover.work(s, master, now)


# --- clients' alarms -------------------------------------------------------------------------


def _first_alarm(s: State, patience: Patience | None, time: float) -> tuple[int, int]:
    """Return the kind and the request of the alarm that comes before all else, or NONE."""
    first = NONE
    row = NONE
    if patience is not None:
        if s.count[ROW] < len(s.arrival):
            time = min(time, s.arrival[s.count[ROW]])
        timeout = calendar.first_alarm(patience.timeouts)
        # Only fault, up, completion and turn come before a timeout at the same instant.
        if timeout != NONE and _is_before(s, patience.timeouts.time[timeout], time, p.TIMEOUT, 0):
            first = p.TIMEOUT
            row = timeout
            time = patience.timeouts.time[timeout]
        other = calendar.first_alarm(patience.hedges)
        if other != NONE:
            at = patience.hedges.time[other]
            ticket = other * s.copies + patience.attempt[other] * patience.per_try + 1
            if at < time or (
                at == time and first == NONE and _is_before(s, at, time, p.RETRY, ticket)
            ):
                first = p.RETRY
                row = other
    return first, row


def _is_before(s: State, at: float, time: float, kind: int, ticket: int) -> bool:
    """Say whether an alarm comes before the first event of the heap, which is at `time`."""
    if at != time:
        return at < time
    if s.count[SIZE] == 0 or s.heap_time[0] > time:
        return True  # what is at this time is an arrival
    return calendar.key_of(kind, 0, ticket) < s.heap_key[0]


def _alarm(s: State, patience: Patience | None, policy: Policy, kind: int, row: int) -> None:
    """A client's alarm goes off."""
    if patience is not None:
        if kind == p.TIMEOUT:
            now = patience.timeouts.time[row]
            s.clock[0] = now
            timed_out(s, patience, policy, now, row)
        else:
            now = patience.hedges.time[row]
            s.clock[0] = now
            _given(s, policy, now, hedge(s, patience, policy, now, row))


def _retry(s: State, patience: Patience | None, policy: Policy, now: float, ticket: int) -> None:
    if patience is not None:
        row = ticket // s.copies
        number = (ticket - row * s.copies) // patience.per_try
        _given(s, policy, now, try_(s, s.patience, policy, now, row, number))


# --- room ------------------------------------------------------------------------------------


def room_needed(s: State) -> int:
    """Return how many handovers one event may bring: all that is held or at a worker, at most."""
    return s.core.count[N_HELD] + s.count[AT_WORKERS] + 4


def _is_full(s: State, master: Master | None) -> bool:
    """Say whether some array could be too small for the next event."""
    need = room_needed(s)
    if master is not None and s.count[JOBS] + need > len(master.job_ticket):
        return True
    return s.count[PAGES] + need > len(s.pages.ticket) or s.count[SIZE] + 2 * need > len(
        s.heap_time
    )

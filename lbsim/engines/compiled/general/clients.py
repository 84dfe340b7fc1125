"""The clients: send, wait, give up, try again, hedge (`lbsim.engines.readable.clients`)."""

import math

from lbsim import dispatch
from lbsim.dispatch import CHOICE, LOST
from lbsim.engines import plan as p
from lbsim.engines import record
from lbsim.engines.compiled.general import event_loop, notes
from lbsim.engines.compiled.general.calendar import alarm_off, push, set_alarm
from lbsim.engines.compiled.general.handover import add_job, follow, hand_over, work
from lbsim.engines.compiled.general.layout import (
    AT_WORKERS,
    FAILED,
    PAGE,
    Loop,
    Master,
    Patience,
    State,
)
from lbsim.engines.compiled.general.service import row_of
from lbsim.engines.compiled.general.supervisor import served
from lbsim.engines.compiled.general.workers import take_back
from lbsim.hashing import uniform
from lbsim.physics import patience as backoff
from lbsim.policy import HOLD, SHED, Policy
from lbsim.queues import NONE

__all__ = ["act", "answered", "decide", "hedge", "is_served", "send", "timed_out", "try_"]


# --- sending ---------------------------------------------------------------------------------


def send(s: State, policy: Policy, now: float, row: int) -> int:
    """Send a request for the first time. Return the worker that has it now, or NONE."""
    s.sent[row] = now
    return try_(s, s.patience, policy, now, row, 0)


def try_(
    s: State, patience: Patience | None, policy: Policy, now: float, row: int, number: int
) -> int:
    """Send try `number` of a request. Return the worker that has it now, or NONE."""
    ticket = row
    if patience is not None:
        patience.attempt[row] = number
        ticket = row * s.copies + number * patience.per_try
        if patience.timeout < math.inf:
            set_alarm(patience.timeouts, row, now + patience.timeout)
        if patience.hedge_after < math.inf:
            set_alarm(patience.hedges, row, now + patience.hedge_after)
        patience.wanted[ticket] = True
    return _reach_master(s, s.master, policy, now, ticket)


def hedge(s: State, patience: Patience, policy: Policy, now: float, row: int) -> int:
    """Send a second copy of the present try. Return the worker that has it now, or NONE."""
    alarm_off(patience.hedges, row)
    ticket = row * s.copies + patience.attempt[row] * patience.per_try + 1
    patience.wanted[ticket] = True
    return _reach_master(s, s.master, policy, now, ticket)


def _reach_master(s: State, master: Master | None, policy: Policy, now: float, ticket: int) -> int:
    if master is None:
        return decide(s, policy, now, ticket)
    master.accepting[ticket] = True
    add_job(s, master, ticket, NONE, False)
    work(s, master, now)
    return NONE


def decide(s: State, policy: Policy, now: float, ticket: int) -> int:
    """The master asks the dispatcher. Return the worker that has the ticket now, or NONE."""
    answer = dispatch.arrive(s.core, policy, now, ticket)
    return act(s, s.master, now, ticket, answer, True)


def act(
    s: State, master: Master | None, now: float, ticket: int, answer: int, at_once: bool
) -> int:
    """Do what the dispatcher says. Return the worker that has the ticket now, or NONE."""
    if answer >= 0:
        hand_over(s, s.master, now, answer, ticket, at_once)
        return answer if master is None else NONE
    if answer == SHED:
        _failed(s, s.patience, now, ticket, record.SHED)
    elif answer == LOST:
        _failed(s, s.patience, now, ticket, record.LOST)
    elif answer == HOLD:
        _rouse(s, s.loop, now, ticket)
    else:
        s.count[FAILED] = ticket
    return NONE


def _rouse(s: State, loop: Loop | None, now: float, ticket: int) -> None:
    """Wake the loop for which a ticket is held, and maybe after it all others that sleep.

    If loops take theirs at turns; else somebody is handed the ticket when there is room.
    """
    chosen = s.core.count[CHOICE]
    if loop is None or not s.core.settings.at_turns or chosen < 0:
        return
    n = len(s.worker)
    event_loop.rouse(s, loop, now, chosen, ticket, 0.0)
    later = 0
    for step in range(1, n if loop.herd_s > 0.0 else 1):
        other = (chosen + step) % n
        if event_loop.rouse(s, loop, now, other, ticket, (later + 1) * loop.herd_s):
            later += 1


# --- what the client hears -------------------------------------------------------------------


def answered(s: State, patience: Patience | None, policy: Policy, now: float, ticket: int) -> bool:
    """A copy has been answered. Return whether anybody still waited for it."""
    row = row_of(s, ticket)
    if patience is not None:
        if not patience.wanted[ticket]:
            return False
        patience.wanted[ticket] = False
    s.answered_by[row] = s.ticket[ticket, PAGE]
    if patience is not None and patience.per_try > 1:
        _give_up_copies(s, patience, policy, now, row)
    _close(s, s.patience, now, row, record.OK)
    return True


def _failed(s: State, patience: Patience | None, now: float, ticket: int, outcome: int) -> None:
    """A copy has been refused or lost."""
    row = row_of(s, ticket)
    if patience is None:
        _close(s, s.patience, now, row, outcome)
    elif patience.wanted[ticket]:
        patience.wanted[ticket] = False
        first = row * s.copies + patience.attempt[row] * patience.per_try
        for other in range(first, first + patience.per_try):
            if patience.wanted[other]:
                return
        _try_again(s, patience, now, row, outcome)


def timed_out(s: State, patience: Patience, policy: Policy, now: float, row: int) -> None:
    """A client gives a try up."""
    _give_up_copies(s, patience, policy, now, row)
    _try_again(s, patience, now, row, record.TIMEOUT)


def is_served(patience: Patience | None, ticket: int) -> bool:
    """Say whether a copy whose worker died is worth another worker."""
    if patience is None:
        return True
    return patience.wanted[ticket] or patience.take_back == p.NOTHING


def _try_again(s: State, patience: Patience, now: float, row: int, outcome: int) -> None:
    number = patience.attempt[row] + 1
    if number == patience.tries:
        _close(s, s.patience, now, row, outcome)
        return
    _alarms_off(patience, row)
    patience.attempt[row] = number
    ticket = row * s.copies + number * patience.per_try
    wait = backoff(
        patience.backoff,
        patience.backoff_factor,
        patience.jitter,
        number,
        uniform(patience.jitter_seed, ticket),
    )
    push(s, now + wait, p.RETRY, 0, ticket)


def _alarms_off(patience: Patience, row: int) -> None:
    if patience.timeout < math.inf:
        alarm_off(patience.timeouts, row)
    if patience.hedge_after < math.inf:
        alarm_off(patience.hedges, row)


def _close(s: State, patience: Patience | None, now: float, row: int, outcome: int) -> None:
    """The request is over; in a closed loop its client thinks, then sends the next."""
    if patience is not None:
        _alarms_off(patience, row)
        patience.attempt[row] = NONE
    s.finished[row] = now
    s.outcome[row] = outcome
    if s.clients > 0:
        following = row + s.clients
        if following < len(s.think):
            push(s, now + s.think[following], p.ARRIVAL, 0, following)


# --- taking back -----------------------------------------------------------------------------


def _give_up_copies(s: State, patience: Patience, policy: Policy, now: float, row: int) -> None:
    first = row * s.copies + patience.attempt[row] * patience.per_try
    for ticket in range(first, first + patience.per_try):
        if patience.wanted[ticket]:
            patience.wanted[ticket] = False
            _take_back(s, s.master, policy, now, ticket, patience.take_back)


def _take_back(
    s: State, master: Master | None, policy: Policy, now: float, ticket: int, level: int
) -> None:
    """A client has given up; what is taken back depends on where the request is."""
    if level == p.NOTHING:
        return
    if master is not None and master.accepting[ticket]:
        master.accepting[ticket] = False
        return
    place = s.core.place[ticket]
    if place < 0:
        return
    if place < len(s.worker):
        if not _is_stopped(s, s.master, now, place, ticket, level):
            return
        notes.ended(s, now, ticket, record.TAKEN_BACK)
        s.count[AT_WORKERS] -= 1
    worker = dispatch.cancel(s.core, now, ticket)
    if worker != NONE:
        served(s, s.faults, now, worker)
        found = dispatch.pull(s.core, policy, now, worker)
        follow(s, s.master, policy, now, worker, found)


def _is_stopped(
    s: State, master: Master | None, now: float, worker: int, ticket: int, level: int
) -> bool:
    """Stop a ticket on its way to a worker, or there. Return whether that worked."""
    if master is not None and master.handing[ticket] != NONE:
        master.handing[ticket] = NONE
        return True
    return take_back(s, s.sharing, s.loop, now, worker, ticket, level)

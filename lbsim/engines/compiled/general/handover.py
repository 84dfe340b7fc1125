"""The master hands over, and workers take what is held (`lbsim.engines.readable.master`).

A worker that begins a request says so, and may be given the next one, which it may begin as well,
and so on until nothing more happens at this instant: that is `settle`. In the readable engine
master and worker call each other for it; compiled code must do without such recursion.
"""

from lbsim import dispatch
from lbsim.engines import plan as p
from lbsim.engines.compiled.general import event_loop, notes, sharing, synchronous
from lbsim.engines.compiled.general.calendar import push
from lbsim.engines.compiled.general.layout import (
    BUSY,
    CONCURRENCY,
    IN_SERVICE,
    JOB_FIRST,
    JOB_NUMBER,
    JOB_TICKET,
    JOBS,
    QUEUE,
    Loop,
    Master,
    Sharing,
    State,
)
from lbsim.engines.compiled.general.lines import append
from lbsim.engines.compiled.general.service import can_work, is_alive, row_of
from lbsim.physics import handover_cost
from lbsim.policy import Policy
from lbsim.queues import NONE

__all__ = ["add_job", "follow", "hand_over", "put", "settle", "work"]


def hand_over(
    s: State, master: Master | None, now: float, worker: int, ticket: int, at_once: bool
) -> None:
    """Hand a ticket over, or let the master do so when it gets to it.

    Parameters
    ----------
    at_once : bool
        It has just been accepted and is handed over in the same breath; what is pulled out of
        the queue, or dispatched again, waits until the master gets to it.
    """
    page = notes.handed(s, ticket, worker)
    if master is None:
        put(s, now, worker, ticket)
    else:
        master.handing[ticket] = page
        add_job(s, master, ticket, page, at_once)
        work(s, master, now)


def put(s: State, now: float, worker: int, ticket: int) -> None:
    """Put a ticket into a worker's queue. A dead worker's channel swallows it."""
    notes.delivered(s, now, ticket)
    if is_alive(s, s.faults, worker):
        append(s, worker, QUEUE, ticket)


# --- the master's jobs -----------------------------------------------------------------------


def add_job(s: State, master: Master, ticket: int, number: int, first: bool) -> None:
    """Give the master something to do: the next thing, or the last."""
    mask = len(master.job_ticket) - 1  # the ring's size is a power of two
    if first:
        s.count[JOB_FIRST] -= 1
        place = s.count[JOB_FIRST] & mask
    else:
        place = (s.count[JOB_FIRST] + s.count[JOBS]) & mask
    s.count[JOBS] += 1
    master.job_ticket[place] = ticket
    master.job_number[place] = number


def work(s: State, master: Master, now: float) -> None:
    """Begin the next job if there is one and the master is not busy."""
    if s.count[BUSY] or s.count[JOBS] == 0:
        return
    place = s.count[JOB_FIRST] & (len(master.job_ticket) - 1)
    s.count[JOB_FIRST] += 1
    s.count[JOBS] -= 1
    ticket = master.job_ticket[place]
    number = master.job_number[place]
    if number == NONE:
        cost = master.accept_s
    else:
        payload = master.payload[row_of(s, ticket)]
        cost = handover_cost(master.dispatch_s, master.per_byte_s, payload)
    s.count[BUSY] = 1
    s.count[JOB_TICKET] = ticket
    s.count[JOB_NUMBER] = number
    push(s, now + cost, p.MASTER, 0, ticket)


# --- until nothing more happens at this instant ----------------------------------------------


def follow(
    s: State, master: Master | None, policy: Policy, now: float, worker: int, found: int
) -> None:
    """Hand over what a transition has found for a worker, and what else is held for it.

    Parameters
    ----------
    found : int
        A ticket, or NONE; the worker begins what it can in any case.
    """
    ticket = found
    while True:
        if ticket != NONE:
            hand_over(s, s.master, now, worker, ticket, False)
        if master is None or ticket == NONE:
            settle(s, s.sharing, s.loop, policy, now, worker, ticket != NONE)
        if ticket == NONE:
            return
        ticket = dispatch.pull(s.core, policy, now, worker)


def settle(
    s: State,
    share: Sharing | None,
    loop: Loop | None,
    policy: Policy,
    now: float,
    worker: int,
    given: bool,
) -> None:
    """Let a worker begin what it can, and take what it may for that.

    Parameters
    ----------
    given : bool
        A ticket has just been put into its queue.
    """
    if share is not None:
        # It says at once that it takes a ticket, and may then be given more.
        new = 1 if given else 0
        while new > 0:
            new -= 1
            if can_work(s, s.faults, worker):
                new += _accepted(s, s.master, policy, now, worker)
        sharing.begin(s, share, now, worker)
    elif loop is not None:
        if given:
            # What has just been put there is the last of the queue.
            event_loop.rouse(s, loop, now, worker, s.worker[worker, QUEUE + 1], 0.0)
        event_loop.begin(s, now, worker)
    else:
        # It says that it takes a ticket when it begins it.
        while (
            s.worker[worker, QUEUE] != NONE
            and s.worker[worker, IN_SERVICE] < s.worker[worker, CONCURRENCY]
            and can_work(s, s.faults, worker)
        ):
            synchronous.begin_next(s, s.faults, now, worker)
            _accepted(s, s.master, policy, now, worker)


def _accepted(s: State, master: Master | None, policy: Policy, now: float, worker: int) -> int:
    """A worker has taken a ticket. Return how many more this brings into its queue."""
    new = 0
    ticket = dispatch.accepted(s.core, policy, now, worker)
    while ticket != NONE:
        hand_over(s, s.master, now, worker, ticket, False)
        new += 1
        ticket = dispatch.pull(s.core, policy, now, worker)
    return new if master is None else 0

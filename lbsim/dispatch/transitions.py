"""The transitions: what happened to a request or a worker, and what the master does about it."""

import math

import numpy as np

from lbsim import queues
from lbsim.dispatch.core import (
    BAD_CHOICE,
    CHOICE,
    CURSOR,
    IDLE,
    LOST,
    N_HELD,
    N_UP,
    NEXT_SERIAL,
    Core,
)
from lbsim.dispatch.held import (
    first_for,
    hold,
    sort_by_serial,
    to_the_front,
    unhold,
    unhold_all_for,
)
from lbsim.dispatch.sight import change_load, reindex, request_of, view
from lbsim.policy import HOLD, SHED, Policy, Request
from lbsim.queues import NONE

__all__ = [
    "accepted",
    "arrive",
    "cancel",
    "complete",
    "idle",
    "kept",
    "looked",
    "pull",
    "refused",
    "reported",
    "resize",
    "retry_due",
    "spare",
    "take_down",
    "take_out",
    "worker_down",
    "worker_leaving",
    "worker_up",
]


def arrive(core: Core, policy: Policy, now: float, ticket: int) -> int:
    """A new ticket reaches the master. Return its worker, `HOLD` or `SHED`."""
    core.queues.serial[ticket] = core.count[NEXT_SERIAL]
    core.count[NEXT_SERIAL] += 1
    return _assign(core, policy, now, ticket)


def accepted(core: Core, policy: Policy, now: float, worker: int) -> int:
    """A worker acknowledges what it was handed. Return the held ticket that may follow."""
    was_ready = core.ready[worker]
    core.ready[worker] = True
    ticket = pull(core, policy, now, worker)
    news = core.settings.needs_ack and not was_ready
    if ticket == NONE and news and core.is_up[worker]:
        policy.on_ready(worker, now, view(core, now))
    return ticket


def looked(core: Core, policy: Policy, now: float, worker: int) -> int:
    """An event loop looks for a connection as its turn begins. Return the held ticket it takes.

    That is one at most, and whether there was one or not, the worker takes no other until its
    driver calls this again, or `idle` when the loop has nothing to do.
    """
    core.ready[worker] = True
    ticket = pull(core, policy, now, worker)
    core.ready[worker] = False
    return ticket


def idle(core: Core, policy: Policy, now: float, worker: int) -> int:
    """An event loop has nothing to do. Return the held ticket it takes, or it goes to sleep.

    It is not handed what comes then, since it must wake first: what the policy would give to it
    is held for it, and whoever calls `looked` before it has that.
    """
    ticket = looked(core, policy, now, worker)
    if ticket == NONE and core.is_up[worker]:
        policy.on_ready(worker, now, view(core, now))
    return ticket


def complete(core: Core, policy: Policy, now: float, worker: int, ticket: int) -> int:
    """A worker has answered. Return the held ticket that it takes next."""
    _take_away(core, now, worker, ticket)
    response = now - core.handed[ticket]
    _observe(core, worker, response)
    if core.settings.hears:
        policy.on_complete(request_of(core, now, ticket), worker, response, now, view(core, now))
    return pull(core, policy, now, worker)


def kept(
    core: Core, policy: Policy, now: float, worker: int, began: int, ended: int, response: float
) -> int:
    """A worker tells of requests it took without asking. Return the held ticket it takes next.

    They are further requests of connections that it keeps. They count as load and nothing
    more: nobody dispatched them, so nobody can dispatch them again. A worker may tell of
    several at once; `response` is the mean response time of those that ended.
    """
    change_load(core, now, worker, began - ended)
    if ended > 0:
        _observe(core, worker, response)
        if core.settings.hears:
            anonymous = Request(now, -1, 0, 0, math.nan, math.nan)
            policy.on_complete(anonymous, worker, response, now, view(core, now))
    return pull(core, policy, now, worker)


def cancel(core: Core, now: float, ticket: int) -> int:
    """A ticket is no longer wanted. Return the worker it was at, which may now `pull`."""
    n = len(core.in_flight)
    place = core.place[ticket]
    if place == IDLE:
        return NONE
    if place < n:
        _take_away(core, now, place, ticket)
        return place
    unhold(core, ticket)
    return NONE


def worker_down(core: Core, policy: Policy, now: float, worker: int) -> np.ndarray:
    """A worker is gone, and what it had with it.

    Returns
    -------
    ndarray of int64
        The tickets that were at the worker or waited for it, in order of arrival. They keep
        their place ahead of the queue; the driver calls `retry_due` for each, in this order,
        before it calls anything that returns tickets again: the array is the core's own.
    """
    return core.again[: take_down(core, policy, now, worker)]


def take_down(core: Core, policy: Policy, now: float, worker: int) -> int:
    """As `worker_down`, but return how many tickets there are in ``core.again``.

    For compiled code, which cannot return an array.
    """
    _leave(core, policy, now, worker)
    core.latency[worker] = 0.0
    core.ready[worker] = True
    q = core.queues
    found = 0
    ticket = q.first[worker]
    while ticket != NONE:
        following = q.next[ticket]
        _take_away(core, now, worker, ticket)
        core.again[found] = ticket
        found += 1
        ticket = following
    found = unhold_all_for(core, worker, found)
    if core.in_flight[worker] > 0:  # what it took without asking (see `kept`)
        change_load(core, now, worker, -core.in_flight[worker])
    sort_by_serial(core, found)
    to_the_front(core, found)
    return found


def worker_leaving(core: Core, policy: Policy, now: float, worker: int) -> np.ndarray:
    """A worker takes no new requests but finishes what it has.

    Returns
    -------
    ndarray of int64
        The tickets that waited for it, in order of arrival, as of `worker_down`.
    """
    return core.again[: take_out(core, policy, now, worker)]


def take_out(core: Core, policy: Policy, now: float, worker: int) -> int:
    """As `worker_leaving`, but return how many tickets there are in ``core.again``."""
    _leave(core, policy, now, worker)
    found = unhold_all_for(core, worker, 0)
    sort_by_serial(core, found)
    to_the_front(core, found)
    return found


def worker_up(core: Core, policy: Policy, now: float, worker: int) -> int:
    """A worker joins (or joins again). Return the first held ticket that it takes."""
    if not core.is_up[worker]:
        position = core.count[N_UP]
        while position > 0 and core.up[position - 1] > worker:
            core.up[position] = core.up[position - 1]
            position -= 1
        core.up[position] = worker
        core.count[N_UP] += 1
        core.is_up[worker] = True
        reindex(core, worker)
        core.ready[worker] = False  # it is about to say that it is ready
        policy.on_up(worker, now, view(core, now))
    return accepted(core, policy, now, worker)


def reported(core: Core, policy: Policy, now: float, worker: int, busy: float) -> None:
    """A worker says which share of its time it was busy lately: for the policy, if it listens."""
    if core.is_up[worker]:
        policy.on_report(worker, busy, now, view(core, now))


def resize(core: Core, policy: Policy, now: float, worker: int, slots: int) -> int:
    """Change how many requests may sit at a worker. Return the first held ticket it takes."""
    core.slots[worker] = slots
    return pull(core, policy, now, worker)


def refused(core: Core, policy: Policy, now: float, worker: int, ticket: int) -> int:
    """A worker hands a ticket back unserved; it is dispatched again, ahead of the queue.

    The refusal is also the worker's acknowledgement: the driver calls `accepted` next.
    """
    _take_away(core, now, worker, ticket)
    core.attempts[ticket] -= 1
    core.again[0] = ticket
    to_the_front(core, 1)
    return _assign(core, policy, now, ticket)


def spare(core: Core, ticket: int) -> None:
    """Let an attempt that failed not count: the worker died before it had begun the ticket."""
    core.attempts[ticket] -= 1


def retry_due(core: Core, policy: Policy, now: float, ticket: int) -> int:
    """Dispatch a ticket again whose worker failed. Return as `arrive`, or `LOST`."""
    if core.attempts[ticket] >= core.settings.max_attempts:
        return LOST
    return _assign(core, policy, now, ticket)


def pull(core: Core, policy: Policy, now: float, worker: int) -> int:
    """Give a worker the first held ticket that it may take. Return it, or `NONE`."""
    if core.count[N_HELD] == 0 or not _open(core, worker):
        return NONE
    ticket = first_for(core, policy, now, worker)
    if core.settings.at_turns and not core.settings.choosy:
        for other in range(len(core.in_flight)):
            ticket = _first_of(core, ticket, other)
    else:
        ticket = _first_of(core, ticket, worker)
    if ticket != NONE:
        unhold(core, ticket)
        _hand(core, now, worker, ticket)
    return ticket


# --- private parts -------------------------------------------------------------------------


def _first_of(core: Core, ticket: int, worker: int) -> int:
    """Return a held ticket (or `NONE`) or, if that comes before it, the first held for a worker."""
    own = queues.front(core.queues, len(core.in_flight) + worker)
    if own != NONE and (
        ticket == NONE or queues.before(core.queues, own, ticket, core.settings.ranked)
    ):
        return own
    return ticket


def _assign(core: Core, policy: Policy, now: float, ticket: int) -> int:
    """Ask the policy, check its answer and act on it."""
    request = request_of(core, now, ticket)
    if core.count[N_UP] == 0:
        return hold(core, policy, request, ticket, 2 * len(core.in_flight))
    worker = policy.choose(request, view(core, now))
    core.count[CHOICE] = worker
    if worker == HOLD:
        central = 2 * len(core.in_flight)
        worker = NONE
        # Where any worker may take any request, and one waits for any, none is open.
        if core.settings.choosy or queues.front(core.queues, central) == NONE:
            worker = _any_open(core, policy, request)
        if worker == NONE:
            return hold(core, policy, request, ticket, central)
    elif worker == SHED:
        return SHED
    elif worker < 0 or worker >= len(core.in_flight) or not core.is_up[worker]:
        return BAD_CHOICE
    if not _open(core, worker):
        return hold(core, policy, request, ticket, len(core.in_flight) + worker)
    _hand(core, now, worker, ticket)
    return worker


def _open(core: Core, worker: int) -> bool:
    return (
        core.is_up[worker]
        and core.in_flight[worker] < core.slots[worker]
        and (core.ready[worker] or not core.settings.needs_ack)
    )


def _any_open(core: Core, policy: Policy, request: Request) -> int:
    """Find a worker for a request that the policy would hold: the law forbids it to wait."""
    n_up = core.count[N_UP]
    first = core.count[CURSOR]
    in_flight, slots, ready = core.in_flight, core.slots, core.ready
    needs_ack, choosy = core.settings.needs_ack, core.settings.choosy
    for step in range(n_up):
        worker = core.up[(first + step) % n_up]
        if (  # `_open`, written out: for the live master a call for each worker is dear
            in_flight[worker] < slots[worker]
            and (ready[worker] or not needs_ack)
            and (not choosy or policy.may_take(worker, request))
        ):
            core.count[CURSOR] = (first + step + 1) % n_up
            return worker
    return NONE


def _hand(core: Core, now: float, worker: int, ticket: int) -> None:
    queues.append(core.queues, worker, ticket)
    core.place[ticket] = worker
    core.attempts[ticket] += 1
    core.handed[ticket] = now
    core.ready[worker] = False
    change_load(core, now, worker, 1)


def _take_away(core: Core, now: float, worker: int, ticket: int) -> None:
    queues.remove(core.queues, worker, ticket, False)
    core.place[ticket] = IDLE
    change_load(core, now, worker, -1)


def _observe(core: Core, worker: int, response: float) -> None:
    """Let a response time count in a worker's moving average."""
    if core.latency[worker] == 0.0:
        core.latency[worker] = response
    else:
        core.latency[worker] += core.settings.latency_gain * (response - core.latency[worker])


def _leave(core: Core, policy: Policy, now: float, worker: int) -> None:
    """Take a worker out of `up`, once."""
    if not core.is_up[worker]:
        return
    n_up = core.count[N_UP]
    position = 0
    while core.up[position] != worker:
        position += 1
    for i in range(position, n_up - 1):
        core.up[i] = core.up[i + 1]
    core.count[N_UP] -= 1
    core.is_up[worker] = False
    reindex(core, worker)
    policy.on_down(worker, now, view(core, now))

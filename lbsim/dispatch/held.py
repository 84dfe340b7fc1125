"""Held requests: where they stand, and which of them a worker takes first.

List w of the queues is what worker w has; list n + w is what is held for worker w alone (the
policy chose it while it was full); list 2n is the central queue.
"""

import numpy as np

from lbsim import queues
from lbsim.dispatch.core import FRONT_SERIAL, IDLE, N_HELD, Core
from lbsim.dispatch.sight import request_of
from lbsim.policy import HOLD, SHED, Policy
from lbsim.queues import NONE

__all__ = ["first_for", "hold", "sort_by_serial", "to_the_front", "unhold", "waiting_for"]


def hold(core: Core, policy: Policy, now: float, ticket: int, line: int) -> int:
    """Let a ticket wait in a list. Return `HOLD`, or `SHED` where the master holds too many."""
    limit = core.settings.queue_limit
    if limit >= 0 and core.count[N_HELD] >= limit:
        return SHED
    if core.settings.ranked:
        core.queues.rank[ticket] = policy.rank(request_of(core, now, ticket))
    queues.push(core.queues, line, ticket, core.settings.ranked)
    core.place[ticket] = line
    core.count[N_HELD] += 1
    return HOLD


def unhold(core: Core, ticket: int) -> None:
    """Take a held ticket out of the list it waits in."""
    queues.remove(core.queues, core.place[ticket], ticket, core.settings.ranked)
    core.place[ticket] = IDLE
    core.count[N_HELD] -= 1


def first_for(core: Core, policy: Policy, now: float, worker: int) -> int:
    """Find the first ticket of the central queue that a worker may take."""
    q = core.queues
    central = 2 * len(core.in_flight)
    ticket = queues.front(q, central)
    if not core.settings.choosy:
        return ticket
    if not core.settings.ranked:
        while ticket != NONE and not policy.may_take(worker, request_of(core, now, ticket)):
            ticket = q.next[ticket]
        return ticket
    # A heap is in order only at its root: take the refused ones out, then put them back.
    passed = np.empty(core.count[N_HELD], np.int64)
    n_passed = 0
    while ticket != NONE and not policy.may_take(worker, request_of(core, now, ticket)):
        queues.remove(q, central, ticket, True)
        passed[n_passed] = ticket
        n_passed += 1
        ticket = queues.front(q, central)
    for i in range(n_passed):
        queues.push(q, central, passed[i], True)
    return ticket


def waiting_for(core: Core, worker: int) -> np.ndarray:
    """Return the tickets held for one worker, in no particular order."""
    line = len(core.in_flight) + worker
    q = core.queues
    tickets = np.empty(core.count[N_HELD], np.int64)
    found = 0
    ticket = queues.front(q, line)
    while ticket != NONE:
        queues.remove(q, line, ticket, core.settings.ranked)
        tickets[found] = ticket
        found += 1
        ticket = queues.front(q, line)
    for i in range(found):
        queues.push(q, line, tickets[i], core.settings.ranked)
    return tickets[:found]


def sort_by_serial(serial: np.ndarray, tickets: np.ndarray) -> None:
    """Insertion sort: the tickets come almost in order."""
    for i in range(1, len(tickets)):
        ticket = tickets[i]
        position = i
        while position > 0 and serial[tickets[position - 1]] > serial[ticket]:
            tickets[position] = tickets[position - 1]
            position -= 1
        tickets[position] = ticket


def to_the_front(core: Core, tickets: np.ndarray) -> None:
    """Renumber tickets so that they come, in this order, before all that are held."""
    core.count[FRONT_SERIAL] -= len(tickets)
    for i in range(len(tickets)):
        core.queues.serial[tickets[i]] = core.count[FRONT_SERIAL] + i

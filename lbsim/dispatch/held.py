"""Held requests: where they stand, and which of them a worker takes first.

List w of the queues is what worker w has; list n + w is what is held for worker w alone (the
policy chose it while it was full); list 2n is the central queue.
"""

from lbsim import queues
from lbsim.dispatch.core import FRONT_SERIAL, IDLE, N_HELD, Core
from lbsim.dispatch.sight import request_of
from lbsim.policy import HOLD, SHED, Policy, Request
from lbsim.queues import NONE

__all__ = ["first_for", "hold", "sort_by_serial", "to_the_front", "unhold", "unhold_all_for"]


def hold(core: Core, policy: Policy, request: Request, ticket: int, line: int) -> int:
    """Let a ticket wait in a list. Return `HOLD`, or `SHED` where the master holds too many."""
    limit = core.settings.queue_limit
    wakes = core.settings.at_turns and line < 2 * len(core.in_flight)  # who sleeps, for this
    if limit >= 0 and core.count[N_HELD] >= limit and not wakes:
        return SHED
    if core.settings.ranked:
        core.queues.rank[ticket] = policy.rank(request)
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
    passed = core.passed
    n_passed = 0
    while ticket != NONE and not policy.may_take(worker, request_of(core, now, ticket)):
        queues.remove(q, central, ticket, True)
        passed[n_passed] = ticket
        n_passed += 1
        ticket = queues.front(q, central)
    for i in range(n_passed):
        queues.push(q, central, passed[i], True)
    return ticket


def unhold_all_for(core: Core, worker: int, found: int) -> int:
    """Take the tickets held for one worker out of its list, and note them in `again`.

    `found` is how many are noted there already; return how many are now.
    """
    line = len(core.in_flight) + worker
    ticket = queues.front(core.queues, line)
    while ticket != NONE:
        unhold(core, ticket)
        core.again[found] = ticket
        found += 1
        ticket = queues.front(core.queues, line)
    return found


def sort_by_serial(core: Core, found: int) -> None:
    """Sort the first tickets of `again`. Insertion sort: they come almost in order."""
    serial = core.queues.serial
    tickets = core.again
    for i in range(1, found):
        ticket = tickets[i]
        position = i
        while position > 0 and serial[tickets[position - 1]] > serial[ticket]:
            tickets[position] = tickets[position - 1]
            position -= 1
        tickets[position] = ticket


def to_the_front(core: Core, found: int) -> None:
    """Renumber the first tickets of `again`, so that they come before all that are held."""
    core.count[FRONT_SERIAL] -= found
    for i in range(found):
        core.queues.serial[core.again[i]] = core.count[FRONT_SERIAL] + i

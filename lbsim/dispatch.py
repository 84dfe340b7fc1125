"""The dispatcher: what a master process knows and decides, without clock or sockets.

Events go in, decisions come out. Every driver, the two simulation engines and the live
master, calls these transitions and nothing else, so that "simulated" and "measured" differ in
the physics and never in the logic:

====================================  ==================================================
transition                            answer
====================================  ==================================================
`arrive` (now, ticket)                the worker that gets it, `HOLD` or `SHED`
`accepted` (now, worker)              the held ticket that may follow, or `NONE`
`complete` (now, worker, ticket)      the held ticket that this worker takes next, or `NONE`
`cancel` (now, ticket)                the worker it was at, or `NONE`
`worker_down` (now, worker)           the tickets it had, for `retry_due`
`worker_leaving` (now, worker)        the tickets that wait for it, for `retry_due`
`worker_up` (now, worker)             the first held ticket it takes, or `NONE`
`resize` (now, worker, slots)         the first held ticket it takes, or `NONE`
`refused` (now, worker, ticket)       as `arrive`: the ticket is dispatched again
`retry_due` (now, ticket)             as `arrive`, or `LOST` by the retry rule
`pull` (now, worker)                  one more held ticket for this worker, or `NONE`
====================================  ==================================================

A *ticket* is one copy of a request: retries and hedges by the client are tickets of their
own. ``ticket // copies`` is the row of the request they belong to.

After `accepted`, `complete`, `worker_up` and `resize` the driver calls `pull` until it
answers `NONE`. Where a request is held is decided here and obeys one law: *a held request
never waits while a worker that is up, ready, has a free slot and may take it.*

The functions are written for Numba: numbers, arrays, loops, and named tuples of them.
"""

import math
from typing import NamedTuple

import numpy as np

from lbsim import queues
from lbsim.policy import HOLD, SHED, UNLIMITED, ClusterView, Policy, Request
from lbsim.queues import NONE, Queues

__all__ = [
    "BAD_CHOICE",
    "LOST",
    "NONE",
    "Core",
    "Requests",
    "Settings",
    "accepted",
    "arrive",
    "cancel",
    "complete",
    "make_core",
    "pull",
    "refused",
    "resize",
    "retry_due",
    "worker_down",
    "worker_leaving",
    "worker_up",
]

LOST = -3
"""Answer of `retry_due`: the retry rule forbids another attempt."""

BAD_CHOICE = -4
"""The policy chose a worker that does not exist or is not up: the run must stop."""

IDLE = -1  # `place` of a ticket that is in no list: not yet seen, answered, lost or cancelled

# Counters of a core (`core.count`).
N_UP = 0
N_HELD = 1
NEXT_SERIAL = 2
FRONT_SERIAL = 3
CHOICE = 4  # the last choice of the policy, for the message about a bad one
CURSOR = 5  # where the search for an open worker begins
LOG_HEAD = 6
LOG_TAIL = 7
LOG_FULL = 8
N_COUNTS = 9

INDEX_FROM = 48  # from so many workers on, a search tree beats a scan


class Requests(NamedTuple):
    """What the dispatcher reads of each request, one row a request."""

    key: np.ndarray
    kind: np.ndarray
    priority: np.ndarray
    size: np.ndarray
    service: np.ndarray


class Settings(NamedTuple):
    """What does not change during a run."""

    copies: int
    """Tickets per request."""
    max_attempts: int
    """Handovers of one ticket after which a failure loses it."""
    queue_limit: int
    """Requests that may be held, -1 for no limit; one more is shed."""
    needs_ack: bool
    ranked: bool
    choosy: bool
    """The policy has its own `may_take`."""
    indexed: bool
    latency_gain: float
    """Weight of a new observation in `ClusterView.latency`."""
    info_every: float
    """Load information is a board renewed this often, in seconds; 0: always fresh."""
    info_delay: float
    """Load information is this old, in seconds; 0: always fresh."""


class Core(NamedTuple):
    """Everything a master knows. Made by `make_core`, changed by the transitions only."""

    settings: Settings
    requests: Requests
    view: ClusterView
    count: np.ndarray  # type: ignore[assignment]  # not tuple.count, which nobody calls
    up: np.ndarray
    is_up: np.ndarray
    ready: np.ndarray
    in_flight: np.ndarray
    seen: np.ndarray
    slots: np.ndarray
    latency: np.ndarray
    index: np.ndarray  # type: ignore[assignment]  # nor tuple.index
    board: np.ndarray
    log_time: np.ndarray
    log_worker: np.ndarray
    log_change: np.ndarray
    queues: Queues
    place: np.ndarray
    attempts: np.ndarray
    handed: np.ndarray


def make_core(
    policy: Policy,
    requests: Requests,
    slots: np.ndarray,
    weight: np.ndarray,
    rng: np.random.Generator,
    *,
    copies: int = 1,
    max_attempts: int = 3,
    queue_limit: int = -1,
    latency_gain: float = 0.1,
    info_every: float = 0.0,
    info_delay: float = 0.0,
) -> Core:
    """Return the core of a master whose workers are all still down.

    Parameters
    ----------
    policy : Policy
        Already prepared.
    requests : Requests
        Arrays of shape (n_requests,).
    slots, weight : ndarray, shape (n_workers,)
        The cluster's slots and weights.
    rng : numpy.random.Generator
        For the policy alone.
    copies, max_attempts, queue_limit, latency_gain, info_every, info_delay
        See `Settings`.
    """
    n = len(slots)
    m = len(requests.key) * copies
    limit = np.minimum(np.asarray(slots, np.int64), min(policy.slots, UNLIMITED))
    kind = type(policy)
    stale = info_every > 0.0 or info_delay > 0.0
    indexed = n >= INDEX_FROM and not stale
    ranked = kind.rank is not Policy.rank
    in_flight = np.zeros(n, np.int64)
    seen = np.zeros(n, np.int64) if stale else in_flight
    up = np.zeros(n, np.int64)
    is_up = np.zeros(n, np.bool_)
    latency = np.zeros(n)
    index = np.full(2 * _power_of_two(n) if indexed else 0, UNLIMITED, np.int64)
    # Enough for any delay that makes sense: a change is a request that comes or goes.
    log = min(2 * m * max_attempts, 1 << 20) if info_delay > 0.0 else 0
    return Core(
        settings=Settings(
            copies=copies,
            max_attempts=max_attempts,
            queue_limit=queue_limit,
            needs_ack=bool(policy.needs_ack),
            ranked=ranked,
            choosy=kind.may_take is not Policy.may_take,
            indexed=indexed,
            latency_gain=latency_gain,
            info_every=info_every,
            info_delay=info_delay,
        ),
        requests=requests,
        view=ClusterView(
            up=_read_only(up),
            is_up=_read_only(is_up),
            in_flight=_read_only(seen),
            slots=_read_only(limit),
            weight=_read_only(np.array(weight, np.float64)),
            latency=_read_only(latency),
            rng=rng,
            index=_read_only(index),
        ),
        count=np.zeros(N_COUNTS, np.int64),
        up=up,
        is_up=is_up,
        ready=np.ones(n, np.bool_),
        in_flight=in_flight,
        seen=seen,
        slots=limit,
        latency=latency,
        index=index,
        board=np.zeros(1),
        log_time=np.zeros(log),
        log_worker=np.zeros(log, np.int64),
        log_change=np.zeros(log, np.int64),
        queues=queues.make_queues(2 * n + 1, m, ranked),
        place=np.full(m, IDLE, np.int64),
        attempts=np.zeros(m, np.int64),
        handed=np.zeros(m),
    )


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length()


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


# --- transitions ---------------------------------------------------------------------------


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


def complete(core: Core, policy: Policy, now: float, worker: int, ticket: int) -> int:
    """A worker has answered. Return the held ticket that it takes next."""
    _take_away(core, now, worker, ticket)
    response = now - core.handed[ticket]
    if core.latency[worker] == 0.0:
        core.latency[worker] = response
    else:
        core.latency[worker] += core.settings.latency_gain * (response - core.latency[worker])
    policy.on_complete(request_of(core, now, ticket), worker, response, now, view(core, now))
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
    _unhold(core, ticket)
    return NONE


def worker_down(core: Core, policy: Policy, now: float, worker: int) -> np.ndarray:
    """A worker is gone, and what it had with it.

    Returns
    -------
    ndarray of int64
        The tickets that were at the worker or waited for it, in order of arrival. They keep
        their place ahead of the queue; the driver calls `retry_due` for each, in this order.
    """
    _leave(core, policy, now, worker)
    core.latency[worker] = 0.0
    core.ready[worker] = True
    q = core.queues
    waiting = _waiting_for(core, worker)
    tickets = np.empty(core.in_flight[worker] + len(waiting), np.int64)
    found = 0
    ticket = q.first[worker]
    while ticket != NONE:
        following = q.next[ticket]
        _take_away(core, now, worker, ticket)
        tickets[found] = ticket
        found += 1
        ticket = following
    for ticket in waiting:
        _unhold(core, ticket)
        tickets[found] = ticket
        found += 1
    _sort_by_serial(q.serial, tickets)
    _to_the_front(core, tickets)
    return tickets


def worker_leaving(core: Core, policy: Policy, now: float, worker: int) -> np.ndarray:
    """A worker takes no new requests but finishes what it has.

    Returns
    -------
    ndarray of int64
        The tickets that waited for it, in order of arrival, for `retry_due`.
    """
    _leave(core, policy, now, worker)
    tickets = _waiting_for(core, worker)
    for ticket in tickets:
        _unhold(core, ticket)
    _sort_by_serial(core.queues.serial, tickets)
    _to_the_front(core, tickets)
    return tickets


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
        _reindex(core, worker)
        core.ready[worker] = False  # it is about to say that it is ready
        policy.on_up(worker, now, view(core, now))
    return accepted(core, policy, now, worker)


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
    again = np.empty(1, np.int64)
    again[0] = ticket
    _to_the_front(core, again)
    return _assign(core, policy, now, ticket)


def retry_due(core: Core, policy: Policy, now: float, ticket: int) -> int:
    """Dispatch a ticket again whose worker failed. Return as `arrive`, or `LOST`."""
    if core.attempts[ticket] >= core.settings.max_attempts:
        return LOST
    return _assign(core, policy, now, ticket)


def pull(core: Core, policy: Policy, now: float, worker: int) -> int:
    """Give a worker the first held ticket that it may take. Return it, or `NONE`."""
    if core.count[N_HELD] == 0 or not _open(core, worker):
        return NONE
    n = len(core.in_flight)
    ticket = _first_for(core, policy, now, worker)
    own = queues.front(core.queues, n + worker)
    if own != NONE and (
        ticket == NONE or queues.before(core.queues, own, ticket, core.settings.ranked)
    ):
        ticket = own
    if ticket != NONE:
        _unhold(core, ticket)
        _hand(core, now, worker, ticket)
    return ticket


# --- what the policy sees ------------------------------------------------------------------


def request_of(core: Core, now: float, ticket: int) -> Request:
    """Return what the policy may know of the request behind a ticket."""
    row = ticket // core.settings.copies
    requests = core.requests
    return Request(
        now,
        requests.key[row],
        requests.kind[row],
        requests.priority[row],
        requests.size[row],
        requests.service[row],
    )


def view(core: Core, now: float) -> ClusterView:
    """Return what the policy may know of the workers at this instant."""
    _age_information(core, now)
    full = core.view
    return ClusterView(
        full.up[: core.count[N_UP]],
        full.is_up,
        full.in_flight,
        full.slots,
        full.weight,
        full.latency,
        full.rng,
        full.index,
    )


def _age_information(core: Core, now: float) -> None:
    """Let the policy see the load as it was, where the cluster says that it is old."""
    settings = core.settings
    if settings.info_every > 0.0:
        if now >= core.board[0]:
            for worker in range(len(core.in_flight)):
                core.seen[worker] = core.in_flight[worker]
            core.board[0] = (math.floor(now / settings.info_every) + 1) * settings.info_every
    elif settings.info_delay > 0.0:
        size = len(core.log_time)
        while core.count[LOG_HEAD] < core.count[LOG_TAIL]:
            entry = core.count[LOG_HEAD] % size
            if core.log_time[entry] + settings.info_delay > now:
                break
            core.seen[core.log_worker[entry]] += core.log_change[entry]
            core.count[LOG_HEAD] += 1


# --- private parts -------------------------------------------------------------------------


def _assign(core: Core, policy: Policy, now: float, ticket: int) -> int:
    """Ask the policy, check its answer and act on it."""
    if core.count[N_UP] == 0:
        return _hold(core, policy, now, ticket, 2 * len(core.in_flight))
    request = request_of(core, now, ticket)
    worker = policy.choose(request, view(core, now))
    core.count[CHOICE] = worker
    if worker == HOLD:
        worker = _any_open(core, policy, request)
        if worker == NONE:
            return _hold(core, policy, now, ticket, 2 * len(core.in_flight))
    elif worker == SHED:
        return SHED
    elif worker < 0 or worker >= len(core.in_flight) or not core.is_up[worker]:
        return BAD_CHOICE
    if not _open(core, worker):
        return _hold(core, policy, now, ticket, len(core.in_flight) + worker)
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
    for step in range(n_up):
        worker = core.up[(core.count[CURSOR] + step) % n_up]
        if _open(core, worker) and (not core.settings.choosy or policy.may_take(worker, request)):
            core.count[CURSOR] = (core.count[CURSOR] + step + 1) % n_up
            return worker
    return NONE


def _hold(core: Core, policy: Policy, now: float, ticket: int, line: int) -> int:
    limit = core.settings.queue_limit
    if limit >= 0 and core.count[N_HELD] >= limit:
        return SHED
    if core.settings.ranked:
        core.queues.rank[ticket] = policy.rank(request_of(core, now, ticket))
    queues.push(core.queues, line, ticket, core.settings.ranked)
    core.place[ticket] = line
    core.count[N_HELD] += 1
    return HOLD


def _unhold(core: Core, ticket: int) -> None:
    queues.remove(core.queues, core.place[ticket], ticket, core.settings.ranked)
    core.place[ticket] = IDLE
    core.count[N_HELD] -= 1


def _hand(core: Core, now: float, worker: int, ticket: int) -> None:
    queues.append(core.queues, worker, ticket)
    core.place[ticket] = worker
    core.attempts[ticket] += 1
    core.handed[ticket] = now
    core.ready[worker] = False
    _change_load(core, now, worker, 1)


def _take_away(core: Core, now: float, worker: int, ticket: int) -> None:
    queues.remove(core.queues, worker, ticket, False)
    core.place[ticket] = IDLE
    _change_load(core, now, worker, -1)


def _change_load(core: Core, now: float, worker: int, change: int) -> None:
    settings = core.settings
    if settings.info_every > 0.0:
        _age_information(core, now)  # the board shows what was before this change
    elif settings.info_delay > 0.0:
        size = len(core.log_time)
        if core.count[LOG_TAIL] - core.count[LOG_HEAD] >= size:
            _age_information(core, now)
        if core.count[LOG_TAIL] - core.count[LOG_HEAD] >= size:
            core.count[LOG_FULL] = 1
        else:
            entry = core.count[LOG_TAIL] % size
            core.log_time[entry] = now
            core.log_worker[entry] = worker
            core.log_change[entry] = change
            core.count[LOG_TAIL] += 1
    core.in_flight[worker] += change
    _reindex(core, worker)


def _reindex(core: Core, worker: int) -> None:
    """Keep the search tree of `least_loaded` in step with one worker."""
    if not core.settings.indexed:
        return
    tree = core.index
    node = len(tree) // 2 + worker
    value = core.in_flight[worker] if core.is_up[worker] else UNLIMITED
    while tree[node] != value:
        tree[node] = value
        if node == 1:
            break
        value = min(value, tree[node ^ 1])
        node //= 2


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
    _reindex(core, worker)
    policy.on_down(worker, now, view(core, now))


def _first_for(core: Core, policy: Policy, now: float, worker: int) -> int:
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


def _waiting_for(core: Core, worker: int) -> np.ndarray:
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


def _sort_by_serial(serial: np.ndarray, tickets: np.ndarray) -> None:
    """Insertion sort: the tickets come almost in order."""
    for i in range(1, len(tickets)):
        ticket = tickets[i]
        position = i
        while position > 0 and serial[tickets[position - 1]] > serial[ticket]:
            tickets[position] = tickets[position - 1]
            position -= 1
        tickets[position] = ticket


def _to_the_front(core: Core, tickets: np.ndarray) -> None:
    """Renumber tickets so that they come, in this order, before all that are held."""
    core.count[FRONT_SERIAL] -= len(tickets)
    for i in range(len(tickets)):
        core.queues.serial[tickets[i]] = core.count[FRONT_SERIAL] + i

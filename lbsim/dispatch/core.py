"""What a master knows: the arrays that the transitions change, and how they begin."""

from typing import NamedTuple

import numpy as np

from lbsim import queues
from lbsim.policy import UNLIMITED, ClusterView, Policy
from lbsim.queues import Queues

__all__ = ["Core", "Requests", "Settings", "make_core"]

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
    at_turns: bool
    """Event loops take at the beginning of a turn, for which the driver calls `looked`, and wake
    for what is held for them, for which it calls `idle`."""
    ranked: bool
    choosy: bool
    """The policy has its own `may_take`."""
    hears: bool
    """The policy has its own `on_complete`."""
    indexed: bool
    latency_gain: float
    """Weight of a new observation in `ClusterView.latency`."""
    info_every: float
    """Load information is a board renewed this often, in seconds; 0: always fresh."""
    info_delay: float
    """Load information is this old, in seconds; 0: always fresh."""


class Core(NamedTuple):
    """Everything a master knows. Made by `make_core`, changed by the transitions only.

    `up` to `index` are a value a worker (`up` and `index` as in `ClusterView`, whose arrays are
    read-only views of these); `seen` is the `in_flight` that the policy is shown, with the
    `board` or the log of changes that makes it old; `place`, `attempts` and `handed` are a value
    a ticket: the list it is in, its handovers so far, and the time of the last. `again` and
    `passed` are paper to write tickets on: those that come back, those that a worker may not
    take. (Compiled transitions make no arrays.)
    """

    settings: Settings
    requests: Requests
    shown: ClusterView
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
    again: np.ndarray
    passed: np.ndarray


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
    choosy = kind.may_take is not Policy.may_take
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
            at_turns=bool(policy.at_turns),
            ranked=ranked,
            choosy=choosy,
            hears=kind.on_complete is not Policy.on_complete,
            indexed=indexed,
            latency_gain=latency_gain,
            info_every=info_every,
            info_delay=info_delay,
        ),
        requests=requests,
        shown=ClusterView(
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
        again=np.empty(m, np.int64),
        passed=np.empty(m if choosy and ranked else 0, np.int64),
    )


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length()


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view

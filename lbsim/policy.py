"""What a policy is: a tiny class that says which worker gets the next request.

A policy is asked once for every request, `choose(request, cluster)`, and answers with the
index of a worker that is up, with `HOLD` (keep the request in the central queue until a
worker can take it) or with `SHED` (refuse it). The same class is simulated by both engines
and run on real workers, so it is written in the part of Python that Numba compiles: numbers,
NumPy arrays and loops.

- The constructor only stores its parameters; `prepare(n_workers)` makes the mutable state.
  A policy object is therefore a description: it can be used for many runs, and runs never
  share state.
- Everything else is optional: `rank` and `may_take` order and filter held requests, `slots`
  bounds what may sit at a worker, and the hooks tell the policy what happened.
"""

import copy
import inspect
from typing import Any, NamedTuple, Self

import numpy as np

from lbsim.errors import PolicyError

__all__ = ["HOLD", "SHED", "UNLIMITED", "ClusterView", "Policy", "Request", "least_loaded"]

HOLD = -1
"""Answer of `choose`: keep the request in the central queue until a worker can take it."""

SHED = -2
"""Answer of `choose`: refuse the request."""

UNLIMITED = 1 << 40
"""Number of slots that no run reaches."""


class Request(NamedTuple):
    """What the master knows of a request.

    Attributes
    ----------
    time : float
        When the master is asked, in seconds.
    key : int
        Session or client (a hash), -1 if none.
    kind : int
        Task type.
    priority : int
        0 is the most urgent.
    size : float
        The client's own estimate of the service time, NaN if none.
    service : float
        The true service time. NaN unless the policy declares ``oracle = True``, and such a
        policy cannot be run live.
    """

    time: float
    key: int
    kind: int
    priority: int
    size: float
    service: float


class ClusterView(NamedTuple):
    """What the master knows of its workers. Every array is read-only.

    Attributes
    ----------
    up : ndarray of int64, shape (n_up,)
        Indices of the workers that accept requests, ascending. Never empty in `choose`.
    is_up : ndarray of bool, shape (n_workers,)
        The same as a mask.
    in_flight : ndarray of int64, shape (n_workers,)
        Requests at each worker, queued there *and* in service. As old as the cluster's
        `info_delay` or `info_every` says, if it says so.
    slots : ndarray of int64, shape (n_workers,)
        How many requests may sit at each worker.
    weight : ndarray of float64, shape (n_workers,)
        Relative capacity of each worker.
    latency : ndarray of float64, shape (n_workers,)
        Moving average of the response times seen at each worker, in seconds (handover to
        answer); 0 until a worker has answered for the first time since it came up.
    rng : numpy.random.Generator
        The only source of chance a policy may use.
    index : ndarray of int64
        Search tree behind `least_loaded`; not for direct use.
    """

    up: np.ndarray
    is_up: np.ndarray
    in_flight: np.ndarray
    slots: np.ndarray
    weight: np.ndarray
    latency: np.ndarray
    rng: np.random.Generator
    index: np.ndarray  # type: ignore[assignment]  # not tuple.index, which nobody calls


def least_loaded(cluster: ClusterView, start: int) -> int:
    """Find the up worker with the fewest requests in flight, without looking at all of them.

    Parameters
    ----------
    cluster : ClusterView
        What `choose` was given.
    start : int
        Ties go to the first such worker at or after this index, cyclically.

    Returns
    -------
    int
        A worker index. O(log n) where the cluster keeps an index (many workers, load
        information that is not delayed), O(n) otherwise; the answer is the same.
    """
    n = len(cluster.in_flight)
    if len(cluster.index) > 0:
        return _search(cluster.index, start % n)
    start = start % n
    in_flight = cluster.in_flight
    best = -1
    wrapped = -1  # least loaded among those before `start`
    for worker in cluster.up:
        load = in_flight[worker]
        if worker < start:
            if wrapped < 0 or load < in_flight[wrapped]:
                wrapped = worker
        elif best < 0 or load < in_flight[best]:
            best = worker
            if load == 0:
                return best
    if best < 0 or (wrapped >= 0 and in_flight[wrapped] < in_flight[best]):
        return wrapped
    return best


def _search(tree: np.ndarray, start: int) -> int:
    """First leaf at or after `start` (cyclically) that holds the minimum of the whole tree.

    `tree` is a binary tournament tree in heap order: node 1 is the root, node i has the
    children 2i and 2i + 1, and the leaves are the upper half.
    """
    leaves = len(tree) // 2
    least = tree[1]
    node = leaves + start
    if tree[node] != least:
        # Climb until a right-hand sibling's subtree holds the minimum.
        while node > 1 and (node % 2 == 1 or tree[node + 1] != least):
            node //= 2
        node = node + 1 if node > 1 else 1
        while node < leaves:
            node *= 2
            if tree[node] != least:
                node += 1
    return node - leaves


class Policy:
    """Base class of all policies: subclass it and write `choose`.

    Attributes
    ----------
    oracle : bool
        True if `choose` reads ``request.service``, which no real master knows.
    needs_ack : bool
        True if a worker that was handed a request gets the next one only when it has
        acknowledged the first (as in Node.js's cluster module).
    at_turns : bool
        True, beside `needs_ack`, if workers that are event loops take requests for themselves:
        one as a turn of the loop begins, if one is held. A loop with nothing to do wakes when
        the policy chooses it, and whoever looks first has the request. For simulation: live,
        the kernel does it (``mode="shared"``).
    slots : int
        How many requests may sit at a worker, queued ones included; the smaller of this and
        the cluster's own limit holds.

    Examples
    --------
    >>> class First(Policy):
    ...     def choose(self, request, cluster):
    ...         return cluster.up[0]
    >>> First()
    First()
    """

    oracle: bool = False
    needs_ack: bool = False
    at_turns: bool = False
    slots: int = UNLIMITED

    def prepare(self, n_workers: int) -> None:
        """Make the mutable state for a run over workers 0 to ``n_workers - 1``."""

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Say which worker gets `request`: an index in ``cluster.up``, `HOLD` or `SHED`."""
        raise PolicyError(
            f"{type(self).__name__} has no choose(self, request, cluster): "
            "a policy must say which worker gets a request; write that method"
        )

    def rank(self, request: Request) -> float:
        """Order of a held request: smallest first, ties in order of arrival."""
        return 0.0

    def may_take(self, worker: int, request: Request) -> bool:
        """Say whether `worker` may take this request out of the central queue.

        Must not change with time: it is asked only when a worker becomes able to take a
        request or when a request is held.
        """
        return True

    def on_complete(
        self, request: Request, worker: int, latency: float, now: float, cluster: ClusterView
    ) -> None:
        """Hear that `worker` has answered; ``in_flight`` has already dropped."""

    def on_down(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Hear that `worker` has left ``cluster.up``: it crashed or takes no new requests."""

    def on_up(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Hear that `worker` has joined ``cluster.up``; at the start, once for each worker."""

    def on_ready(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Hear that `worker` has acknowledged (or come up) and no held request was for it.

        Called only for policies with ``needs_ack``.
        """

    def on_report(self, worker: int, busy: float, now: float, cluster: ClusterView) -> None:
        """Hear how busy `worker` says it is: a share of its time, 0 to 1.

        Real workers report every half second; simulated ones do not.
        """

    def parameters(self) -> dict[str, Any]:
        """Return the constructor's parameters and their values, as stored."""
        names = inspect.signature(type(self)).parameters
        unnamed = [str(p) for p in names.values() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if unnamed:
            raise PolicyError(
                f"{type(self).__name__} takes {unnamed[0]}, which cannot be copied for every run; "
                "name each parameter of the constructor"
            )
        missing = [name for name in names if not hasattr(self, name)]
        if missing:
            raise PolicyError(
                f"{type(self).__name__} does not store its parameter {missing[0]!r}: "
                "a policy's constructor stores each parameter under its own name, so that the "
                f"policy can be copied for every run; add self.{missing[0]} = {missing[0]}"
            )
        return {name: getattr(self, name) for name in names}

    def clone(self) -> Self:
        """Return a fresh, unprepared policy with the same parameters."""
        values = {
            name: value.clone() if isinstance(value, Policy) else copy.deepcopy(value)
            for name, value in self.parameters().items()
        }
        return type(self)(**values)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.parameters().items())
        return f"{type(self).__name__}({inside})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

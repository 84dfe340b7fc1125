"""Policies that hash the key: stickiness without a table.

All use `lbsim.hash64`. A request without a key (-1) counts as a session of its own: it is
hashed by its number, so that such requests spread evenly.
"""

import math

import numpy as np

from lbsim.errors import InputError
from lbsim.hashing import hash64
from lbsim.policy import ClusterView, Policy, Request

__all__ = ["BoundedLoadHash", "ConsistentHash", "KeyHash", "Maglev", "Rendezvous", "maglev_table"]

KEYLESS = 0x6B65796C65737321  # salt for requests without a key


class _Hashing(Policy):
    """What the hashing policies share: a request's own hash."""

    def prepare(self, n_workers: int) -> None:
        self.keyless = 0

    def hashed(self, request: Request) -> int:
        """Return 63 bits that depend on the key alone."""
        if request.key >= 0:
            return hash64(request.key)
        self.keyless += 1
        return hash64(self.keyless, KEYLESS)


class KeyHash(_Hashing):
    """Hash the key, modulo the number of workers that are up: what an IP hash does.

    When a worker leaves or joins, the modulus changes and nearly every session moves:
    (n - 1) / n of them. `ConsistentHash`, `Rendezvous` and `Maglev` exist because of this.
    """

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker that the hash names."""
        return cluster.up[self.hashed(request) % len(cluster.up)]


class _Ring(_Hashing):
    """A ring of points, `points` for every worker."""

    def __init__(self, points: int = 100) -> None:
        self.points = points

    def prepare(self, n_workers: int) -> None:
        """Put the points of all workers, up or not, on the ring."""
        self.keyless = 0
        if not isinstance(self.points, int | np.integer) or self.points < 1:
            raise InputError(
                f"{type(self).__name__}: points = {self.points!r} is not a whole number of at "
                "least 1; 100 points a worker leave shares that differ by about 10 %"
            )
        ring = sorted(
            (hash64(point, worker + 1), worker)
            for worker in range(n_workers)
            for point in range(self.points)
        )
        self.position = np.array([position for position, _ in ring], np.int64)
        self.owner = np.array([worker for _, worker in ring], np.int64)

    def place(self, request: Request) -> int:
        """Return the first point of the ring at or after the request's hash."""
        wanted = self.hashed(request)
        low = 0
        high = len(self.position)
        while low < high:
            middle = (low + high) // 2
            if self.position[middle] < wanted:
                low = middle + 1
            else:
                high = middle
        return low % len(self.position)


class ConsistentHash(_Ring):
    """Consistent hashing: the next point on a ring of virtual nodes says whose a key is.

    When a worker leaves, only its own keys move, each to the next worker on the ring.

    Parameters
    ----------
    points : int, default 100
        Virtual nodes of each worker. The shares of n workers vary with a coefficient of
        variation of about 1 / sqrt(points).

    Notes
    -----
    Karger et al. (1997), "Consistent hashing and random trees"; virtual nodes as in ketama.
    """

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the owner of the next point whose owner is up."""
        point = self.place(request)
        while not cluster.is_up[self.owner[point]]:
            point = (point + 1) % len(self.owner)
        return self.owner[point]


class BoundedLoadHash(_Ring):
    """Consistent hashing in which nobody gets much more than the average.

    A key goes to the next worker on the ring that has fewer than ceil(c (m + 1) / n) requests
    in flight, m being those of all n workers that are up: sessions stay together as long as
    their worker is not overloaded.

    Parameters
    ----------
    c : float, default 1.25
        Load factor, at least 1: the smaller, the better balanced and the less sticky.
    points : int, default 100
        Virtual nodes of each worker.

    Notes
    -----
    Mirrokni, Thorup and Zadimoghaddam (2016), "Consistent hashing with bounded loads";
    ``hash-balance-factor`` in HAProxy.
    """

    def __init__(self, c: float = 1.25, points: int = 100) -> None:
        self.c = c
        self.points = points

    def prepare(self, n_workers: int) -> None:
        """Make the ring."""
        if not 1.0 <= self.c < math.inf:
            raise InputError(
                f"BoundedLoadHash: c = {self.c!r} must be at least 1, or there is no room for "
                "all requests; 1.25 lets a worker have a quarter more than the average"
            )
        self.factor = float(self.c)
        _Ring.prepare(self, n_workers)

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the next owner on the ring that has room."""
        load = 1
        for worker in cluster.up:
            load += cluster.in_flight[worker]
        room = math.ceil(self.factor * load / len(cluster.up))
        first = self.place(request)
        point = first
        while not cluster.is_up[self.owner[point]] or cluster.in_flight[self.owner[point]] >= room:
            point = (point + 1) % len(self.owner)
            if point == first:  # load information that is old need not add up
                return cluster.up[0]
        return self.owner[point]


class Rendezvous(_Hashing):
    """Highest random weight: every worker bids a hash of (key, itself), the highest wins.

    Perfectly even in expectation, and only the keys of a worker that leaves move; but it looks
    at all workers each time. A tie (2⁻⁶³) goes to the lowest index.

    Notes
    -----
    Thaler and Ravishankar (1998), "Using name-based mappings to increase hit rates".
    """

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the highest bidder."""
        number = self.hashed(request)
        best = -1
        highest = -1
        for worker in cluster.up:
            bid = hash64(number, worker + 1)
            if bid > highest:
                best = worker
                highest = bid
        return best


class Maglev(_Hashing):
    """Google's lookup table: one memory access, shares even to within one entry.

    Every worker that is up has its own permutation of the table's entries; they take turns to
    claim their next free entry until the table is full. When a worker leaves, its entries are
    shared out, and few others change hands. The table is made again when membership changes.

    Parameters
    ----------
    size : int, optional
        Entries of the table: a prime above the number of workers. By default the first prime
        from 100 times the number of workers on, which keeps shares within 1 % of each other.

    Notes
    -----
    Eisenbud et al. (2016), "Maglev: a fast and reliable software network load balancer",
    NSDI, section 3.4.
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size

    def prepare(self, n_workers: int) -> None:
        """Make an empty table, to be filled at the first choice."""
        self.keyless = 0
        size = _prime_from(100 * n_workers) if self.size is None else self.size
        if not isinstance(size, int | np.integer) or size <= n_workers or not _is_prime(int(size)):
            raise InputError(
                f"Maglev: size = {size!r} must be a prime above the number of workers "
                f"({n_workers}); give {_prime_from(100 * n_workers)}"
            )
        self.table = np.full(size, -1, np.int64)
        self.offset = np.array([hash64(w, 1) % size for w in range(n_workers)], np.int64)
        self.skip = np.array([hash64(w, 2) % (size - 1) + 1 for w in range(n_workers)], np.int64)
        self.claimed = np.zeros(n_workers, np.int64)
        self.is_stale = True

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Look the worker up."""
        if self.is_stale:
            maglev_table(self.offset, self.skip, cluster.up, self.claimed, self.table)
            self.is_stale = False
        return self.table[self.hashed(request) % len(self.table)]

    def on_up(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Make the table again before its next use."""
        self.is_stale = True

    def on_down(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Make the table again before its next use."""
        self.is_stale = True


def maglev_table(
    offset: np.ndarray,
    skip: np.ndarray,
    members: np.ndarray,
    claimed: np.ndarray,
    table: np.ndarray,
) -> None:
    """Fill a Maglev table.

    Parameters
    ----------
    offset, skip : ndarray of int64, shape (n_workers,)
        Worker w prefers the entries offset[w] + j skip[w] (modulo the size), j = 0, 1, …
    members : ndarray of int64
        The workers that take part, in the order of their turns.
    claimed : ndarray of int64, shape (n_workers,)
        Working space.
    table : ndarray of int64
        Is filled with worker indices; its length must be a prime.
    """
    size = len(table)
    for i in range(size):
        table[i] = -1
    for worker in members:
        claimed[worker] = 0
    filled = 0
    while True:
        for worker in members:
            entry = (offset[worker] + claimed[worker] * skip[worker]) % size
            while table[entry] >= 0:
                claimed[worker] += 1
                entry = (offset[worker] + claimed[worker] * skip[worker]) % size
            table[entry] = worker
            claimed[worker] += 1
            filled += 1
            if filled == size:
                return


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))


def _prime_from(n: int) -> int:
    while not _is_prime(n):
        n += 1
    return n

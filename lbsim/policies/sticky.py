"""Sticky sessions by a table: who has served a session keeps it."""

import math

import numpy as np

from lbsim.errors import InputError
from lbsim.hashing import hash64
from lbsim.policies.load import LeastConnections
from lbsim.policy import ClusterView, Policy, Request

__all__ = ["Sticky"]

NONE = -1


class Sticky(Policy):
    """Send a session to the worker that has it; another policy places new sessions.

    Parameters
    ----------
    fallback : Policy, default `LeastConnections`
        Places new sessions, requests without a key, and sessions whose worker is down.
    capacity : int, default 65536
        Sessions that the table holds. When it is full, the session that has been idle longest
        is forgotten (least recently used), and counted in `evictions`.
    idle : float, optional
        Seconds without a request after which a session is forgotten. None: never.

    Attributes
    ----------
    evictions : int
        Sessions forgotten because the table was full.
    moves : int
        Sessions that went to another worker because theirs was down.

    Notes
    -----
    What a load balancer does with a cookie or a "stick table" (HAProxy configuration manual,
    section 11). If the fallback holds a request, the session is bound to the worker that
    answers it.
    """

    def __init__(
        self,
        fallback: Policy | None = None,
        capacity: int = 65536,
        idle: float | None = None,
    ) -> None:
        self.fallback = LeastConnections() if fallback is None else fallback
        self.capacity = capacity
        self.idle = idle

    @property
    def slots(self) -> int:  # type: ignore[override]
        """The fallback's bound, for the dispatcher."""
        return self.fallback.slots

    def prepare(self, n_workers: int) -> None:
        """Make an empty table."""
        if not isinstance(self.capacity, int | np.integer) or self.capacity < 1:
            raise InputError(
                f"Sticky: capacity = {self.capacity!r} is not a whole number of at least 1; "
                "give the number of sessions to remember"
            )
        if self.idle is not None and not self.idle > 0.0:
            raise InputError(
                f"Sticky: idle = {self.idle!r} must be above 0; give the seconds after which a "
                "session is forgotten, or None"
            )
        if self.fallback.needs_ack:
            raise InputError(
                f"Sticky: the fallback {self.fallback!r} counts on acknowledgements for every "
                "request, but sticky ones pass it by; give another fallback"
            )
        self.fallback.prepare(n_workers)
        self.limit = math.inf if self.idle is None else float(self.idle)
        self.evictions = 0
        self.moves = 0
        # Entries 0 … capacity - 1, in a list from the least to the most recently used.
        n = int(self.capacity)
        self.key = np.full(n, NONE, np.int64)
        self.home = np.full(n, NONE, np.int64)
        self.used = np.zeros(n)
        self.older = np.full(n, NONE, np.int64)
        self.newer = np.full(n, NONE, np.int64)
        self.oldest = NONE
        self.newest = NONE
        self.count = 0
        # Where the entry of a key is: open addressing with linear probing, at most half full.
        self.place = np.full(2 << (n - 1).bit_length(), NONE, np.int64)

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the session's worker, or the fallback's choice."""
        if request.key < 0:
            return self.fallback.choose(request, cluster)
        entry = self.find(request.key)
        known = entry != NONE and request.time - self.used[entry] <= self.limit
        if known and cluster.is_up[self.home[entry]]:
            self.touch(entry, request.time)
            return self.home[entry]
        worker = self.fallback.choose(request, cluster)
        if worker >= 0:
            if known:
                self.moves += 1
            self.bind(request.key, worker, request.time)
        return worker

    def on_complete(
        self, request: Request, worker: int, latency: float, now: float, cluster: ClusterView
    ) -> None:
        """Bind a session that was held to the worker that has answered it."""
        self.fallback.on_complete(request, worker, latency, now, cluster)
        if request.key >= 0 and self.find(request.key) == NONE:
            self.bind(request.key, worker, now)

    def on_down(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Pass on; a session of this worker moves with its next request."""
        self.fallback.on_down(worker, now, cluster)

    def on_up(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Pass on."""
        self.fallback.on_up(worker, now, cluster)

    def on_report(self, worker: int, busy: float, now: float, cluster: ClusterView) -> None:
        """Tell the fallback."""
        self.fallback.on_report(worker, busy, now, cluster)

    # --- the table ---------------------------------------------------------------------------

    def find(self, key: int) -> int:
        """Return the entry of a key, or NONE."""
        mask = len(self.place) - 1
        i = hash64(key) & mask
        while self.place[i] != NONE:
            if self.key[self.place[i]] == key:
                return self.place[i]
            i = (i + 1) & mask
        return NONE

    def bind(self, key: int, worker: int, now: float) -> None:
        """Remember where a session lives from now on."""
        entry = self.find(key)
        if entry == NONE:
            if self.count < len(self.key):
                entry = self.count
                self.count += 1
            else:
                entry = self.oldest
                if now - self.used[entry] <= self.limit:
                    self.evictions += 1
                self.unlink(entry)
                self.forget(self.key[entry])
            self.key[entry] = key
            mask = len(self.place) - 1
            i = hash64(key) & mask
            while self.place[i] != NONE:
                i = (i + 1) & mask
            self.place[i] = entry
            self.append(entry)
        self.home[entry] = worker
        self.touch(entry, now)

    def forget(self, key: int) -> None:
        """Take a key out of the index, closing the gap that it leaves."""
        mask = len(self.place) - 1
        gap = hash64(key) & mask
        while self.key[self.place[gap]] != key:
            gap = (gap + 1) & mask
        self.place[gap] = NONE
        i = (gap + 1) & mask
        while self.place[i] != NONE:
            wanted = hash64(self.key[self.place[i]]) & mask
            # An entry may move into the gap if that is not before the place it wants.
            if ((i - wanted) & mask) >= ((i - gap) & mask):
                self.place[gap] = self.place[i]
                self.place[i] = NONE
                gap = i
            i = (i + 1) & mask

    def touch(self, entry: int, now: float) -> None:
        """Make an entry the most recently used."""
        self.used[entry] = now
        if entry != self.newest:
            self.unlink(entry)
            self.append(entry)

    def unlink(self, entry: int) -> None:
        """Take an entry out of the list."""
        before = self.older[entry]
        after = self.newer[entry]
        if before == NONE:
            self.oldest = after
        else:
            self.newer[before] = after
        if after == NONE:
            self.newest = before
        else:
            self.older[after] = before

    def append(self, entry: int) -> None:
        """Put an entry at the recent end of the list."""
        self.older[entry] = self.newest
        self.newer[entry] = NONE
        if self.newest == NONE:
            self.oldest = entry
        else:
            self.newer[self.newest] = entry
        self.newest = entry

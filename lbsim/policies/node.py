"""What Node.js's cluster module really does."""

import numpy as np

from lbsim.policy import HOLD, ClusterView, Policy, Request

__all__ = ["NodeCluster", "NodeSchedNone"]


class NodeCluster(Policy):
    """Node.js's ``cluster.SCHED_RR``: a list of free workers, not a blind rotation.

    The primary keeps two first-in, first-out lists: free workers and pending connections. A new
    connection goes to the worker at the front of the free list, and that worker is *not free*
    until it acknowledges. If nobody is free, the connection waits in the primary.

    When does a worker acknowledge? In the handler of the message that carries the connection,
    before a byte of the request is read. So a worker whose event loop is free acknowledges at
    once, however many requests it is awaiting; and a worker that computes, and thereby blocks
    its loop, acknowledges only when it is done. That makes a blocking workload *late binding*:
    about one connection waits at each blocked worker (two, if the primary's answer to an
    acknowledgement comes before the worker has looked for new work), the others wait in the
    primary for whoever is free first. For a workload that only awaits, it is the blind rotation
    that its name promises.

    This class needs no number that says so: it follows from the rule of acknowledgement and
    the workers' event loop (``Cluster(discipline="event_loop")``). How many connections a
    blocked worker holds depends on a race, for which the cluster's
    ``master=Master(dispatch_s=...)``, ``setup_s`` and ``setup_share`` stand.

    Notes
    -----
    Node.js 20, lib/internal/cluster: round_robin_handle.js (``distribute`` appends to
    ``handles`` and takes the first of ``free``; ``handoff`` sends it and, on the reply
    ``accepted``, hands off again or puts the worker at the end of ``free``), child.js
    (``onconnection`` sends that reply first), primary.js (a worker that exits is taken off
    the lists; what it had not acknowledged is neither closed nor sent again, and its client
    waits until it gives up). The last is Node's alone: here, the dispatcher's retry rule holds,
    and ``Cluster(max_attempts=1)`` loses what a dead worker had.
    """

    needs_ack = True

    def prepare(self, n_workers: int) -> None:
        """Start with an empty list of free workers: each comes in when it is up."""
        self.free = np.zeros(n_workers, np.int64)  # a ring
        self.first = 0
        self.count = 0

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker that has been free longest, or hold."""
        if self.count == 0:
            return HOLD
        worker = self.free[self.first]
        self.first = (self.first + 1) % len(self.free)
        self.count -= 1
        return worker

    def on_ready(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Put a worker that has acknowledged at the end of the list."""
        self.free[(self.first + self.count) % len(self.free)] = worker
        self.count += 1

    def on_down(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Take a worker off the list, if it is on it."""
        kept = 0
        for i in range(self.count):
            other = self.free[(self.first + i) % len(self.free)]
            if other != worker:
                self.free[(self.first + kept) % len(self.free)] = other
                kept += 1
        self.count = kept


class NodeSchedNone(Policy):
    """Node.js's ``cluster.SCHED_NONE``: all workers accept from one socket, one a turn.

    Connections wait in the kernel until a worker's event loop looks. A loop with nothing to do
    takes whatever comes; a busy one takes a connection, if one waits, at the beginning of a turn,
    *before* it runs the handler of the one it took in the turn before. So under load each worker
    holds a connection that it cannot serve yet, and which no idle worker can have: late binding
    less one (`SharedAccept` is the ideal). A turn is an event loop's
    (``Cluster(discipline="event_loop")``); other workers take the next when they begin one.

    All loops with nothing to do wake for each connection (``Cluster(herd_s=...)``, the thundering
    herd: libuv does not ask for EPOLLEXCLUSIVE). The last that went to sleep looks first here; in
    truth that is a race, which makes no difference to latency.

    Notes
    -----
    libuv 1.45 and later, src/unix/stream.c (``uv__server_io`` accepts once and returns to the
    loop) and src/unix/linux.c (a new descriptor is added to epoll as the next turn begins, after
    the listening socket, which is ready already); Node.js 20 has 1.46. The order of sleepers:
    Majkowski (2017), as in `SharedAccept`.
    """

    needs_ack = True
    at_turns = True

    def prepare(self, n_workers: int) -> None:
        """Start with nobody asleep: each goes to sleep when it is up."""
        self.asleep_since = np.zeros(n_workers, np.int64)  # 0: awake
        self.clock = 0

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker that went to sleep last, or hold."""
        woken = -1
        for worker in cluster.up:
            since = self.asleep_since[worker]
            if cluster.in_flight[worker] >= cluster.slots[worker]:
                continue
            if since > 0 and (woken < 0 or since > self.asleep_since[woken]):
                woken = worker
        if woken < 0:
            return HOLD
        self.asleep_since[woken] = 0
        return woken

    def on_ready(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Note that a worker has nothing to do."""
        self.clock += 1
        self.asleep_since[worker] = self.clock

    def on_down(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Wake nobody who is not there."""
        self.asleep_since[worker] = 0

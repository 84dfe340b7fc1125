"""What the operating system's kernel does when there is no master that decides."""

import numpy as np

from lbsim.errors import InputError
from lbsim.hashing import hash64
from lbsim.policy import HOLD, ClusterView, Policy, Request

__all__ = ["ReusePort", "SharedAccept"]

ORDERS = ("lifo", "fifo")


class SharedAccept(Policy):
    """All workers accept from one listening socket: late binding in the order of waking up.

    Connections wait in the kernel; a worker takes one when it has nothing better to do. It is
    Node.js's ``cluster.SCHED_NONE``, and what pre-forking servers do.

    Parameters
    ----------
    order : {"lifo", "fifo"}
        Which of several idle workers is woken. "lifo": the one that went to sleep last, as
        Linux does for workers that sleep in ``epoll_wait``; at low load a few workers then
        do nearly everything. "fifo": the one that has slept longest, as for workers that sleep
        in a blocking ``accept``.
    slots : int, default 1
        Requests that a worker has before it stops accepting. 1 fits handlers that block; an
        event loop that awaits goes on accepting.

    Notes
    -----
    Majkowski (2017), "Why does one NGINX worker take all the load?" (Cloudflare), explains the
    two orders from the kernel's wait queues.
    """

    def __init__(self, order: str = "lifo", slots: int = 1) -> None:
        self.order = order
        self.slots = slots

    def prepare(self, n_workers: int) -> None:
        """Let the workers go to sleep in order of index, as they come up."""
        if self.order not in ORDERS:
            raise InputError(
                f"SharedAccept: order = {self.order!r} is not known; "
                f"give one of {', '.join(ORDERS)}"
            )
        self.is_lifo = self.order == "lifo"
        self.asleep_since = np.zeros(n_workers, np.int64)
        self.clock = 0

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker that is woken, or hold."""
        in_flight, slots, asleep_since = cluster.in_flight, cluster.slots, self.asleep_since
        woken = -1
        for worker in cluster.up:
            if in_flight[worker] < slots[worker] and (
                woken < 0 or (asleep_since[worker] > asleep_since[woken]) == self.is_lifo
            ):
                woken = worker
        return woken if woken >= 0 else HOLD

    def on_complete(
        self, request: Request, worker: int, latency: float, now: float, cluster: ClusterView
    ) -> None:
        """Note that a worker goes back to sleep."""
        self.clock += 1
        self.asleep_since[worker] = self.clock

    def on_up(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Note that a worker goes to sleep for the first time."""
        self.clock += 1
        self.asleep_since[worker] = self.clock


class ReusePort(Policy):
    """One listening socket a worker (SO_REUSEPORT): the kernel hashes the connection.

    The hash is of addresses and ports, so a client's next connection, from another port, goes
    elsewhere: it is a random choice, blind to load, and not sticky.

    Notes
    -----
    socket(7), SO_REUSEPORT; Kerrisk (2013), "The SO_REUSEPORT socket option", LWN. Each request
    is a new connection here, from a port drawn among Linux's ephemeral ports (32768 to 60999).
    """

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker that the hash of the connection names."""
        port = 32768 + int(cluster.rng.random() * 28232)
        return cluster.up[hash64(request.key, port) % len(cluster.up)]

"""Late binding: hold a request until a worker is free for it."""

from lbsim.errors import InputError
from lbsim.policy import HOLD, UNLIMITED, ClusterView, Policy, Request

__all__ = ["BoundedQueue", "CentralQueue"]

FCFS, PRIORITY, SHORTEST = range(3)
ORDERS = ("fcfs", "priority", "shortest")


class CentralQueue(Policy):
    """One queue for all: a request is bound to a worker when that worker is free.

    Parameters
    ----------
    order : {"fcfs", "priority", "shortest"}
        First come, first served; the smallest ``priority`` number first; or the smallest
        estimated ``size`` first (a request without an estimate comes last). Ties in order of
        arrival.
    slots : int, default 1
        Requests that a worker may have; set it to the concurrency of workers that serve
        several at once.

    Notes
    -----
    With exponential service times and one slot this is M/M/c. Among idle workers they take
    turns.
    """

    def __init__(self, order: str = "fcfs", slots: int = 1) -> None:
        self.order = order
        self.slots = slots

    def prepare(self, n_workers: int) -> None:
        """Look the order up."""
        if self.order not in ORDERS:
            raise InputError(
                f"CentralQueue: order = {self.order!r} is not known; "
                f"give one of {', '.join(ORDERS)}"
            )
        self.rule = ORDERS.index(self.order)

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Hold: the dispatcher gives the request to the first worker that is free."""
        return HOLD

    def rank(self, request: Request) -> float:
        """Return the place in the queue."""
        if self.rule == PRIORITY:
            return float(request.priority)
        if self.rule == SHORTEST:
            return (
                request.size if request.size == request.size else 1e300
            )  # NaN differs from itself
        return 0.0


class BoundedQueue(Policy):
    """Join the bounded shortest queue, JBSQ(k): at most `k` requests sit at a worker.

    The least loaded worker gets the request if it has fewer than `k`; otherwise it is held.
    ``k = 1`` is the central queue, a large `k` is `LeastConnections`; ``k = 2`` hides the time
    of the handover and keeps most of the central queue's advantage. Ties rotate.

    Parameters
    ----------
    k : int, default 2

    Notes
    -----
    Kogias, Prekas, Ghosn, Fietz and Bugnion (2019), "R2P2: making RPCs first-class datacenter
    citizens", USENIX ATC, section 3.3.
    """

    def __init__(self, k: int = 2) -> None:
        self.k = k

    @property
    def slots(self) -> int:  # type: ignore[override]
        """The bound, for the dispatcher."""
        return self.k

    def prepare(self, n_workers: int) -> None:
        """Start the rotation at worker 0."""
        self.next = 0

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return a least loaded worker that has room, or hold."""
        is_up, in_flight, slots = cluster.is_up, cluster.in_flight, cluster.slots
        n = len(is_up)
        best = -1
        least = UNLIMITED
        for step in range(n):
            worker = (self.next + step) % n
            load = in_flight[worker]
            if load < least and load < slots[worker] and is_up[worker]:
                best = worker
                least = load
                if load == 0:
                    break
        if best < 0:
            return HOLD
        self.next = best + 1
        return best

"""Policies that look at load: requests in flight, response times, work left."""

import math

import numpy as np

from lbsim.errors import InputError
from lbsim.policy import HOLD, ClusterView, Policy, Request, least_loaded

__all__ = [
    "FirstAvailable",
    "LeastConnections",
    "LeastResponseTime",
    "LeastWorkLeft",
    "PowerOfD",
    "WeightedLeastConnections",
]

ROTATE, FIRST, RANDOM = range(3)
TIES = ("rotate", "first", "random")


def tie_rule(name: str) -> int:
    """Return the number of a tie-break rule, for compiled code."""
    if name not in TIES:
        raise InputError(f"ties = {name!r} is not known; give one of {', '.join(TIES)}")
    return TIES.index(name)


class LeastConnections(Policy):
    """Join the shortest queue: the worker with the fewest requests in flight.

    In flight counts the requests queued *and* in service. (Counting only those in service, or
    only those waiting, is the commonest mistake in simulators.)

    Parameters
    ----------
    ties : {"rotate", "first", "random"}
        Among the least loaded: the first after the worker chosen last (default); the one with
        the lowest index, which at low load sends nearly everything to worker 0; or any.

    Notes
    -----
    Winston (1977), "Optimality of the shortest line discipline"; as "least_conn" in nginx and
    "leastconn" in HAProxy.
    """

    def __init__(self, ties: str = "rotate") -> None:
        self.ties = ties

    def prepare(self, n_workers: int) -> None:
        """Start the rotation at worker 0."""
        self.rule = tie_rule(self.ties)
        self.next = 0

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return a least loaded worker."""
        if self.rule == RANDOM:
            return self.any_of_the_least(cluster)
        if self.rule == FIRST:
            return least_loaded(cluster, 0)
        worker = least_loaded(cluster, self.next)
        self.next = worker + 1
        return worker

    def any_of_the_least(self, cluster: ClusterView) -> int:
        """Return any least loaded worker, each with the same chance."""
        least = cluster.in_flight[cluster.up[0]]
        ties = 0
        for worker in cluster.up:
            if cluster.in_flight[worker] < least:
                least = cluster.in_flight[worker]
                ties = 0
            if cluster.in_flight[worker] == least:
                ties += 1
        skip = int(cluster.rng.random() * ties)
        for worker in cluster.up:
            if cluster.in_flight[worker] == least:
                if skip == 0:
                    return worker
                skip -= 1
        return cluster.up[-1]


class WeightedLeastConnections(Policy):
    """Choose the worker that would have the fewest requests per unit of weight.

    The new request is counted: the least (in_flight + 1) / weight wins. Ties rotate.

    Source: the "wlc" scheduler of the Linux Virtual Server (Zhang 2000), with the new request
    counted as in its "sed" scheduler, so that an idle fast worker beats an idle slow one.
    """

    def prepare(self, n_workers: int) -> None:
        """Start the rotation at worker 0."""
        self.next = 0

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker with the least load per weight."""
        n = len(cluster.is_up)
        best = -1
        least = math.inf
        for step in range(n):
            worker = (self.next + step) % n
            if cluster.is_up[worker]:
                load = (cluster.in_flight[worker] + 1) / cluster.weight[worker]
                if load < least:
                    best = worker
                    least = load
        self.next = best + 1
        return best


class PowerOfD(Policy):
    """Look at `d` workers drawn at random and take the least loaded of them.

    Parameters
    ----------
    d : int, default 2
        Workers looked at (all that are up, if they are fewer).
    distinct : bool, default True
        Draw without replacement. The published tables match only this; with replacement a
        worker may be compared with itself.

    Notes
    -----
    Ties go to the worker drawn first. Mitzenmacher (2001), "The power of two choices in
    randomized load balancing", IEEE TPDS 12(10); Vvedenskaya, Dobrushin and Karpelevich (1996).
    """

    def __init__(self, d: int = 2, distinct: bool = True) -> None:
        self.d = d
        self.distinct = distinct

    def prepare(self, n_workers: int) -> None:
        """Make room for the places that have been drawn."""
        if not isinstance(self.d, int | np.integer) or self.d < 1:
            raise InputError(
                f"PowerOfD: d = {self.d!r} is not a whole number of at least 1; "
                "two choices (d = 2) give most of the gain"
            )
        self.looked_at = int(self.d)
        self.without_replacement = bool(self.distinct)
        self.drawn = np.zeros(min(self.looked_at, n_workers), np.int64)

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the least loaded of d workers."""
        n = len(cluster.up)
        place = int(cluster.rng.random() * n)
        best = cluster.up[place]
        if not self.without_replacement:
            for _ in range(self.looked_at - 1):
                other = cluster.up[int(cluster.rng.random() * n)]
                if cluster.in_flight[other] < cluster.in_flight[best]:
                    best = other
            return best
        self.drawn[0] = place
        for k in range(1, min(self.looked_at, n)):
            # A draw from the n - k places that are left; the drawn ones, in ascending order in
            # drawn[:k], are passed over.
            place = int(cluster.rng.random() * (n - k))
            position = 0
            while position < k and self.drawn[position] <= place:
                place += 1
                position += 1
            for i in range(k, position, -1):
                self.drawn[i] = self.drawn[i - 1]
            self.drawn[position] = place
            if cluster.in_flight[cluster.up[place]] < cluster.in_flight[best]:
                best = cluster.up[place]
        return best


class LeastResponseTime(Policy):
    """Choose by response times seen lately: the peak-sensitive moving average.

    A worker's cost is its average response time times the requests it would then have. The
    average jumps up to every response slower than itself and comes down exponentially, so that
    a worker that turns slow is avoided at once and trusted again only by and by.

    Parameters
    ----------
    decay : float, default 10
        Time constant of the way down, in seconds. It must be long compared to the response
        times, or everything is forgotten before it is used.

    Notes
    -----
    A worker that has not answered yet costs nothing while idle, and more than any other once it
    has something in flight. Ties rotate. Source: Twitter Finagle, ``PeakEwma`` ("Aperture and
    load balancers", Finagle user's guide, Clients), also in Linkerd.
    """

    def __init__(self, decay: float = 10.0) -> None:
        self.decay = decay

    def prepare(self, n_workers: int) -> None:
        """Know nothing of anybody."""
        if not 0.0 < self.decay < math.inf:
            raise InputError(
                f"LeastResponseTime: decay = {self.decay!r} must be finite and above 0; give the "
                "seconds after which an old response time counts for a third"
            )
        self.tau = float(self.decay)
        self.average = np.zeros(n_workers)
        self.stamp = np.zeros(n_workers)
        self.next = 0

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker with the least cost."""
        n = len(cluster.is_up)
        now = request.time
        best = -1
        least = math.inf
        for step in range(n):
            worker = (self.next + step) % n
            if not cluster.is_up[worker]:
                continue
            # `faded`, written out: for the live master a call for each worker is dear.
            average = self.average[worker] * math.exp(-(now - self.stamp[worker]) / self.tau)
            busy = cluster.in_flight[worker]
            cost = 1e12 + busy if average == 0.0 and busy > 0 else average * (busy + 1)
            if cost < least:
                best = worker
                least = cost
        self.next = best + 1
        return best

    def faded(self, worker: int, now: float) -> float:
        """Return what is left of a worker's average after the time since it was renewed."""
        return math.exp(-(now - self.stamp[worker]) / self.tau)

    def on_complete(
        self, request: Request, worker: int, latency: float, now: float, cluster: ClusterView
    ) -> None:
        """Renew the average."""
        weight = self.faded(worker, now)
        if latency > self.average[worker] * weight:
            self.average[worker] = latency
        else:
            self.average[worker] = self.average[worker] * weight + latency * (1.0 - weight)
        self.stamp[worker] = now

    def on_up(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Forget what was before a restart."""
        self.average[worker] = 0.0
        self.stamp[worker] = now


class LeastWorkLeft(Policy):
    """Choose the worker that will be idle first: an oracle, for simulation only.

    It knows every request's service time and keeps, for each worker, the time at which it will
    have done all it was given, counting its weight as its speed. With first come, first served
    workers this is the central queue in disguise (Harchol-Balter 2013, "Performance Modeling
    and Design of Computer Systems", section 24.4). Ties rotate.
    """

    oracle = True

    def prepare(self, n_workers: int) -> None:
        """Start with idle workers."""
        self.idle_from = np.zeros(n_workers)
        self.next = 0

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker with the least work left."""
        n = len(cluster.is_up)
        best = -1
        least = math.inf
        for step in range(n):
            worker = (self.next + step) % n
            if cluster.is_up[worker]:
                left = max(0.0, self.idle_from[worker] - request.time)
                if left < least:
                    best = worker
                    least = left
        self.next = best + 1
        begin = max(request.time, self.idle_from[best])
        self.idle_from[best] = begin + request.service / cluster.weight[best]
        return best

    def on_down(self, worker: int, now: float, cluster: ClusterView) -> None:
        """A dead worker has nothing left to do."""
        self.idle_from[worker] = 0.0


class FirstAvailable(Policy):
    """Fill the first worker, then the second, and so on; hold what finds no free slot.

    Parameters
    ----------
    slots : int, default 1
        Requests that a worker takes before the next one is used.

    Notes
    -----
    HAProxy's ``balance first`` (configuration manual, section 4.2): it keeps the load on as few
    workers as possible, so that the others can be switched off.
    """

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the first worker with a free slot."""
        in_flight, slots = cluster.in_flight, cluster.slots
        for worker in cluster.up:
            if in_flight[worker] < slots[worker]:
                return worker
        return HOLD

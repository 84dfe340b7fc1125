"""Rotation and chance: policies that look at nothing but the list of workers."""

import numpy as np

from lbsim.policy import ClusterView, Policy, Request

__all__ = ["Random", "RoundRobin", "WeightedRandom", "WeightedRoundRobin"]


class RoundRobin(Policy):
    """Give each request to the next worker, blindly.

    The next worker is the first that is up after the last one chosen, in order of index; so
    a worker that leaves or joins disturbs nobody else's turn. The first request goes to
    worker 0.

    This is what most people believe Node.js's cluster module does; see `NodeCluster`.
    """

    def prepare(self, n_workers: int) -> None:
        """Start before worker 0."""
        self.last = -1

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the next worker."""
        n = len(cluster.is_up)
        worker = (self.last + 1) % n
        while not cluster.is_up[worker]:
            worker = (worker + 1) % n
        self.last = worker
        return worker


class WeightedRoundRobin(Policy):
    """Rotate in proportion to the weights, as evenly interleaved as possible.

    Every worker's credit grows by its weight; the one with the most credit is chosen and pays
    the sum of the weights. Ties go to the lowest index. With weights 5, 1, 1 the order is
    0 0 1 0 2 0 0.

    Source: nginx's smooth weighted round-robin (commit 52327e0627f4, "Upstream: smooth weighted
    round-robin balancing", 2012).
    """

    def prepare(self, n_workers: int) -> None:
        """Give everyone a credit of 0."""
        self.credit = np.zeros(n_workers)

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker with the most credit."""
        total = 0.0
        best = -1
        for worker in cluster.up:
            self.credit[worker] += cluster.weight[worker]
            total += cluster.weight[worker]
            if best < 0 or self.credit[worker] > self.credit[best]:
                best = worker
        self.credit[best] -= total
        return best

    def on_up(self, worker: int, now: float, cluster: ClusterView) -> None:
        """Let a worker that joins begin without debts or savings."""
        self.credit[worker] = 0.0


class Random(Policy):
    """Choose uniformly among the workers that are up."""

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return any worker."""
        return cluster.up[int(cluster.rng.random() * len(cluster.up))]


class WeightedRandom(Policy):
    """Choose at random, in proportion to the weights.

    One uniform draw on [0, sum of weights) is laid along the workers in order of index.
    """

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return any worker, the heavier the likelier."""
        total = 0.0
        for worker in cluster.up:
            total += cluster.weight[worker]
        rest = cluster.rng.random() * total
        for worker in cluster.up:
            rest -= cluster.weight[worker]
            if rest < 0.0:
                return worker
        return cluster.up[-1]  # rounding: the draw was all but the whole sum

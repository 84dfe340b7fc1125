"""A policy that looks at how busy workers say they are."""

import math

import numpy as np

from lbsim import checks
from lbsim.policy import ClusterView, Policy, Request

__all__ = ["LeastLoaded"]


class LeastLoaded(Policy):
    """The worker with the least load: requests in flight, and how busy it was lately.

    A worker that was busy all the time counts as having `weight` requests more than one that was
    idle. So of workers with as many requests the one that has more to spare is chosen, which
    tells slow workers, and workers with other things to do, from fast ones, even at low load.

    Parameters
    ----------
    weight : float, default 1
        Requests that being busy all the time counts for; 0 looks at requests alone.
    window : float, default 0.5
        Seconds over which a worker's busy time is taken.

    Notes
    -----
    Live, a worker reports every half second how much of the time its event loop was not waiting,
    or its processor time if that is more (`live.idle`): it is measured. A simulated worker makes
    no reports; there, the share of the last full window in which it had requests stands for
    it, as far as the policy knows from its choices and their answers. Ties go to the first worker
    after the one chosen last. A load of many workers that is half a second old must not decide
    alone, or all send to the same one (Mitzenmacher 2000, "How useful is old information?").
    """

    def __init__(self, weight: float = 1.0, window: float = 0.5) -> None:
        self.weight = weight
        self.window = window

    def prepare(self, n_workers: int) -> None:
        """Begin with idle workers."""
        self.factor = checks.not_negative("LeastLoaded", "weight", self.weight)
        self.length = checks.positive("LeastLoaded", "window", self.window)
        self.share = np.zeros(n_workers)  # of the last full window
        self.spent = np.zeros(n_workers)  # busy seconds in the present window
        self.since = np.zeros(n_workers)  # when `has_work` was last true to fact
        self.period = np.zeros(n_workers, np.int64)  # number of the present window
        self.has_work = np.zeros(n_workers, np.bool_)
        self.is_told = False
        self.last = -1

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker with the least load."""
        in_flight, share, factor, is_told = (
            cluster.in_flight, self.share, self.factor, self.is_told
        )  # fmt: skip
        n = len(in_flight)
        after = self.last + 1
        best = -1
        least = math.inf
        nearest = n
        for worker in cluster.up:
            if not is_told:  # else nobody asks what would be seen
                self.look(worker, in_flight[worker] > 0, request.time)
            load = in_flight[worker] + factor * share[worker]
            if load <= least:
                distance = (worker - after) % n
                if load < least or distance < nearest:
                    best = worker
                    least = load
                    nearest = distance
        self.has_work[best] = True
        self.last = best
        return best

    def on_complete(
        self, request: Request, worker: int, latency: float, now: float, cluster: ClusterView
    ) -> None:
        """Note whether the worker has anything left."""
        if not self.is_told:
            self.look(worker, cluster.in_flight[worker] > 0, now)

    def on_down(self, worker: int, now: float, cluster: ClusterView) -> None:
        """A worker that is gone does nothing."""
        self.look(worker, False, now)

    def on_up(self, worker: int, now: float, cluster: ClusterView) -> None:
        """A new worker begins with no past."""
        self.look(worker, False, now)
        self.share[worker] = 0.0
        self.spent[worker] = 0.0

    def on_report(self, worker: int, busy: float, now: float, cluster: ClusterView) -> None:
        """Take a worker's own word for it, from now on."""
        self.is_told = True
        self.share[worker] = busy

    def look(self, worker: int, has_work: bool, now: float) -> None:
        """Account for the time since the last look at a worker, window by window."""
        period = math.floor(now / self.length)
        if period > self.period[worker]:
            end = (self.period[worker] + 1) * self.length
            if self.has_work[worker]:
                self.spent[worker] += end - self.since[worker]
            share = self.spent[worker] / self.length
            if period > self.period[worker] + 1:  # whole windows in which nothing changed
                share = 1.0 if self.has_work[worker] else 0.0
            if not self.is_told:
                self.share[worker] = share
            self.spent[worker] = 0.0
            self.since[worker] = period * self.length
            self.period[worker] = period
        if self.has_work[worker]:
            self.spent[worker] += now - self.since[worker]
        self.since[worker] = now
        self.has_work[worker] = has_work

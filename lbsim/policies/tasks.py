"""Policies that look at the request: its type, its priority, its size."""

import math
from collections.abc import Sequence

import numpy as np

from lbsim.errors import InputError
from lbsim.policy import HOLD, ClusterView, Policy, Request

__all__ = ["ByKind", "ByPriority", "SizeInterval"]


def least_loaded_in(group: np.ndarray, first: int, start: int, cluster: ClusterView) -> int:
    """Return the least loaded worker that is up and in a group, -1 if there is none.

    `group` holds one flag for each worker from index `first` on; ties go to the first such
    worker from `start` on, cyclically.
    """
    is_up, in_flight = cluster.is_up, cluster.in_flight
    n = len(is_up)
    best = -1
    for step in range(n):
        worker = (start + step) % n
        if (
            is_up[worker]
            and group[first + worker]
            and (best < 0 or in_flight[worker] < in_flight[best])
        ):
            best = worker
    return best


class ByKind(Policy):
    """Specialised workers: each kind of request has workers of its own, with spill-over.

    Parameters
    ----------
    groups : sequence of sequences of int
        For each kind, in order, the indices of its workers. Workers may be in several groups.
        A kind beyond the list may go anywhere.
    spill : int, optional
        If every worker of the group that is up has this many requests in flight, or none is up,
        the request goes to the least loaded of all. None: only if none is up.

    Notes
    -----
    In a group the least loaded worker is chosen; ties rotate.
    """

    def __init__(self, groups: Sequence[Sequence[int]], spill: int | None = None) -> None:
        self.groups = groups
        self.spill = spill

    def prepare(self, n_workers: int) -> None:
        """Lay the groups out as one row of flags for each kind."""
        self.n_kinds = len(self.groups)
        # The last row is for kinds beyond the list, and for what spills over: all workers.
        self.member = np.zeros((self.n_kinds + 1) * n_workers, np.bool_)
        self.member[self.n_kinds * n_workers :] = True
        for kind, group in enumerate(self.groups):
            for worker in group:
                if not 0 <= worker < n_workers:
                    raise InputError(
                        f"ByKind: groups[{kind}] = {list(group)!r} names worker {worker}, but "
                        f"the workers are 0 to {n_workers - 1}; correct the group"
                    )
                self.member[kind * n_workers + worker] = True
        self.limit = math.inf if self.spill is None else float(self.spill)
        self.next = 0

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the least loaded worker of the kind's group."""
        n = len(cluster.is_up)
        kind = min(request.kind, self.n_kinds)
        worker = least_loaded_in(self.member, kind * n, self.next, cluster)
        if worker < 0 or cluster.in_flight[worker] >= self.limit:
            worker = least_loaded_in(self.member, self.n_kinds * n, self.next, cluster)
        self.next = worker + 1
        return worker


class ByPriority(Policy):
    """A central queue in order of priority, with workers reserved for the most urgent.

    Workers 0 to ``reserved - 1`` take only requests of priority 0. All others take what is most
    urgent, in order of arrival within a priority. Nothing is interrupted.

    Parameters
    ----------
    reserved : int, default 0
        How many workers are reserved; fewer than there are.
    slots : int, default 1
        Requests that a worker may have.

    Notes
    -----
    Without reserved workers this is the non-preemptive priority queue (Cobham 1954). An urgent
    request takes an idle reserved worker only if the dispatcher's turn comes to it: idle workers
    take turns.
    """

    def __init__(self, reserved: int = 0, slots: int = 1) -> None:
        self.reserved = reserved
        self.slots = slots

    def prepare(self, n_workers: int) -> None:
        """Check that somebody is left for the others."""
        if not 0 <= self.reserved < max(n_workers, 1):
            raise InputError(
                f"ByPriority: reserved = {self.reserved!r} of {n_workers} workers leaves nobody "
                f"for other priorities; give 0 to {n_workers - 1}"
            )

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Hold: the dispatcher gives the request to a worker that may take it."""
        return HOLD

    def rank(self, request: Request) -> float:
        """Return the priority."""
        return float(request.priority)

    def may_take(self, worker: int, request: Request) -> bool:
        """Keep the reserved workers for priority 0."""
        return worker >= self.reserved or request.priority == 0


class SizeInterval(Policy):
    """Size-interval task assignment, SITA: small requests and large ones do not meet.

    With k cutoffs the workers are split into k + 1 blocks of consecutive indices, as equal as
    possible; a request goes to the block of its estimated size, and there to the least loaded
    worker (ties rotate). A request without an estimate, or whose block is down, goes to the
    least loaded worker of all.

    Parameters
    ----------
    cutoffs : sequence of float
        Ascending sizes; block i takes sizes up to and including cutoffs[i].

    Notes
    -----
    Harchol-Balter, Crovella and Murta (1999), "On choosing a task assignment policy for a
    distributed server system". `lbsim.theory.sita_e_cutoffs` computes cutoffs that balance load.
    """

    def __init__(self, cutoffs: Sequence[float]) -> None:
        self.cutoffs = cutoffs

    def prepare(self, n_workers: int) -> None:
        """Split the workers into blocks."""
        bounds = np.array(self.cutoffs, np.float64)
        if bounds.ndim != 1 or np.isnan(bounds).any() or (np.diff(bounds) <= 0).any():
            raise InputError(
                f"SizeInterval: cutoffs = {self.cutoffs!r} are not ascending; sort them and "
                "leave out equal ones"
            )
        blocks = len(bounds) + 1
        if blocks > n_workers:
            raise InputError(
                f"SizeInterval: {len(bounds)} cutoffs make {blocks} blocks, but there are "
                f"{n_workers} workers; give at most {n_workers - 1} cutoffs"
            )
        self.bounds = bounds
        self.member = np.zeros((blocks + 1) * n_workers, np.bool_)
        for block in range(blocks):
            first = block * n_workers // blocks
            last = (block + 1) * n_workers // blocks
            self.member[block * n_workers + first : block * n_workers + last] = True
        self.member[blocks * n_workers :] = True
        self.next = 0

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the least loaded worker of the size's block."""
        n = len(cluster.is_up)
        blocks = len(self.bounds) + 1
        block = blocks
        if not math.isnan(request.size):
            block = 0
            while block < blocks - 1 and request.size > self.bounds[block]:
                block += 1
        worker = least_loaded_in(self.member, block * n, self.next, cluster)
        if worker < 0:
            worker = least_loaded_in(self.member, blocks * n, self.next, cluster)
        self.next = worker + 1
        return worker

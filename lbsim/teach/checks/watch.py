"""Look over a policy's shoulder: every choice, and what it saw when it chose."""

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lbsim import checked
from lbsim.policy import UNLIMITED, ClusterView, Policy, Request
from lbsim.teach.checks.verdict import explained

if TYPE_CHECKING:
    from lbsim.cluster import Cluster
    from lbsim.run import Run
    from lbsim.workload import Workload

__all__ = ["Choice", "choices_of", "draws_of"]


class Choice(NamedTuple):
    """One call of `choose`."""

    time: float
    key: int
    worker: int
    """The answer: an index, HOLD or SHED."""
    up: tuple[int, ...]
    in_flight: tuple[int, ...]


def choices_of(
    policy: Policy, workload: "Workload", cluster: "Cluster", seed: int = 0
) -> "tuple[Run, list[Choice]]":
    """Simulate, and return the run and every choice, in order.

    Raises
    ------
    CheckFailed
        The policy broke its contract.
    """
    from lbsim.simulate import simulate

    log: list[Choice] = []
    kind: Any = type(policy)

    class Watched(kind):
        def choose(self, request: Request, cluster: ClusterView) -> int:
            worker = super().choose(request, cluster)
            seen = tuple(cluster.in_flight.tolist())
            log.append(Choice(request.time, request.key, worker, tuple(cluster.up.tolist()), seen))
            return int(worker)

    Watched.__name__ = Watched.__qualname__ = kind.__name__
    watched = Watched(**policy.parameters())
    run = explained(lambda: simulate(workload, watched, cluster, engine="readable", seed=seed))
    return run, log


def draws_of(policy: Policy, n_workers: int, down: tuple[int, ...], n: int, seed: int) -> list[int]:
    """Ask an idle cluster's policy `n` times and return the answers.

    Parameters
    ----------
    down : tuple of int
        Workers that are not up.
    """
    fresh = explained(lambda: checked.fresh(policy, n_workers))
    is_up = np.ones(n_workers, bool)
    is_up[list(down)] = False
    idle = np.zeros(n_workers, np.int64)
    view = ClusterView(
        up=np.flatnonzero(is_up),
        is_up=is_up,
        in_flight=idle,
        slots=np.full(n_workers, UNLIMITED),
        weight=np.ones(n_workers),
        latency=np.zeros(n_workers),
        rng=np.random.default_rng(seed),
        index=idle[:0],
    )
    requests = (Request(0.01 * i, i, 0, 0, float("nan"), float("nan")) for i in range(n))
    return [explained(functools.partial(fresh.choose, request, view)) for request in requests]

"""SITA: each worker serves the requests of one interval of sizes.

Small ones never queue behind large ones. For bounded Pareto sizes, known exactly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lbsim import checks
from lbsim.errors import InputError
from lbsim.stats.samples import FloatArray
from lbsim.theory.stability import stable_load
from lbsim.workload import BoundedPareto

__all__ = ["SizeIntervals", "sita", "sita_e_cutoffs"]


@dataclass(frozen=True, eq=False)
class SizeIntervals:
    """What a request meets when sizes are split at given cutoffs.

    Attributes
    ----------
    mean : float
        Mean sojourn time, in seconds.
    wait : float
        Mean wait, in seconds.
    slowdown : float
        Mean of sojourn time / size.
    shares, loads, waits : ndarray of float64, shape (workers,)
        Share of the requests, load, and mean wait in seconds, of each worker; smallest sizes
        first.
    """

    mean: float
    wait: float
    slowdown: float
    shares: FloatArray
    loads: FloatArray
    waits: FloatArray


def sita_e_cutoffs(law: BoundedPareto, workers: int) -> FloatArray:
    """Return the cutoffs that give every worker the same load (SITA-E).

    Parameters
    ----------
    law : BoundedPareto
    workers : int

    Returns
    -------
    ndarray of float64, shape (workers - 1,)
        Ascending, in seconds.

    Notes
    -----
    Harchol-Balter, Crovella and Murta, "On choosing a task assignment policy for a distributed
    server system", Performance Tools 1998 (JPDC 59, 1999): the work of sizes below x grows as
    x^(1 - α), or as ln x at α = 1.

    Examples
    --------
    >>> sita_e_cutoffs(BoundedPareto(alpha=1.5, mean=1.0, maximum=1000.0), 4).round(5).tolist()
    [0.59637, 1.30964, 4.87905]
    """
    workers = checks.count("sita_e_cutoffs", "workers", workers)
    part = np.arange(1, workers) / workers
    power = 1.0 - law.alpha
    span = np.log(law.maximum / law.minimum)
    if power == 0.0:
        return np.asarray(law.minimum * np.exp(part * span))
    return np.asarray(law.minimum * np.exp(np.log1p(part * np.expm1(power * span)) / power))


def sita(arrival_rate: float, law: BoundedPareto, cutoffs: ArrayLike) -> SizeIntervals:
    """Return what size intervals do, with Poisson arrivals and FCFS workers of speed 1.

    Parameters
    ----------
    arrival_rate : float
        In all, per second.
    law : BoundedPareto
        Of the sizes, which the dispatcher knows exactly.
    cutoffs : array_like of float, shape (workers - 1,)
        Ascending, in seconds, strictly within the law's range.

    Returns
    -------
    SizeIntervals

    Notes
    -----
    Worker i is an M/G/1 queue with sizes between two cutoffs (Pollaczek and Khinchine); a wait
    does not depend on the size of who waits, so its slowdown is 1 + E[W_i] E[1/S_i].

    Examples
    --------
    >>> law = BoundedPareto(alpha=1.5, mean=1.0, maximum=1000.0)
    >>> round(sita(1.6, law, sita_e_cutoffs(law, 2)).mean, 5)
    11.71397
    """
    inner = np.atleast_1d(np.asarray(cutoffs, np.float64))
    edges = np.concatenate([[law.minimum], inner, [law.maximum]])
    if not (np.diff(edges) > 0.0).all():
        raise InputError(
            f"sita: cutoffs = {inner.tolist()} must ascend strictly between {law.minimum:g} and "
            f"{law.maximum:g}, the law's range; sort them, or drop those outside"
        )
    share, first, second, inverse = (_partial(law, order, edges) for order in (0, 1, 2, -1))
    loads = arrival_rate * first
    for load in loads:
        stable_load("SITA, one of the workers", load, 1.0)
    waits = arrival_rate * second / (2.0 * (1.0 - loads))
    wait = float((share * waits).sum())
    return SizeIntervals(
        mean=wait + law.mean,
        wait=wait,
        slowdown=1.0 + float((waits * inverse).sum()),
        shares=share,
        loads=loads,
        waits=waits,
    )


def _partial(law: BoundedPareto, order: int, edges: FloatArray) -> FloatArray:
    """Return E[S^order; S between two edges] for each pair of neighbouring edges."""
    scale = law.alpha / -np.expm1(-law.alpha * np.log(law.maximum / law.minimum))
    power = order - law.alpha
    # The density is scale · minimum^α · x^(-α - 1); relative edges keep the powers in range.
    relative = edges / law.minimum
    if power == 0.0:
        pieces = np.diff(np.log(relative))
    else:
        pieces = np.diff(relative**power) / power
    return np.asarray(scale * law.minimum**order * pieces)

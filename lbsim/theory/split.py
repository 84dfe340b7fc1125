"""A static split: every request goes to worker i with probability p_i, whatever the queues are.

Random dispatch, weighted random dispatch and, on average over keys, sticky sessions.
"""

import numpy as np
from numpy.typing import ArrayLike

from lbsim import checks
from lbsim.errors import InputError
from lbsim.stats.samples import FloatArray
from lbsim.theory.stability import as_rates, stable_load

__all__ = ["optimal_split", "split_mean"]


def split_mean(arrival_rate: float, shares: ArrayLike, service_rates: ArrayLike) -> float:
    """Return the mean sojourn time over M/M/1 workers, Σ p_i / (μ_i - p_i λ), in seconds.

    Parameters
    ----------
    arrival_rate : float
        Poisson, in all, per second.
    shares : array_like of float, shape (n,)
        p_i, adding up to 1.
    service_rates : array_like of float, shape (n,)
        μ_i, per second.

    Examples
    --------
    >>> round(split_mean(1.2, [0.6, 0.4], [1.0, 1.0]), 6)
    2.912088
    """
    arrival_rate = checks.positive("split_mean", "arrival_rate", arrival_rate)
    p = np.array(checks.shares("split_mean", "shares", np.atleast_1d(shares).tolist()))
    rates = as_rates("split_mean", "service_rates", service_rates)
    if p.shape != rates.shape:
        raise InputError(
            f"split_mean: {p.size} shares do not match {rates.size} service_rates; give one of "
            "each for every worker"
        )
    for i in np.flatnonzero(p):
        stable_load(f"static split, worker {i}", float(p[i]) * arrival_rate, float(rates[i]))
    return float((p / (rates - p * arrival_rate)).sum())


def optimal_split(arrival_rate: float, service_rates: ArrayLike) -> FloatArray:
    """Return the shares that make `split_mean` smallest.

    Slow workers get less than their part of the speed, at low load nothing.

    Parameters
    ----------
    arrival_rate : float
        Per second, below the sum of the service rates.
    service_rates : array_like of float, shape (n,)
        Per second.

    Returns
    -------
    ndarray of float64, shape (n,)

    Notes
    -----
    Buzen and Chen, "Optimal load balancing in memory hierarchies", IFIP 1974: spare capacity
    μ_i - λ_i in proportion to sqrt(μ_i), over the fastest workers for which that leaves λ_i > 0.

    Examples
    --------
    >>> optimal_split(1.5, [2.0, 1.0]).round(6).tolist()
    [0.747547, 0.252453]
    """
    rates = as_rates("optimal_split", "service_rates", service_rates)
    stable_load("static split", arrival_rate, float(rates.sum()))
    used = np.argsort(-rates, kind="stable")
    while True:
        fast = rates[used]
        spare = (fast.sum() - arrival_rate) * np.sqrt(fast) / np.sqrt(fast).sum()
        if spare[-1] < fast[-1]:
            break
        used = used[:-1]
    shares = np.zeros_like(rates)
    shares[used] = fast - spare
    return np.asarray(shares / shares.sum())

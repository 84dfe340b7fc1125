"""Priorities on one worker: what each class waits. First come first served within a class.

Classes are given from the most urgent on.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from lbsim import checks
from lbsim.errors import InputError
from lbsim.stats.samples import FloatArray
from lbsim.theory.many import mmc_wait_mean
from lbsim.theory.stability import as_rates, checked_load

__all__ = ["mmc_priority_waits", "preemptive_means", "priority_waits"]


def priority_waits(arrival_rates: ArrayLike, means: ArrayLike, scvs: ArrayLike) -> FloatArray:
    """Return the mean wait of each class without preemption, in seconds.

    Parameters
    ----------
    arrival_rates : array_like of float, shape (k,)
        Poisson, per second.
    means, scvs : array_like of float, shape (k,)
        Mean service time in seconds, and its squared coefficient of variation, of each class.

    Returns
    -------
    ndarray of float64, shape (k,)

    Notes
    -----
    Cobham, "Priority assignment in waiting line problems", Operations Research 2 (1954):
    E[W_i] = W₀ / ((1 - σ_(i-1)) (1 - σ_i)) with W₀ = Σ λ_j E[S_j²] / 2 over all classes and σ_i
    the load of classes 1 to i.

    Examples
    --------
    >>> priority_waits([0.3, 0.6], [1.0, 1.0], [1.0, 1.0]).round(6).tolist()
    [1.285714, 12.857143]
    """
    _, residual, loads = _classes(arrival_rates, means, scvs)
    return residual.sum() / _slack(loads)


def preemptive_means(arrival_rates: ArrayLike, means: ArrayLike, scvs: ArrayLike) -> FloatArray:
    """Return the mean sojourn time of each class under preemptive-resume, in seconds.

    A more urgent arrival interrupts the request in service, which goes on later where it was.

    Parameters
    ----------
    arrival_rates, means, scvs : array_like of float, shape (k,)
        As of `priority_waits`.

    Returns
    -------
    ndarray of float64, shape (k,)

    Notes
    -----
    E[T_i] = E[S_i] / (1 - σ_(i-1)) + Σ_{j <= i} λ_j E[S_j²] / 2 / ((1 - σ_(i-1)) (1 - σ_i)):
    White and Christie, "Queuing with preemptive priorities or with breakdown", Operations
    Research 6 (1958). The sojourn includes the times of interruption.

    Examples
    --------
    >>> preemptive_means([0.3, 0.6], [1.0, 1.0], [1.0, 1.0]).round(6).tolist()
    [1.428571, 14.285714]
    """
    mean, residual, loads = _classes(arrival_rates, means, scvs)
    before = np.cumsum(loads) - loads
    return np.asarray(mean / (1.0 - before) + np.cumsum(residual) / _slack(loads))


def mmc_priority_waits(
    servers: int, arrival_rates: Sequence[float], service_rate: float
) -> FloatArray:
    """Return the mean wait of each class in M/M/c without preemption, in seconds.

    All classes have the same exponential service time.

    Parameters
    ----------
    servers : int
    arrival_rates : sequence of float, length k
        Per second.
    service_rate : float
        Of one worker, per second.

    Notes
    -----
    Cobham 1954: what all wait for is C / (c μ), with C of `lbsim.theory.many.erlang_c`.

    Examples
    --------
    >>> mmc_priority_waits(2, [0.8, 0.8], 1.0).round(6).tolist()
    [0.592593, 2.962963]
    """
    rates = as_rates("mmc_priority_waits", "arrival_rates", arrival_rates)
    total = float(rates.sum())
    wait = mmc_wait_mean(servers, total, service_rate)
    loads = rates / (servers * service_rate)
    return wait * (1.0 - loads.sum()) / _slack(loads)


def _classes(
    arrival_rates: ArrayLike, means: ArrayLike, scvs: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return means, λ E[S²] / 2 and loads of the classes, checked."""
    rates = as_rates("priorities", "arrival_rates", arrival_rates)
    mean = as_rates("priorities", "means", means)
    scv = np.atleast_1d(np.asarray(scvs, np.float64))
    for value in scv:
        checks.not_negative("priorities", "scvs", value)
    if not rates.shape == mean.shape == scv.shape:
        raise InputError(
            f"priorities: {rates.size} arrival_rates, {mean.size} means and {scv.size} scvs do "
            "not match; give one of each for every class"
        )
    checked_load("M/G/1 with priorities", float((rates * mean).sum()))
    return mean, 0.5 * rates * (1.0 + scv) * mean**2, rates * mean


def _slack(loads: FloatArray) -> FloatArray:
    """Return (1 - σ_(i-1)) (1 - σ_i) for every class."""
    upto = np.cumsum(loads)
    return np.asarray((1.0 - upto + loads) * (1.0 - upto))

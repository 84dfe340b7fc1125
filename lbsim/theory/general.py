"""M/G/1: Poisson arrivals, any service law, one worker.

Under FCFS the mean wait grows with the variability of the service times, under processor
sharing only their mean matters. M/D/1 (equal service times) has its quantiles too.
"""

import math

import numpy as np

from lbsim import checks
from lbsim.errors import InputError
from lbsim.theory.solve import quantile_of_tail
from lbsim.theory.stability import checked_quantile, stable_load

__all__ = [
    "md1_quantile",
    "md1_wait_quantile",
    "md1_wait_tail",
    "mg1_mean",
    "mg1_ps_mean",
    "mg1_ps_time",
    "mg1_wait_mean",
    "mg1_wait_variance",
]


def mg1_wait_mean(arrival_rate: float, mean: float, scv: float) -> float:
    """Return the mean waiting time under FCFS, in seconds.

    Parameters
    ----------
    arrival_rate : float
        λ, per second.
    mean : float
        Mean service time, in seconds; ``law.mean``.
    scv : float
        Its squared coefficient of variation, variance / mean²; ``law.scv``.

    Notes
    -----
    Pollaczek 1930, Khinchine 1932: E[W] = λ E[S²] / (2 (1 - ρ)), with E[S²] = (1 + scv) mean².

    Examples
    --------
    >>> round(mg1_wait_mean(0.8, 1.0, scv=10.0), 6)
    22.0
    """
    mean = checks.positive("M/G/1", "mean", mean)
    scv = checks.not_negative("M/G/1", "scv", scv)
    load = stable_load("M/G/1", arrival_rate, 1.0 / mean)
    return load * mean * (1.0 + scv) / (2.0 * (1.0 - load))


def mg1_mean(arrival_rate: float, mean: float, scv: float) -> float:
    """Return the mean sojourn time under FCFS, in seconds (parameters of `mg1_wait_mean`)."""
    return mg1_wait_mean(arrival_rate, mean, scv) + mean


def mg1_wait_variance(arrival_rate: float, mean: float, scv: float, third_moment: float) -> float:
    """Return the variance of the waiting time under FCFS, in seconds².

    Parameters
    ----------
    arrival_rate, mean, scv : float
        As in `mg1_wait_mean`.
    third_moment : float
        E[S³] of the service time, in seconds³.

    Notes
    -----
    Takács 1962: E[W²] = 2 E[W]² + λ E[S³] / (3 (1 - ρ)).

    Examples
    --------
    >>> round(mg1_wait_variance(0.8, 1.0, scv=1.0, third_moment=6.0), 6)
    24.0
    """
    wait = mg1_wait_mean(arrival_rate, mean, scv)
    third_moment = checks.positive("M/G/1", "third_moment", third_moment)
    # Lyapunov: E[S²]² <= E[S] E[S³]; a smaller third moment belongs to no law.
    second = (1.0 + scv) * mean**2
    if third_moment * mean < second**2 * (1.0 - 1e-9):
        raise InputError(
            f"M/G/1: third_moment = {third_moment:g} is too small for mean = {mean:g} and scv = "
            f"{scv:g}; it is E[S³], not a skewness, and at least {second**2 / mean:g}"
        )
    return wait**2 + arrival_rate * third_moment / (3.0 * (1.0 - arrival_rate * mean))


def mg1_ps_mean(arrival_rate: float, mean: float) -> float:
    """Return the mean sojourn time under processor sharing, mean / (1 - ρ), in seconds.

    It depends on nothing but the mean of the service law (Sakata, Noguchi and Oizumi 1969).

    Examples
    --------
    >>> round(mg1_ps_mean(0.8, 1.0), 6)
    5.0
    """
    return mg1_ps_time(mean, arrival_rate, mean)


def mg1_ps_time(size: float, arrival_rate: float, mean: float) -> float:
    """Return the mean sojourn time of a request of a given size under processor sharing.

    Parameters
    ----------
    size : float
        Service time of the request, in seconds.
    arrival_rate : float
        Per second.
    mean : float
        Mean service time, in seconds.

    Returns
    -------
    float
        size / (1 - ρ), in seconds: every request is slowed down by the same factor.
    """
    size = checks.not_negative("M/G/1-PS", "size", size)
    mean = checks.positive("M/G/1-PS", "mean", mean)
    return size / (1.0 - stable_load("M/G/1-PS", arrival_rate, 1.0 / mean))


def md1_wait_tail(t: float, arrival_rate: float, service: float) -> float:
    """Return P(waiting time > t) of M/D/1 under FCFS.

    Parameters
    ----------
    t : float
        Seconds.
    arrival_rate : float
        Per second.
    service : float
        The service time of every request, in seconds.

    Notes
    -----
    For (k - 1) D <= t < k D: P(W <= t) = e^(-x) Σ_{j < k} Q(k - 1 - j) x^j / j! with x = λ(kD - t)
    and Q(j) the probability of at most j requests waiting (Franx, "A simple solution for the
    M/D/c waiting time distribution", Operations Research Letters 29, 2001). All terms are
    positive, where Erlang's alternating series loses all digits in the tail.
    """
    t = checks.not_negative("md1_wait_tail", "t", t)
    load = stable_load("M/D/1", arrival_rate, 1.0 / checks.positive("M/D/1", "service", service))
    k = math.floor(t / service) + 1
    at_most = np.cumsum(_md1_numbers(load, k))[1:]  # one of those present is in service
    x = arrival_rate * (k * service - t)
    return max(0.0, 1.0 - float((_poisson(x, k) * at_most[::-1]).sum()))


def md1_wait_quantile(q: float, arrival_rate: float, service: float) -> float:
    """Return the q-quantile of the waiting time of M/D/1 under FCFS, in seconds.

    Examples
    --------
    >>> round(md1_wait_quantile(0.99, 0.8, 1.0), 6)
    10.355887
    """
    q = checked_quantile("md1_wait_quantile", q)
    return quantile_of_tail(q, lambda t: md1_wait_tail(t, arrival_rate, service), service)


def md1_quantile(q: float, arrival_rate: float, service: float) -> float:
    """Return the q-quantile of the sojourn time of M/D/1 under FCFS, in seconds."""
    return md1_wait_quantile(q, arrival_rate, service) + service


def _md1_numbers(load: float, most: int) -> np.ndarray:
    """Return P(n requests in the system) for n = 0 .. most, by a recursion of positive terms.

    p(j) = a(j-1) p(0) + Σ_{k=1..j} a(j-k) p(k) with a(n) = P(more than n arrivals in a service):
    Tijms, A First Course in Stochastic Models (2003), section 9.2.
    """
    from scipy.special import pdtrc

    a = pdtrc(np.arange(most + 1), load)
    p = np.empty(most + 1)
    p[0] = 1.0 - load
    for j in range(1, most + 1):
        p[j] = (a[j - 1] * p[0] + a[j - 1 : 0 : -1] @ p[1:j]) / (1.0 - a[0])
    return p


def _poisson(x: float, n: int) -> np.ndarray:
    """Return P(j) of a Poisson variable with mean x, for j = 0 .. n - 1."""
    from scipy.special import gammaln, xlogy

    j = np.arange(n)
    return np.asarray(np.exp(xlogy(j, x) - x - gammaln(j + 1)))

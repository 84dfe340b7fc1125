"""GI/M/1: any independent interarrival times, exponential service. Round robin is one of these.

Under round robin over n workers each sees every n-th arrival of a Poisson stream: interarrival
times are Erlang-n, more regular than random splitting makes them.
"""

import math
from collections.abc import Callable, Sequence

from lbsim import checks
from lbsim.errors import InputError
from lbsim.theory.stability import checked_quantile, stable_load

__all__ = [
    "deterministic_transform",
    "erlang_transform",
    "gim1_mean",
    "gim1_quantile",
    "gim1_root",
    "hyperexponential_transform",
    "kingman_approximation",
    "kingman_bound",
    "round_robin_mean",
    "round_robin_quantile",
]

Transform = Callable[[float], float]


def erlang_transform(stages: int, mean: float) -> Transform:
    """Return E[exp(-s A)] of an Erlang law, as a function of s; `mean` in seconds."""
    stages = checks.count("erlang_transform", "stages", stages)
    mean = checks.positive("erlang_transform", "mean", mean)
    return lambda s: math.exp(-stages * math.log1p(s * mean / stages))


def deterministic_transform(mean: float) -> Transform:
    """Return E[exp(-s A)] of a constant, as a function of s; `mean` in seconds."""
    mean = checks.positive("deterministic_transform", "mean", mean)
    return lambda s: math.exp(-s * mean)


def hyperexponential_transform(probabilities: Sequence[float], rates: Sequence[float]) -> Transform:
    """Return E[exp(-s A)] of a mixture of exponential laws, as a function of s.

    Parameters
    ----------
    probabilities, rates : sequence of float
        As of `lbsim.workload.laws.Hyperexponential`; rates per second.
    """
    owner = "hyperexponential_transform"
    shares = checks.shares(owner, "probabilities", probabilities)
    speeds = [checks.positive(owner, "rates", rate) for rate in rates]
    return lambda s: math.fsum(p * r / (r + s) for p, r in zip(shares, speeds, strict=True))


def gim1_root(transform: Transform, service_rate: float) -> float:
    """Return σ, the probability that an arrival finds the worker busy.

    Parameters
    ----------
    transform : callable
        E[exp(-s A)] of the interarrival time A, of s in 1/s.
    service_rate : float
        μ, per second.

    Returns
    -------
    float
        The root of σ = E[exp(-μ (1 - σ) A)] in (0, 1).

    Raises
    ------
    InputError
        If there is none: work comes in as fast as it is done, or faster.

    Notes
    -----
    Kendall 1953. The right side is convex in σ and meets the diagonal at 1 too.

    Examples
    --------
    >>> round(gim1_root(erlang_transform(1, mean=1.25), 1.0), 9)    # M/M/1: the load
    0.8
    """
    from scipy.optimize import brentq

    service_rate = checks.positive("GI/M/1", "service_rate", service_rate)

    def excess(below_one: float) -> float:
        return transform(service_rate * below_one) - 1.0 + below_one

    # In terms of 1 - σ, which keeps its digits where σ is close to 1.
    near = 0.5
    while excess(near) >= 0.0:
        near *= 0.5
        if near < 1e-9:
            raise InputError(
                "GI/M/1: there is no root below 1: the load is not below 1, and the queue grows "
                "without bound; lower the arrival rate, or raise service_rate"
            )
    return 1.0 - float(brentq(excess, near, 1.0, xtol=1e-15, rtol=1e-14))


def gim1_mean(transform: Transform, service_rate: float) -> float:
    """Return the mean sojourn time, 1 / (μ (1 - σ)), in seconds (parameters of `gim1_root`)."""
    return 1.0 / (service_rate * (1.0 - gim1_root(transform, service_rate)))


def gim1_quantile(q: float, transform: Transform, service_rate: float) -> float:
    """Return the q-quantile of the sojourn time under FCFS, which is exponential, in seconds."""
    q = checked_quantile("gim1_quantile", q)
    return -math.log1p(-q) * gim1_mean(transform, service_rate)


def round_robin_mean(workers: int, arrival_rate: float, service_rate: float) -> float:
    """Return the mean sojourn time under round robin, in seconds.

    Parameters
    ----------
    workers : int
    arrival_rate, service_rate : float
        Poisson rate in all, and μ of one worker, per second.

    Examples
    --------
    >>> round(round_robin_mean(4, 3.2, 1.0), 6), round(round_robin_mean(1, 0.8, 1.0), 6)
    (3.267384, 5.0)
    """
    return gim1_mean(_every_nth(workers, arrival_rate, service_rate), service_rate)


def round_robin_quantile(q: float, workers: int, arrival_rate: float, service_rate: float) -> float:
    """Return the q-quantile of the sojourn time under round robin, in seconds."""
    return gim1_quantile(q, _every_nth(workers, arrival_rate, service_rate), service_rate)


def _every_nth(workers: int, arrival_rate: float, service_rate: float) -> Transform:
    workers = checks.count("round robin", "workers", workers)
    stable_load("round robin", arrival_rate, workers * service_rate)
    return erlang_transform(workers, workers / arrival_rate)


def kingman_bound(
    arrival_rate: float, mean: float, scv_arrivals: float, scv_service: float
) -> float:
    """Return an upper bound of the mean wait in GI/G/1, in seconds.

    Parameters
    ----------
    arrival_rate : float
        Per second.
    mean : float
        Mean service time, in seconds.
    scv_arrivals, scv_service : float
        Squared coefficients of variation of interarrival and service times.

    Notes
    -----
    Kingman, "Some inequalities for the queue GI/G/1", Biometrika 49 (1962):
    E[W] <= λ (σ_a² + σ_s²) / (2 (1 - ρ)), with variances.

    Examples
    --------
    >>> round(kingman_bound(0.8, 1.0, scv_arrivals=0.0, scv_service=1.0), 6)    # exact: 1.692731
    2.0
    """
    load, a, s = _kingman("kingman_bound", arrival_rate, mean, scv_arrivals, scv_service)
    return (a / arrival_rate**2 + s * mean**2) * arrival_rate / (2.0 * (1.0 - load))


def kingman_approximation(
    arrival_rate: float, mean: float, scv_arrivals: float, scv_service: float
) -> float:
    """Return the heavy-traffic approximation of the mean wait in GI/G/1, in seconds.

    E[W] ≈ ρ / (1 - ρ) · (c_a² + c_s²) / 2 · mean: exact for M/G/1, good at high load
    (parameters of `kingman_bound`; Kingman 1961).
    """
    load, a, s = _kingman("kingman_approximation", arrival_rate, mean, scv_arrivals, scv_service)
    return load / (1.0 - load) * 0.5 * (a + s) * mean


def _kingman(
    owner: str, arrival_rate: float, mean: float, scv_arrivals: float, scv_service: float
) -> tuple[float, float, float]:
    mean = checks.positive(owner, "mean", mean)
    return (
        stable_load("GI/G/1", arrival_rate, 1.0 / mean),
        checks.not_negative(owner, "scv_arrivals", scv_arrivals),
        checks.not_negative(owner, "scv_service", scv_service),
    )

"""M/M/1: Poisson arrivals, exponential service, one worker.

Under FCFS the sojourn time (waiting and service) is exponential with rate μ - λ. Other orders of
service keep the mean and change the spread.
"""

import math

from lbsim import checks
from lbsim.errors import InputError
from lbsim.theory.stability import checked_load, checked_quantile, stable_load

__all__ = [
    "DISCIPLINES",
    "mm1_mean",
    "mm1_quantile",
    "mm1_relative_error",
    "mm1_tail",
    "mm1_variance",
    "mm1_wait_quantile",
]

DISCIPLINES = ("fcfs", "ps", "lcfs-preemptive", "lcfs", "random")


def mm1_mean(arrival_rate: float, service_rate: float) -> float:
    """Return the mean sojourn time, 1 / (μ - λ), in seconds.

    It is the same for every order of service that does not look at sizes.

    Parameters
    ----------
    arrival_rate, service_rate : float
        λ and μ, per second.

    Examples
    --------
    >>> mm1_mean(80.0, 100.0)
    0.05
    """
    stable_load("M/M/1", arrival_rate, service_rate)
    return 1.0 / (service_rate - arrival_rate)


def mm1_tail(t: float, arrival_rate: float, service_rate: float) -> float:
    """Return P(sojourn time > t) under FCFS, exp(-(μ - λ) t).

    Parameters
    ----------
    t : float
        Seconds.
    arrival_rate, service_rate : float
        Per second.
    """
    t = checks.not_negative("mm1_tail", "t", t)
    return math.exp(-t / mm1_mean(arrival_rate, service_rate))


def mm1_quantile(q: float, arrival_rate: float, service_rate: float) -> float:
    """Return the q-quantile of the sojourn time under FCFS, -ln(1 - q) / (μ - λ), in seconds.

    Examples
    --------
    >>> round(mm1_quantile(0.99, 0.8, 1.0), 5)
    23.02585
    """
    q = checked_quantile("mm1_quantile", q)
    return -math.log1p(-q) * mm1_mean(arrival_rate, service_rate)


def mm1_wait_quantile(q: float, arrival_rate: float, service_rate: float) -> float:
    """Return the q-quantile of the waiting time under FCFS, in seconds.

    A share 1 - ρ does not wait at all; P(W > t) = ρ exp(-(μ - λ) t).
    """
    q = checked_quantile("mm1_wait_quantile", q)
    load = stable_load("M/M/1", arrival_rate, service_rate)
    return max(0.0, math.log(load / (1.0 - q))) * mm1_mean(arrival_rate, service_rate)


def mm1_variance(arrival_rate: float, service_rate: float, discipline: str = "fcfs") -> float:
    """Return the variance of the sojourn time, in seconds².

    Parameters
    ----------
    arrival_rate, service_rate : float
        Per second.
    discipline : {"fcfs", "ps", "lcfs-preemptive", "lcfs", "random"}
        First come first served; processor sharing; last come first served with and without
        preemption; service in random order.

    Notes
    -----
    With mean service 1: FCFS 1 / (1 - ρ)²; PS (2 + ρ) / ((2 - ρ)(1 - ρ)²) (Coffman, Muntz and
    Trotter 1970); preemptive LCFS (1 + ρ) / (1 - ρ)³, a busy period; for LCFS and random order
    E[W²] = 2ρ / (1 - ρ)³ and 4ρ / ((1 - ρ)² (2 - ρ)) (Kingman 1962).

    Examples
    --------
    >>> round(mm1_variance(0.8, 1.0), 6), round(mm1_variance(0.8, 1.0, "lcfs-preemptive"), 6)
    (25.0, 225.0)
    """
    r = stable_load("M/M/1", arrival_rate, service_rate)
    wait = r / (1.0 - r)
    if discipline == "fcfs":
        variance = 1.0 / (1.0 - r) ** 2
    elif discipline == "ps":
        variance = (2.0 + r) / ((2.0 - r) * (1.0 - r) ** 2)
    elif discipline == "lcfs-preemptive":
        variance = (1.0 + r) / (1.0 - r) ** 3
    elif discipline == "lcfs":
        variance = 2.0 * r / (1.0 - r) ** 3 - wait**2 + 1.0
    elif discipline == "random":
        variance = 4.0 * r / ((1.0 - r) ** 2 * (2.0 - r)) - wait**2 + 1.0
    else:
        raise InputError(
            f"mm1_variance: discipline = {discipline!r} is not known; "
            f"give one of {', '.join(DISCIPLINES)}"
        )
    return variance / service_rate**2


def mm1_relative_error(load: float, requests: int) -> float:
    """Return the relative standard error of the mean sojourn time measured over a run.

    It is sqrt(2 (1 + ρ) / n) / (1 - ρ): how long a run must be for a given precision.

    Parameters
    ----------
    load : float
        ρ, below 1.
    requests : int
        n; the formula is for long runs.

    Notes
    -----
    From the asymptotic variance of the M/M/1 sojourn time: Whitt, "Planning queueing
    simulations", Management Science 35 (1989).

    Examples
    --------
    >>> round(mm1_relative_error(0.9, 1_000_000), 4)
    0.0195
    """
    load = checked_load("mm1_relative_error", load)
    requests = checks.count("mm1_relative_error", "requests", requests)
    return math.sqrt(2.0 * (1.0 + load) / requests) / (1.0 - load)

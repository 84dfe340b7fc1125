"""M/M/c: one central queue before c equal workers. What a perfect dispatcher would reach."""

import math

from lbsim import checks
from lbsim.theory.solve import quantile_of_tail
from lbsim.theory.stability import checked_quantile, stable_load

__all__ = [
    "erlang_b",
    "erlang_c",
    "mmc_mean",
    "mmc_quantile",
    "mmc_tail",
    "mmc_wait_mean",
    "mmc_wait_quantile",
]


def erlang_b(servers: int, offered: float) -> float:
    """Return the share of requests lost when nobody can wait (M/G/c/c).

    Parameters
    ----------
    servers : int
        c.
    offered : float
        a = arrival rate · mean service; any positive number, and the service law is arbitrary.

    Notes
    -----
    Erlang 1917, by the recursion B(c) = a B(c-1) / (c + a B(c-1)).

    Examples
    --------
    >>> round(erlang_b(10, 8.0), 7)
    0.1216611
    """
    servers = checks.count("erlang_b", "servers", servers)
    offered = checks.positive("erlang_b", "offered", offered)
    blocked = 1.0
    for c in range(1, servers + 1):
        blocked = offered * blocked / (c + offered * blocked)
    return blocked


def erlang_c(servers: int, arrival_rate: float, service_rate: float) -> float:
    """Return the probability that a request must wait.

    Parameters
    ----------
    servers : int
        c.
    arrival_rate, service_rate : float
        λ in all, and μ of one worker, per second; λ < c μ.

    Notes
    -----
    Erlang 1917: C = B / (1 - ρ (1 - B)) with B of `erlang_b` and ρ = λ / (c μ).

    Examples
    --------
    >>> round(erlang_c(4, 3.6, 1.0), 6)
    0.787753
    """
    servers = checks.count("erlang_c", "servers", servers)
    load = stable_load("M/M/c", arrival_rate, servers * service_rate)
    blocked = erlang_b(servers, arrival_rate / service_rate)
    return blocked / (1.0 - load * (1.0 - blocked))


def mmc_wait_mean(servers: int, arrival_rate: float, service_rate: float) -> float:
    """Return the mean waiting time, C / (c μ - λ), in seconds."""
    waits = erlang_c(servers, arrival_rate, service_rate)
    return waits / (servers * service_rate - arrival_rate)


def mmc_mean(servers: int, arrival_rate: float, service_rate: float) -> float:
    """Return the mean sojourn time, in seconds.

    Examples
    --------
    >>> round(mmc_mean(16, 14.4, 1.0), 6)
    1.36959
    """
    return mmc_wait_mean(servers, arrival_rate, service_rate) + 1.0 / service_rate


def mmc_wait_quantile(q: float, servers: int, arrival_rate: float, service_rate: float) -> float:
    """Return the q-quantile of the waiting time under FCFS, in seconds.

    P(W > t) = C exp(-(c μ - λ) t).
    """
    q = checked_quantile("mmc_wait_quantile", q)
    waits = erlang_c(servers, arrival_rate, service_rate)
    return max(0.0, math.log(waits / (1.0 - q))) / (servers * service_rate - arrival_rate)


def mmc_tail(t: float, servers: int, arrival_rate: float, service_rate: float) -> float:
    """Return P(sojourn time > t) under FCFS.

    Parameters
    ----------
    t : float
        Seconds.
    servers : int
    arrival_rate, service_rate : float
        Per second.

    Notes
    -----
    The waiting time (0, or exponential with rate θ = c μ - λ) and the service time are
    independent: P(T > t) = e^(-μt) + C μ (e^(-θt) - e^(-μt)) / (μ - θ).
    """
    t = checks.not_negative("mmc_tail", "t", t)
    waits = erlang_c(servers, arrival_rate, service_rate)
    slack = servers * service_rate - arrival_rate
    # (e^(-θt) - e^(-μt)) / (μ - θ) is t e^(-μt) where the rates meet.
    gap = (service_rate - slack) * t
    between = t * math.exp(-service_rate * t)
    if gap != 0.0:
        # Written so that neither exponential overflows.
        between = t * math.exp(-min(slack, service_rate) * t) * -math.expm1(-abs(gap)) / abs(gap)
    return math.exp(-service_rate * t) + waits * service_rate * between


def mmc_quantile(q: float, servers: int, arrival_rate: float, service_rate: float) -> float:
    """Return the q-quantile of the sojourn time under FCFS, in seconds.

    Examples
    --------
    >>> round(mmc_quantile(0.99, 4, 3.2, 1.0), 6)
    6.893204
    """
    q = checked_quantile("mmc_quantile", q)
    scale = mmc_mean(servers, arrival_rate, service_rate)
    return quantile_of_tail(q, lambda t: mmc_tail(t, servers, arrival_rate, service_rate), scale)

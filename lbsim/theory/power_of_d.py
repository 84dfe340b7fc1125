"""The shorter of d queues picked at random, with infinitely many workers.

In the limit of many workers queues become independent, and their lengths fall off doubly
exponentially: two choices are enough to do away with long queues. At 100 workers the limit is
about 1 % too low at load 0.9, and 9 % at 0.99.
"""

import math

from lbsim import checks
from lbsim.theory.solve import quantile_of_tail
from lbsim.theory.stability import checked_load, checked_quantile

__all__ = ["power_of_d_mean", "power_of_d_quantile", "power_of_d_queue_tail", "power_of_d_tail"]


def power_of_d_queue_tail(k: int, d: int, load: float) -> float:
    """Return the share of workers with at least k requests, the one in service included.

    Parameters
    ----------
    k : int
        From 0.
    d : int
        How many workers are looked at; 1 is random dispatch.
    load : float
        ρ, per worker.

    Notes
    -----
    s_k = ρ^((d^k - 1) / (d - 1)): Vvedenskaya, Dobrushin and Karpelevich 1996; Mitzenmacher,
    "The power of two choices in randomized load balancing", IEEE TPDS 12 (2001).

    Examples
    --------
    >>> [round(power_of_d_queue_tail(k, 2, 0.9), 6) for k in (1, 2, 3)]
    [0.9, 0.729, 0.478297]
    """
    k = checks.count("power_of_d", "k", k, least=0)
    d = checks.count("power_of_d", "d", d)
    load = checked_load("power of d choices", load)
    # exp(-inf) = 0 is what an exponent beyond all floats should give.
    exponent = float(k) if d == 1 else math.inf
    if d > 1 and k * math.log(d) < 700.0:
        exponent = (float(d) ** k - 1.0) / (d - 1.0)
    return math.exp(exponent * math.log(load))


def power_of_d_mean(d: int, load: float, mean: float = 1.0) -> float:
    """Return the mean sojourn time, in seconds.

    Parameters
    ----------
    d : int
    load : float
        Per worker.
    mean : float, default 1
        Mean service time (exponential), in seconds.

    Notes
    -----
    By Little's law Σ s_k / ρ over k >= 1 = Σ ρ^((d^i - d) / (d - 1)) over i >= 1.

    Examples
    --------
    >>> round(power_of_d_mean(2, 0.9), 6), round(power_of_d_mean(1, 0.9), 6)
    (2.614057, 10.0)
    """
    mean = checks.positive("power_of_d_mean", "mean", mean)
    load = checked_load("power of d choices", load)
    if checks.count("power_of_d", "d", d) == 1:
        return mean / (1.0 - load)
    return mean * math.fsum(_tails(d, load)[1:]) / load


def power_of_d_tail(t: float, d: int, load: float, mean: float = 1.0) -> float:
    """Return P(sojourn time > t) under FCFS.

    Parameters
    ----------
    t : float
        Seconds.
    d, load, mean
        As of `power_of_d_mean`.

    Notes
    -----
    A request finds at least k others at its worker with probability s_k^d, and then needs more
    than k services: P(T > t) = Σ_k e^(-x) x^k / k! · s_k^d with x = t / mean.
    """
    t = checks.not_negative("power_of_d_tail", "t", t)
    mean = checks.positive("power_of_d_tail", "mean", mean)
    load = checked_load("power of d choices", load)
    x = t / mean
    if checks.count("power_of_d", "d", d) == 1:
        return math.exp(-x * (1.0 - load))
    if x == 0.0:
        return 1.0
    return math.fsum(
        math.exp(k * math.log(x) - x - math.lgamma(k + 1.0)) * s**d
        for k, s in enumerate(_tails(d, load))
    )


def power_of_d_quantile(q: float, d: int, load: float, mean: float = 1.0) -> float:
    """Return the q-quantile of the sojourn time under FCFS, in seconds.

    Examples
    --------
    >>> round(power_of_d_quantile(0.99, 2, 0.9), 6)
    8.79097
    """
    q = checked_quantile("power_of_d_quantile", q)
    return quantile_of_tail(
        q, lambda t: power_of_d_tail(t, d, load, mean), power_of_d_mean(d, load, mean)
    )


def _tails(d: int, load: float) -> list[float]:
    """Return s_0, s_1, ... as far as they are not 0; for d of 2 or more these are few."""
    tails = [1.0]
    while tails[-1] > 0.0:
        tails.append(power_of_d_queue_tail(len(tails), d, load))
    return tails

"""Sending a second copy of a slow request, and asking many workers at once: the algebra.

No queueing here: enough workers that the copies do not get in each other's way.
"""

import math

from lbsim import checks
from lbsim.theory.stability import checked_quantile

__all__ = ["fan_out_slow", "hedged_mean", "hedged_quantile", "hedged_share"]


def hedged_share(delay: float, mean: float) -> float:
    """Return the share of requests that get a second copy, exp(-delay / mean).

    Parameters
    ----------
    delay : float
        When the copy is sent, in seconds after the request.
    mean : float
        Mean of the exponential service time, in seconds.
    """
    delay = checks.not_negative("hedging", "delay", delay)
    return math.exp(-delay / checks.positive("hedging", "mean", mean))


def hedged_mean(delay: float, mean: float) -> float:
    """Return the mean latency of hedged requests, in seconds.

    The first answer counts and the other copy is cancelled. For exponential service times the
    work per request stays `mean`: two copies run half as long.

    Notes
    -----
    mean · (1 - exp(-delay / mean) / 2), from the minimum of two exponential times. The scheme:
    Dean and Barroso, "The tail at scale", Communications of the ACM 56 (2013).

    Examples
    --------
    >>> hedged_mean(0.0, 1.0), round(hedged_mean(1.0, 1.0), 6)
    (0.5, 0.81606)
    """
    return mean * (1.0 - 0.5 * hedged_share(delay, mean))


def hedged_quantile(q: float, delay: float, mean: float) -> float:
    """Return the q-quantile of the latency of hedged requests, in seconds.

    P(T > t) is exp(-t / mean) up to `delay`, then falls twice as fast.

    Examples
    --------
    >>> round(hedged_quantile(0.99, 1.0, 1.0), 6)
    2.802585
    """
    needed = -math.log1p(-checked_quantile("hedged_quantile", q)) * checks.positive(
        "hedging", "mean", mean
    )
    delay = checks.not_negative("hedging", "delay", delay)
    return needed if needed <= delay else 0.5 * (needed + delay)


def fan_out_slow(leaves: int, q: float) -> float:
    """Return the probability that at least one of many leaves is slower than its q-quantile.

    Parameters
    ----------
    leaves : int
        Independent workers that must all answer.
    q : float
        Between 0 and 1.

    Examples
    --------
    >>> round(fan_out_slow(100, 0.99), 3)
    0.634
    """
    leaves = checks.count("fan_out_slow", "leaves", leaves)
    return -math.expm1(leaves * math.log(checked_quantile("fan_out_slow", q)))

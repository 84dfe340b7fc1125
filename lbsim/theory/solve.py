"""Solving for a time: where a tail falls to a given probability."""

from collections.abc import Callable

__all__ = ["quantile_of_tail"]


def quantile_of_tail(q: float, tail: Callable[[float], float], scale: float) -> float:
    """Return the smallest t >= 0 with P(T > t) <= 1 - q.

    Parameters
    ----------
    q : float
        Strictly between 0 and 1.
    tail : callable
        P(T > t), not increasing; continuous for t > 0.
    scale : float
        A time of the right order, in seconds; where the search begins.
    """
    from scipy.optimize import brentq

    beyond = 1.0 - q
    if tail(0.0) <= beyond:
        return 0.0
    high = scale
    while tail(high) > beyond:
        high *= 2.0
    # An absolute tolerance far below the times in question: brentq's own is in seconds.
    return float(brentq(lambda t: tail(t) - beyond, 0.0, high, xtol=1e-14 * high, rtol=1e-14))

"""Whole distributions: drawing one, and measuring how far apart two are.

No p-values here: those of the usual tests suppose independent observations, and latencies of
one run are not. Distances are plain descriptions; intervals of quantile ratios that respect
the dependence are in `lbsim.stats.bootstrap`.
"""

import numpy as np
from numpy.typing import ArrayLike

from lbsim.errors import InputError
from lbsim.stats.samples import FloatArray, probabilities, sample

__all__ = ["ccdf", "ks_distance", "qq_points", "quantile", "wasserstein_distance"]


def ccdf(values: ArrayLike, points: int = 2000) -> tuple[FloatArray, FloatArray]:
    """Return the steps of P(X > x), few enough to be drawn.

    Parameters
    ----------
    values : array_like of float, shape (n,)
    points : int, default 2000
        About how many steps to keep in the body, and again in the tail.

    Returns
    -------
    x, share : ndarray of float64, shape (k,)
        Ascending values, and the share of values that are greater. All steps if n <= `points`.
        Otherwise some are left out, evenly in probability and evenly in the logarithm of
        probability; every one kept is exact, and the largest values are complete.

    Examples
    --------
    >>> x, share = ccdf([3.0, 1.0, 2.0, 2.0])
    >>> x.tolist(), share.tolist()
    ([1.0, 2.0, 3.0], [0.75, 0.25, 0.0])
    """
    if points < 2:
        raise InputError(f"ccdf: points = {points} are too few to draw; give 2 or more")
    ordered = np.sort(sample("ccdf", values))
    n = ordered.size
    if n <= points:
        kept = np.arange(n)
    else:
        from_top = np.geomspace(1, n, points).astype(np.int64)
        kept = np.concatenate([n - from_top, np.linspace(0, n - 1, points).astype(np.int64)])
    x = np.unique(ordered[kept])
    # Counted from the value, not from the place in the order: equal values are one step.
    return x, 1.0 - np.searchsorted(ordered, x, "right") / n


def quantile(values: ArrayLike, q: ArrayLike) -> FloatArray:
    """Return quantiles, linear between order statistics: at (n - 1) q, counted from 0.

    Parameters
    ----------
    values : array_like of float, shape (n,)
    q : float or array_like of float, shape (k,)
        Strictly between 0 and 1.

    Returns
    -------
    ndarray of float64, shape (k,)

    Notes
    -----
    Type 7 of Hyndman and Fan, "Sample quantiles in statistical packages", The American
    Statistician 50 (1996); the default of NumPy and R, and used throughout this package.

    Examples
    --------
    >>> quantile([1.0, 2.0, 3.0, 4.0], [0.5, 0.9]).tolist()
    [2.5, 3.7]
    """
    wanted = probabilities("quantile", q)
    return np.asarray(np.quantile(sample("quantile", values), wanted))


def ks_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Return the Kolmogorov-Smirnov distance: the largest vertical gap between two CDFs.

    Parameters
    ----------
    first, second : array_like of float, shapes (n,) and (m,)

    Returns
    -------
    float
        Between 0 (same distribution) and 1.

    Examples
    --------
    >>> ks_distance([1.0, 2.0], [2.0, 3.0])
    0.5
    """
    # scipy's ks_2samp always works out a p-value too, and warns where that is not exact.
    a = np.sort(sample("ks_distance (first)", first))
    b = np.sort(sample("ks_distance (second)", second))
    at = np.concatenate([a, b])
    below_a = np.searchsorted(a, at, "right") / a.size
    below_b = np.searchsorted(b, at, "right") / b.size
    return float(np.abs(below_a - below_b).max())


def wasserstein_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Return the Wasserstein-1 distance: the area between two CDFs, in the unit of the values.

    It is the mean distance by which values must be moved to turn one distribution into the
    other, so unlike the KS distance it sees how far out a tail goes.

    Parameters
    ----------
    first, second : array_like of float, shapes (n,) and (m,)

    Examples
    --------
    >>> wasserstein_distance([1.0, 2.0], [2.0, 3.0])
    1.0
    """
    from scipy.stats import wasserstein_distance as distance

    return float(
        distance(
            sample("wasserstein_distance (first)", first),
            sample("wasserstein_distance (second)", second),
        )
    )


def qq_points(
    first: ArrayLike, second: ArrayLike, points: int = 200
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return points of a Q-Q plot: quantiles of both at the same probabilities.

    Parameters
    ----------
    first, second : array_like of float, shapes (n,) and (m,)
    points : int, default 200
        How many: half spread evenly over the body, half evenly over the logarithm of the tail.

    Returns
    -------
    q, x, y : ndarray of float64, shape (k,)
        Ascending probabilities, and the quantiles of `first` and of `second` there. The
        last is the largest that the smaller of the two samples can tell, 1 - 1 / min(n, m).
    """
    a = sample("qq_points (first)", first, least=2)
    b = sample("qq_points (second)", second, least=2)
    if points < 2:
        raise InputError(f"qq_points: points = {points} are too few to draw; give 2 or more")
    smallest = 1.0 / min(a.size, b.size)
    body = np.linspace(smallest, 1.0 - smallest, points // 2)
    tail = 1.0 - np.geomspace(0.5, smallest, points - points // 2)
    q = np.unique(np.concatenate([body, tail]))
    return q, np.quantile(a, q), np.quantile(b, q)

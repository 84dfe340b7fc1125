"""How disturbances come in bunches: what makes one request slow makes its neighbours slow too.

Costs in order of time are more alike within a bunch than anywhere. How much more is measured by
two nested random effects, one for each of the `SIZES`, of the costs' normal scores: a share of
their variance that all of a small bunch have in common, and one that all of a large bunch have
(variance components by the method of moments; Searle, Casella and McCulloch, Variance Components,
1992, chapter 4). Drawing goes the other way, and leaves the costs' own distribution as it is
(a normal copula).
"""

import numpy as np

__all__ = ["ALONE", "SIZES", "shares_of", "uniforms"]

SIZES = (25, 250)
"""Requests of a small bunch, and of a large one."""

ALONE = (0.0, 0.0)
"""The shares of what does not come in bunches."""


def shares_of(values: np.ndarray) -> tuple[float, float]:
    """Return which shares of the variance are of small bunches, and of large ones.

    Parameters
    ----------
    values : ndarray of float64
        In order of time. Of fewer than two bunches of a size nothing is known of it, and it has
        no share.

    Returns
    -------
    tuple of float
        By chance they may be below zero, so that a mean of several is not too large.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    n = len(values)
    few, many = SIZES
    if n < 2 * few or np.ptp(values) == 0.0:
        return ALONE
    scores = ndtri((rankdata(values) - 0.5) / n)
    # All is of single values, of small bunches, or of large ones; and so are means of bunches.
    # Of a few bunches it is not all seen, since they differ from their own mean only.
    k = n // few
    rows = [(1 - 1 / n, 1 - few / n, 1 - many / n), (1 / few, 1.0, (k - many / few) / (k - 1))]
    variances = [scores.var(), _between(scores, few)]
    if n >= 2 * many:
        rows.append((1 / many, few / many, 1.0))
        variances.append(_between(scores, many))
    parts = np.linalg.solve(np.array(rows)[:, : len(rows)], variances)
    small, large = (parts[1:] / parts.sum()).tolist() + [0.0] * (3 - len(rows))
    return small, large


def _between(scores: np.ndarray, size: int) -> float:
    """Return the variance of the means of bunches."""
    n = len(scores) // size
    return float(scores[: n * size].reshape(n, size).mean(axis=1).var(ddof=1))


def uniforms(shares: tuple[float, float], rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw `n` numbers between 0 and 1 that are alike in bunches."""
    if shares == ALONE:
        return rng.random(n)
    from scipy.special import ndtr

    small, large = np.clip(shares, 0.0, 1.0)
    total = max(1.0, small + large)
    alone = max(0.0, total - small - large)
    parts = ((1, alone), (SIZES[0], small), (SIZES[1], large))
    scores = np.zeros(n)
    for size, share in parts:
        scores += np.sqrt(share / total) * np.repeat(rng.standard_normal(-(-n // size)), size)[:n]
    return np.asarray(ndtr(scores))

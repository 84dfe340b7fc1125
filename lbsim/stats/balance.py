"""Balance: how evenly something (requests, work, busy time) is spread over the workers.

Workers of unequal capacity: divide each amount by the capacity first.
"""

import numpy as np
from numpy.typing import ArrayLike

from lbsim.errors import InputError
from lbsim.stats.samples import FloatArray, sample

__all__ = ["coefficient_of_variation", "imbalance", "jain", "shares"]


def shares(amounts: ArrayLike) -> FloatArray:
    """Return each worker's share of the total, shape (n,), adding up to 1.

    Examples
    --------
    >>> shares([3, 1]).tolist()
    [0.75, 0.25]
    """
    x = _amounts("shares", amounts)
    return np.asarray(x / x.sum())


def jain(amounts: ArrayLike) -> float:
    """Return Jain's fairness index, (Σ x)² / (n Σ x²): 1 if all are equal, 1/n if one has all.

    Parameters
    ----------
    amounts : array_like of float, shape (n,)
        None negative, not all 0.

    Notes
    -----
    Jain, Chiu and Hawe, DEC-TR-301 (1984). It is 1 / (1 + CV²).

    Examples
    --------
    >>> jain([1, 1, 1, 1]), jain([1, 0, 0, 0])
    (1.0, 0.25)
    """
    x = _amounts("jain", amounts)
    return float(x.sum() ** 2 / (x.size * (x**2).sum()))


def imbalance(amounts: ArrayLike) -> float:
    """Return the largest amount divided by the mean: 1 if all are equal, n if one has all.

    Examples
    --------
    >>> imbalance([2, 1, 0])
    2.0
    """
    x = _amounts("imbalance", amounts)
    return float(x.max() / x.mean())


def coefficient_of_variation(amounts: ArrayLike) -> float:
    """Return the standard deviation (of these n, not an estimate for more) over the mean.

    Examples
    --------
    >>> coefficient_of_variation([1, 0])
    1.0
    """
    x = _amounts("coefficient_of_variation", amounts)
    return float(x.std() / x.mean())


def _amounts(owner: str, amounts: ArrayLike) -> FloatArray:
    x = sample(owner, amounts)
    if x.min() < 0.0:
        raise InputError(f"{owner}: amount {x.min():g} is negative; give counts or times")
    top = x.max()
    if top == 0.0:
        raise InputError(f"{owner}: all {x.size} amounts are 0, so nobody has a share of anything")
    # Amounts relative to the largest: their squares can neither overflow nor vanish.
    return np.asarray(x / top)

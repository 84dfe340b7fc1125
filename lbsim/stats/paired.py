"""Comparing policies on the same requests: paired differences, and many of them at once.

Every policy serves the same workload in a replication, so what makes that workload hard is the
same for all and cancels in the difference. Comparing many pairs, some will look different by
luck: Holm's correction keeps the chance of even one such error below 1 - confidence.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from lbsim.errors import InputError
from lbsim.stats.intervals import Interval, replication_interval
from lbsim.stats.resampled import resampled_interval, resampled_p_value
from lbsim.stats.samples import FloatArray, is_constant, sample

__all__ = ["PairedDifference", "holm", "paired_difference", "paired_differences"]


@dataclass(frozen=True)
class PairedDifference:
    """How one figure differs between two policies, over replications.

    Attributes
    ----------
    interval : Interval
        Of the mean difference, first minus second; of the ratio, first over second, of
        resampled times.
    lower, equal, higher : int
        In how many replications (or resamples) the first was below, equal to, above the second.
    p_value : float
        Of the t test that the mean difference is 0 (that the ratio is 1).
    sign_p_value : float
        Of the sign test, which asks nothing of the differences' law: only which was lower.
    """

    interval: Interval
    lower: int
    equal: int
    higher: int
    p_value: float
    sign_p_value: float
    is_ratio: bool = False

    def __str__(self) -> str:
        n = self.lower + self.equal + self.higher
        return f"{self.interval}, lower in {self.lower} of {n}, p = {self.p_value:.2g}"


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    confidence: float = 0.95,
    *,
    allow_constant: bool = False,
    resampled: bool = False,
    ratio: bool = False,
) -> PairedDifference:
    """Compare one figure between two policies that served the same replications.

    Parameters
    ----------
    first, second : array_like of float, shape (replications,)
        The figure in each replication, in the same order.
    confidence : float, default 0.95
    allow_constant : bool, default False
        Accept a difference that is the same, and not 0, in every replication. A difference of
        exactly 0 in all is always accepted: on one worker all policies are one.
    resampled : bool, default False
        The first figure is that of a trace, the others are those of its resamples, which are no
        independent replications (`lbsim.stats.resampled`).
    ratio : bool, default False
        Compare resampled figures by their ratio: for times, which vary by factors.

    Returns
    -------
    PairedDifference

    Examples
    --------
    >>> print(paired_difference([1.0, 1.2, 1.1, 0.9], [1.5, 1.8, 1.4, 1.3]))
    -0.45 [-0.6554, -0.2446] (95 %, t over 4 replications), lower in 4 of 4, p = 0.0061
    """
    a = sample("paired_difference (first)", first, least=2)
    b = sample("paired_difference (second)", second, least=2)
    if a.size != b.size:
        raise InputError(
            f"paired_difference: {a.size} and {b.size} replications cannot be paired; "
            "compare policies that served the same replications"
        )
    differences = a - b
    identical = not differences.any()
    if resampled:
        ratio = ratio and bool((a > 0.0).all() and (b > 0.0).all())
        return _of_resamples(np.log(a / b) if ratio else differences, confidence, ratio)
    interval = replication_interval(
        differences, confidence, allow_constant=allow_constant or identical
    )
    lower, higher = int((differences < 0.0).sum()), int((differences > 0.0).sum())
    return PairedDifference(
        interval,
        lower,
        differences.size - lower - higher,
        higher,
        1.0 if identical else _t_p_value(differences),
        _sign_p_value(lower, higher),
    )


def paired_differences(
    figures: Mapping[str, ArrayLike],
    confidence: float = 0.95,
    *,
    allow_constant: bool = False,
    resampled: bool = False,
    ratio: bool = False,
) -> dict[tuple[str, str], tuple[PairedDifference, float]]:
    """Compare every pair of policies.

    Parameters
    ----------
    figures : mapping of str to array_like of float, shape (replications,)
        The figure of each policy in each replication.
    confidence : float, default 0.95
    allow_constant, resampled, ratio : bool, default False
        As in `paired_difference`.

    Returns
    -------
    dict
        By the pair of names, in the order of `figures`: the difference and its p-value after
        Holm's correction over all pairs. The intervals are those of single comparisons.
    """
    pairs = {
        (a, b): paired_difference(
            figures[a],
            figures[b],
            confidence,
            allow_constant=allow_constant,
            resampled=resampled,
            ratio=ratio,
        )
        for a, b in combinations(figures, 2)
    }
    adjusted = holm([pair.p_value for pair in pairs.values()])
    return {
        names: (pair, float(p)) for (names, pair), p in zip(pairs.items(), adjusted, strict=True)
    }


def _of_resamples(differences: FloatArray, confidence: float, ratio: bool) -> PairedDifference:
    """Compare on a trace and its resamples; differences of logarithms become ratios again."""
    own, draws = float(differences[0]), differences[1:]
    found = resampled_interval(own, draws, confidence)
    if ratio:
        found = replace(
            found,
            estimate=math.exp(found.estimate),
            low=math.exp(found.low),
            high=math.exp(found.high),
        )
    lower, higher = int((draws < 0.0).sum()), int((draws > 0.0).sum())
    return PairedDifference(
        found,
        lower,
        draws.size - lower - higher,
        higher,
        resampled_p_value(own, draws),
        _sign_p_value(lower, higher),
        ratio,
    )


def holm(p_values: ArrayLike) -> FloatArray:
    """Correct p-values of a family of tests, in the order given.

    The i-th smallest of m is multiplied by m - i + 1, and none becomes smaller than one before
    it (Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6, 1979).

    Parameters
    ----------
    p_values : array_like of float, shape (m,)
        Between 0 and 1; m may be 0.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = sample("holm", p_values, least=0)
    if ((p < 0.0) | (p > 1.0)).any():
        raise InputError(f"holm: {p[(p < 0.0) | (p > 1.0)][0]:g} is not a p-value; give 0 to 1")
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def _t_p_value(differences: FloatArray) -> float:
    from scipy.special import stdtr

    if is_constant(differences):
        return 0.0
    n = differences.size
    t = abs(differences.mean()) / (differences.std(ddof=1) / math.sqrt(n))
    return float(2.0 * stdtr(n - 1, -t))


def _sign_p_value(lower: int, higher: int) -> float:
    """Return the two-sided sign test's p-value; ties say nothing and are left out."""
    n, fewer = lower + higher, min(lower, higher)
    tail = sum(math.comb(n, i) for i in range(fewer + 1)) / 2**n
    return min(1.0, 2.0 * tail)

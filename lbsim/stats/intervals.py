"""Confidence intervals, and the plain one: Student's t over independent replications.

Latencies within one run are autocorrelated, so no formula for independent observations may be
used on them. Replications *are* independent: one figure from each (a mean, a p99, a share of
time), and the t interval of those figures. For a single run see `lbsim.stats.bootstrap`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lbsim.errors import InputError
from lbsim.stats.samples import is_constant, sample

__all__ = ["Interval", "interval_of_draws", "replication_interval"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes
    ----------
    estimate, low, high : float
        In the unit of the statistic. A bootstrap interval need not contain its estimate.
    confidence : float
        Between 0 and 1.
    method : str
        How the interval was made, in words.

    Examples
    --------
    >>> print(Interval(0.0123, 0.0119, 0.0127, 0.95, "t over 10 replications"))
    0.0123 [0.0119, 0.0127] (95 %, t over 10 replications)
    """

    estimate: float
    low: float
    high: float
    confidence: float
    method: str

    def __post_init__(self) -> None:
        if not self.low <= self.high or math.isnan(self.estimate):
            raise InputError(
                f"Interval: {self.estimate} [{self.low}, {self.high}] is not an interval; "
                "low must not exceed high, and none may be NaN"
            )
        check_confidence(self.confidence)

    @property
    def half_width(self) -> float:
        """Half the distance from low to high."""
        return 0.5 * (self.high - self.low)

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return (
            f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}] "
            f"({100.0 * self.confidence:g} %, {self.method})"
        )


def replication_interval(
    values: ArrayLike, confidence: float = 0.95, *, allow_constant: bool = False
) -> Interval:
    """Return the t interval of one figure over independent replications.

    Parameters
    ----------
    values : array_like of float, shape (replications,)
        The figure in each replication: a mean, a quantile, a count, any statistic.
    confidence : float, default 0.95
    allow_constant : bool, default False
        Accept a figure that is the same in every replication, as the number of lost requests
        rightly may be; its interval is that one value. Otherwise it is an error: a latency
        that never varies means that the replications were not drawn anew.

    Returns
    -------
    Interval
        mean ± t(1 - (1 - confidence) / 2; R - 1) · s / sqrt(R)

    Examples
    --------
    >>> print(replication_interval([10.0, 11.0, 12.0]))
    11 [8.516, 13.48] (95 %, t over 3 replications)
    >>> print(replication_interval([0, 0, 0], allow_constant=True))
    0 [0, 0] (95 %, constant over 3 replications)
    """
    check_confidence(confidence)
    figures = sample("replication_interval", values, least=2)
    n = figures.size
    mean = float(figures.mean())
    if is_constant(figures):
        _refuse_constant(allow_constant, f"the figure is {mean:g} in all {n} replications")
        return Interval(mean, mean, mean, confidence, f"constant over {n} replications")
    half = t_quantile(confidence, n - 1) * float(figures.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, confidence, f"t over {n} replications")


def interval_of_draws(
    estimate: float,
    draws: ArrayLike,
    confidence: float,
    method: str,
    *,
    allow_constant: bool = False,
) -> Interval:
    """Return the percentile interval of bootstrap draws (Efron and Tibshirani 1993, ch. 13).

    Parameters
    ----------
    estimate : float
        The statistic of the data themselves.
    draws : array_like of float, shape (resamples,)
        The statistic of each resample.
    confidence : float
    method : str
        For the record.
    allow_constant : bool, default False
        Accept an interval of zero width; otherwise it is an error.

    Returns
    -------
    Interval
    """
    check_confidence(confidence)
    tail = 0.5 - 0.5 * confidence
    ends = np.quantile(sample("interval_of_draws", draws, least=2), [tail, 1.0 - tail])
    if is_constant(ends):
        # Not only constant data: a quantile that sits on an atom hardly ever leaves it.
        _refuse_constant(allow_constant, f"the statistic is {ends[0]:g} in nearly every resample")
        method = f"constant, {method}"
    return Interval(estimate, float(ends[0]), float(ends[1]), confidence, method)


def t_quantile(confidence: float, degrees: int) -> float:
    """Return t such that Student's variable lies within ±t with probability `confidence`."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + 0.5 * confidence))


def _refuse_constant(allow_constant: bool, what: str) -> None:
    if not allow_constant:
        raise InputError(
            f"{what}: an interval of zero width claims a certainty that is not there; draw the "
            "data anew for each replication, or pass allow_constant=True for a count or an atom"
        )


def check_confidence(confidence: float) -> None:
    """Refuse what is not a confidence level."""
    if not 0.0 < confidence < 1.0:
        raise InputError(
            f"confidence = {confidence!r} must lie strictly between 0 and 1; write 0.95 for 95 %"
        )

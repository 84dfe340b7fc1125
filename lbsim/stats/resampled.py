"""Intervals of a trace from whole simulations of its bootstrap resamples.

A trace exists once. How far its figures could have been different is learnt by resampling it and
simulating each resample anew, which is dear, so there are few of them. The resamples are draws of
the figure's own distribution, not repeated measurements of it: its standard error is their
standard deviation, however many there are, and *not* that divided by the square root of their
number. They are centred elsewhere, since what is longer than a block is broken up in them; an
interval is therefore laid around the figure of the trace itself (Lahiri, "Resampling Methods for
Dependent Data", 2003, section 2.6: block bootstrap draws are centred at their own mean).
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from lbsim.errors import InputError
from lbsim.stats.intervals import Interval, check_confidence, t_quantile
from lbsim.stats.samples import FloatArray, is_constant, sample

__all__ = ["resampled_interval", "resampled_p_value"]


def resampled_interval(
    own: float, draws: ArrayLike, confidence: float = 0.95, *, logarithmic: bool = False
) -> Interval:
    """Return the interval of a trace's figure from the figures of its resamples.

    Parameters
    ----------
    own : float
        The figure of the trace itself.
    draws : array_like of float, shape (resamples,)
        The figure of each resample, at least 2 of them.
    confidence : float, default 0.95
    logarithmic : bool, default False
        For positive figures that vary by factors, such as latencies.

    Returns
    -------
    Interval
        own ± t(1 - (1 - confidence) / 2; R - 1) · s, with s the standard deviation of the R
        draws (Efron and Tibshirani 1993, chapters 6 and 12; Student's t allows for the few
        draws that s comes from); on the logarithms if so asked.

    Examples
    --------
    >>> print(resampled_interval(10.0, [9.0, 11.0, 10.0]))
    10 [5.697, 14.3] (95 %, 3 moving-block resamples)
    >>> print(resampled_interval(10.0, [5.0, 20.0, 10.0], logarithmic=True))
    10 [0.5067, 197.3] (95 %, 3 moving-block resamples)
    """
    check_confidence(confidence)
    figures = sample("resampled_interval", draws, least=2)
    method = f"{figures.size} moving-block resamples"
    if logarithmic and (own <= 0.0 or (figures <= 0.0).any()):
        worst = min(own, float(figures.min()))
        raise InputError(
            f"resampled_interval: {worst:g} has no logarithm; pass logarithmic=False for figures "
            "that may be 0 or negative"
        )
    if is_constant(figures):
        return Interval(own, own, own, confidence, f"constant, {method}")
    half = t_quantile(confidence, figures.size - 1) * _spread(figures, logarithmic)
    if logarithmic:
        return Interval(own, own * math.exp(-half), own * math.exp(half), confidence, method)
    return Interval(own, own - half, own + half, confidence, method)


def resampled_p_value(own: float, draws: FloatArray) -> float:
    """Return the p-value of the t test that a trace's figure is 0."""
    from scipy.special import stdtr

    if is_constant(draws):
        return 1.0 if own == 0.0 else 0.0
    return float(2.0 * stdtr(draws.size - 1, -abs(own) / _spread(draws, False)))


def _spread(draws: FloatArray, logarithmic: bool) -> float:
    """Return the bootstrap standard error."""
    return float((np.log(draws) if logarithmic else draws).std(ddof=1))

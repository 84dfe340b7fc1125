"""How long the blocks of a block bootstrap should be.

Long enough that a block holds what neighbours have to do with each other, short enough that
there are many blocks: the automatic rule of Politis and White weighs the two.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from lbsim.stats.samples import FloatArray, is_constant, sample

__all__ = ["block_length"]

# Autocorrelations count as nil when this many in a row are insignificant (the authors' choice).
_RUN = 5


def block_length(values: ArrayLike) -> int:
    """Return the block length for the circular block bootstrap of a mean.

    The rule: b = (2 G² / D)^(1/3) n^(1/3), at most min(3 sqrt(n), n / 3) and at least 1, with

        G = Σ w(k / M) |k| R(k),    D = 4/3 (Σ w(k / M) R(k))²,    |k| <= M,

    R the autocovariances, w the flat-top window (1 up to 1/2, then falling linearly to 0 at 1),
    and M twice the lag after which five autocorrelations in a row are below
    2 sqrt(log10(n) / n) in size. Rounded up to a whole number. If the first sqrt(n) + 5 lags
    show no such five, as in a run at high load that is short for it, the longest is taken.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        n at least 10.

    Returns
    -------
    int
        1 for independent (or constant) values.

    Notes
    -----
    Politis and White, "Automatic block-length selection for the dependent bootstrap",
    Econometric Reviews 23 (2004), with the correction by Patton, Politis and White (2009).

    Examples
    --------
    >>> block_length(np.repeat(np.random.default_rng(1).random(200), 10))
    29
    """
    series = sample("block_length", values, least=10)
    n = series.size
    if is_constant(series):
        return 1
    last = math.ceil(math.sqrt(n)) + _RUN
    covariance = _autocovariances(series, 2 * last)
    limit = 2.0 * math.sqrt(math.log10(n) / n)
    quiet = np.abs(covariance[1 : last + _RUN] / covariance[0]) < limit
    longest = math.ceil(min(3.0 * math.sqrt(n), n / 3.0))
    end = _end_of_dependence(quiet)
    if end is None:
        return longest
    reach = 2 * max(end, 1)
    lags = np.arange(1, reach + 1)
    weights = np.minimum(1.0, 2.0 * (1.0 - lags / reach))
    weighted = weights * covariance[1 : reach + 1]
    g = 2.0 * float((lags * weighted).sum())
    spectrum = float(covariance[0] + 2.0 * weighted.sum())
    if spectrum <= 0.0:  # an estimate that a window can make negative: trust it no further
        return longest
    best = (2.0 * g**2 / (4.0 / 3.0 * spectrum**2) * n) ** (1.0 / 3.0)
    return max(1, min(math.ceil(best), longest))


def _end_of_dependence(quiet: np.ndarray) -> int | None:
    """Return the last lag before the first five insignificant ones in a row, if there are."""
    in_a_row = np.convolve(quiet, np.ones(_RUN, np.int64), "valid") == _RUN
    return int(np.argmax(in_a_row)) if in_a_row.any() else None


def _autocovariances(series: FloatArray, last: int) -> FloatArray:
    """Return R(0) .. R(last) (divisor n); lags that do not exist are 0."""
    n = series.size
    size = 1 << (n + last).bit_length()  # zeros behind the data keep the ends from meeting
    spectrum = np.fft.rfft(series - series.mean(), size)
    both = np.fft.irfft(np.abs(spectrum) ** 2, size)
    return np.asarray(both[: last + 1] / n)

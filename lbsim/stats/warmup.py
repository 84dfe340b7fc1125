"""Warm-up: how much of the beginning of a run to leave out.

A simulation starts empty, so its first latencies are too small. MSER-5 (White 1997) cuts the
beginning whose removal makes the standard error of the remaining mean smallest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lbsim.stats.samples import sample

__all__ = ["WarmUp", "mser5"]

BATCH = 5


@dataclass(frozen=True)
class WarmUp:
    """Where the warm-up ends.

    Attributes
    ----------
    cut : int
        How many of the first observations to leave out, a multiple of 5.
    settled : bool
        False if the best cut is the last one allowed, half of the run: by the rule, the run
        is then too short to say that it has settled.
    """

    cut: int
    settled: bool


def mser5(values: ArrayLike) -> WarmUp:
    """Find the warm-up by MSER-5.

    With Y the means of k consecutive batches of 5 observations (a rest of fewer than 5 at the
    end is not used), the cut is 5 d where d minimises

        MSER(d) = Σ_{i > d} (Y_i - mean of Y_{d+1} .. Y_k)² / (k - d)²,    0 <= d <= k / 2,

    the smallest such d if there are several.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One figure per request, in the order of arrival; n at least 10.

    Returns
    -------
    WarmUp

    Notes
    -----
    White, "An effective truncation heuristic for bias reduction in simulation output",
    Simulation 69 (1997); batches of five: White, Cobb and Spratt, WSC 2000. For synthetic
    runs: in a recorded trace the beginning is as real as the rest.

    Examples
    --------
    >>> mser5([0.0] * 20 + [1.0, 1.2, 0.9, 1.1, 0.8] * 16)
    WarmUp(cut=20, settled=True)
    """
    series = sample("mser5", values, least=2 * BATCH)
    batches = series[: series.size // BATCH * BATCH].reshape(-1, BATCH).mean(axis=1)
    k = batches.size
    # Centred first: the sum of squares below is a difference of two sums.
    batches = batches - batches.mean()
    left = np.arange(k, 0, -1)
    sums = np.cumsum(batches[::-1])[::-1]
    squares = np.cumsum(batches[::-1] ** 2)[::-1]
    mser = (squares - sums**2 / left) / left.astype(np.float64) ** 2
    latest = k // 2
    d = int(np.argmin(np.maximum(mser[: latest + 1], 0.0)))
    return WarmUp(BATCH * d, settled=d < latest)

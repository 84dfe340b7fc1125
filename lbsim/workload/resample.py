"""Another sample of a trace: the moving-block bootstrap."""

import numpy as np

from lbsim.workload.columns import Columns

__all__ = ["resample"]


def resample(columns: Columns, i: int) -> Columns:
    """Return resample number `i` of given rows.

    Blocks of n^(2/3) successive requests are drawn with replacement, each request with the gap
    before it (Künsch 1989, "The jackknife and the bootstrap for general stationary observations").
    So long a block keeps bursts, and sessions that come in a row; a trend over the whole trace is
    broken up. The rows are taken as a ring, so that all are equally likely.
    """
    n = len(columns.arrival)
    length = max(1, round(n ** (2 / 3)))
    rng = np.random.default_rng(np.random.SeedSequence(n, spawn_key=(i,)))
    starts = rng.integers(0, n, -(-n // length))
    rows = ((starts[:, None] + np.arange(length)) % n).ravel()[:n]
    first = columns.arrival[0]
    gaps = np.empty(n)
    gaps[1:] = np.diff(columns.arrival)
    # There is no gap before the first request: the mean one keeps the rate.
    gaps[0] = gaps[1:].mean() if n > 1 else 0.0
    arrival = np.cumsum(gaps[rows])
    # Who sends request k of a closed loop goes with k, not with the row.
    return columns.take(rows)._replace(
        arrival=first + (arrival - arrival[0]), client=columns.client
    )

"""What the crew has answered, counted for those who watch.

Counters only grow, as Prometheus wants them: who watches takes differences, so that several can
watch, each at its own pace. Latencies are counted in log-linear buckets of 1/16 of their value,
one addition a request.
"""

import bisect
import itertools
from collections.abc import Iterable, Sequence

from lbsim.stats.buckets import highest_in, n_buckets

__all__ = ["Tally", "quantile"]

HALF_BITS = 4
TICK_S = 1e-6
N_BUCKETS = n_buckets(HALF_BITS)


class Tally:
    """Answers and their latencies, by worker.

    Parameters
    ----------
    workers : int

    Attributes
    ----------
    answered : list of int, shape (workers,)
    seconds : list of float, shape (workers,)
        Sum of the latencies.
    buckets : list of list of int, shape (workers, `N_BUCKETS`)
        Latencies in microseconds, for `lbsim.stats.buckets`.
    """

    def __init__(self, workers: int) -> None:
        self.answered = [0] * workers
        self.seconds = [0.0] * workers
        self.buckets = [[0] * N_BUCKETS for _ in range(workers)]

    def add(self, worker: int, seconds: float) -> None:
        """Count an answer and its latency."""
        self.answered[worker] += 1
        self.seconds[worker] += seconds
        bucket = value = max(0, int(seconds / TICK_S))
        # `lbsim.stats.buckets.bucket_of`, which the interpreter can do in a third of the time.
        shift = value.bit_length() - HALF_BITS - 1
        if shift > 0:
            bucket = (shift << HALF_BITS) + (value >> shift)
        self.buckets[worker][bucket] += 1

    def sparse(self, worker: int) -> dict[int, int]:
        """Return a worker's counters that are not 0."""
        return {i: count for i, count in enumerate(self.buckets[worker]) if count}


def quantile(counts: Iterable[tuple[int, int]], q: Sequence[float]) -> list[float]:
    """Return quantiles of counted latencies, in seconds; NaN if there are none.

    Parameters
    ----------
    counts : iterable of (bucket, count)
    q : sequence of float
        Between 0 and 1.

    Examples
    --------
    >>> tally = Tally(1)
    >>> for ms in range(1, 101):
    ...     tally.add(0, ms / 1000.0)
    >>> [round(s, 3) for s in quantile(tally.sparse(0).items(), [0.5, 0.99])]
    [0.051, 0.102]
    """
    rows = sorted(counts)
    total = sum(count for _, count in rows)
    if total == 0:
        return [float("nan")] * len(q)
    seen = list(itertools.accumulate(count for _, count in rows))
    found = []
    for share in q:
        bucket, _ = rows[bisect.bisect_left(seen, share * total)]
        found.append((highest_in(bucket, HALF_BITS) + 1) * TICK_S)
    return found

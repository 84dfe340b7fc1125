"""Count requests into a summary, compiled.

`Tally` takes what became of requests, piece by piece, and keeps sums only: its size does not
depend on how many there were. What it keeps is what `lbsim.summary.Summary` shows.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from lbsim.engines.compiled.cache import KernelCache
from lbsim.engines.record import OUTCOMES
from lbsim.errors import InputError
from lbsim.stats.histogram import Histogram
from lbsim.stats.moments import Moments
from lbsim.workload.arrivals import BLOCK

__all__ = ["Slowest", "Tally"]

SLOWEST = 100
"""How many of the slowest requests are kept."""


class Slowest(NamedTuple):
    """The slowest requests, the slowest first (of equals the earlier); arrays of shape (k,)."""

    row: np.ndarray
    arrival: np.ndarray
    latency: np.ndarray
    worker: np.ndarray


class Scratch(NamedTuple):
    """Room for one piece: shape (size,). `bits` is `ticks` seen as integers."""

    latency: np.ndarray
    ticks: np.ndarray
    bits: np.ndarray


class Tally:
    """Sums over requests.

    Parameters
    ----------
    n_workers : int
    keep : int, default 100
        How many of the slowest requests are kept.

    Attributes
    ----------
    histogram : Histogram
        Of the latencies of the answered requests; so are `moments` and `slowest`.
    outcomes : ndarray of int64, shape (5,)
        How many requests ended in which way.
    answered : ndarray of int64, shape (n_workers,)
    busy : ndarray of float64, shape (n_workers,)
        Seconds for which answered requests held each worker.
    begin, end : float
        The first arrival and the last time a request was done, in seconds.
    """

    def __init__(self, n_workers: int, keep: int = SLOWEST) -> None:
        self.histogram = Histogram()
        self.moments = Moments()
        self.outcomes = np.zeros(len(OUTCOMES), np.int64)
        self.answered = np.zeros(n_workers, np.int64)
        self.busy = np.zeros(n_workers)
        self.begin = np.inf
        self.end = -np.inf
        self._slow = Slowest(
            np.full(keep, -1, np.int64),
            np.zeros(keep),
            np.full(keep, -1.0),
            np.full(keep, -1, np.int64),
        )
        self._scratch: Scratch | None = None

    @property
    def slowest(self) -> Slowest:
        """Copies of the slowest requests."""
        some = self._slow.row >= 0
        return Slowest(*(column[some] for column in self._slow))

    def add(
        self,
        first: int,
        arrival: np.ndarray,
        started: np.ndarray,
        finished: np.ndarray,
        worker: np.ndarray,
    ) -> None:
        """Count requests that were all answered, each at its first attempt.

        Parameters
        ----------
        first : int
            Number of the first of them; the others follow.
        arrival, started, finished : ndarray of float64, shape (n,)
            Seconds.
        worker : ndarray of int64, shape (n,)
        """
        self._add(first, arrival, started, finished, worker, None, None)

    def add_mixed(
        self,
        row: np.ndarray,
        arrival: np.ndarray,
        held: np.ndarray,
        finished: np.ndarray,
        worker: np.ndarray,
        outcome: np.ndarray,
    ) -> None:
        """Count requests that ended in any way.

        Parameters
        ----------
        row : ndarray of int64, shape (n,)
            Their numbers.
        arrival, finished : ndarray of float64, shape (n,)
            Seconds.
        held : ndarray of float64, shape (n,)
            For how many seconds each held its worker, if it was answered.
        worker : ndarray of int64, shape (n,)
        outcome : ndarray of int8, shape (n,)
        """
        self._add(0, arrival, held, finished, worker, row, outcome)

    def _add(
        self,
        first: int,
        arrival: np.ndarray,
        started: np.ndarray,
        finished: np.ndarray,
        worker: np.ndarray,
        row: np.ndarray | None,
        outcome: np.ndarray | None,
    ) -> None:
        # These pass over NaN: requests that never came, or never were done.
        self.begin = float(np.fmin.reduce(arrival, initial=self.begin))
        self.end = float(np.fmax.reduce(finished, initial=self.end))
        for begin in range(0, len(arrival), BLOCK):
            part = slice(begin, begin + BLOCK)
            size = len(arrival[part])
            if self._scratch is None or size > len(self._scratch.latency):
                ticks = np.zeros(size)
                self._scratch = Scratch(np.zeros(size), ticks, ticks.view(np.int64))
            figures = np.zeros(6)
            is_counted = _count(
                first + begin,
                *(_piece(column, part) for column in (arrival, started, finished, worker)),
                _piece(row, part),
                _piece(outcome, part),
                self._scratch,
                self.histogram.counts,
                self.histogram.unit_s,
                self.histogram.half_bits,
                self.outcomes,
                self.answered,
                self.busy,
                self._slow,
                figures,
            )
            count, *others = figures.tolist()
            if not is_counted:
                raise InputError(
                    f"a latency of {others[-1]:g} s is beyond 2^63 ticks of "
                    f"{self.histogram.unit_s:g} s; give times in seconds"
                )
            if count:
                self.moments += Moments(int(count), *others)


def _piece(column: np.ndarray | None, part: slice) -> np.ndarray | None:
    """Return a part of a column, read-only: one type for the compiler, whoever made it."""
    if column is None:
        return None
    view = np.ascontiguousarray(column[part]).view()
    view.flags.writeable = False
    return view


@njit(nogil=True, error_model="numpy", _nrt=False)
def _count(
    first: Any,
    arrival: Any,
    started: Any,
    finished: Any,
    worker: Any,
    row: Any,
    outcome: Any,
    scratch: Any,
    counts: Any,
    unit_s: Any,
    half_bits: Any,
    outcomes: Any,
    answered: Any,
    busy: Any,
    slow: Any,
    figures: Any,
) -> Any:
    """Count one piece; its moments go to `figures`. Return False if a latency is too long.

    Where `outcome` is given, `started` is the time for which the request held its worker.
    Several passes, of which the simple ones are done on whole vectors.
    """
    latency = scratch.latency
    n = len(arrival)
    if outcome is None:
        outcomes[0] += n
        for i in range(n):
            latency[i] = finished[i] - arrival[i]
        for i in range(n):
            answered[worker[i]] += 1
            busy[worker[i]] += finished[i] - started[i]
    else:
        n = 0
        for i in range(len(arrival)):
            outcomes[outcome[i]] += 1
            if outcome[i] == 0:
                answered[worker[i]] += 1
                busy[worker[i]] += started[i]
                latency[n] = finished[i] - arrival[i]
                _note_slow(slow, latency[n], arrival[i], worker[i], row[i])
                n += 1
    total = 0.0
    least = np.inf
    most = -np.inf
    for i in range(n):
        total += latency[i]
        least = min(least, latency[i])
        most = max(most, latency[i])
    if outcome is None and most > slow.latency[-1]:
        for i in range(n):
            _note_slow(slow, latency[i], arrival[i], worker[i], first + i)
    figures[5] = most
    if not most / unit_s < 9.2e18 and n > 0:
        return False
    # Deviations from the mean, corrected for its rounding, as `lbsim.stats.moments` does.
    mean = total / n if n > 0 else 0.0
    left_over = 0.0
    m2 = 0.0
    m3 = 0.0
    for i in range(n):
        deviation = latency[i] - mean
        left_over += deviation
        m2 += deviation * deviation
        m3 += deviation * deviation * deviation
    left_over = left_over / n if n > 0 else 0.0
    figures[0] = n
    figures[1] = mean + left_over
    m2 -= n * left_over * left_over
    figures[2] = m2
    figures[3] = m3 - 3.0 * left_over * m2 - n * left_over**3
    figures[4] = least
    ticks = scratch.ticks
    bits = scratch.bits
    for i in range(n):
        ticks[i] = np.rint(latency[i] / unit_s)
    for i in range(n):
        # `lbsim.stats.buckets.bucket_of`; the exponent of a float64 is the number of the
        # leading binary digit.
        shift = max(0, (bits[i] >> 52) - 1023 - half_bits)
        counts[(shift << half_bits) + (np.int64(ticks[i]) >> shift)] += 1
    return True


@njit(_nrt=False, error_model="numpy")
def _note_slow(slow: Any, latency: Any, arrival: Any, worker: Any, row: Any) -> Any:
    """Keep a request if it is among the slowest; of equals the earlier one stays."""
    at = len(slow.latency) - 1
    if not latency > slow.latency[at]:
        return
    while at > 0 and latency > slow.latency[at - 1]:
        slow.row[at] = slow.row[at - 1]
        slow.arrival[at] = slow.arrival[at - 1]
        slow.latency[at] = slow.latency[at - 1]
        slow.worker[at] = slow.worker[at - 1]
        at -= 1
    slow.row[at] = row
    slow.arrival[at] = arrival
    slow.latency[at] = latency
    slow.worker[at] = worker


_count._cache = KernelCache("tally", "")

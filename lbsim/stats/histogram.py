"""A histogram that keeps any quantile to 0.1 %, in fixed memory, however long the run.

Log-linear counters in HdrHistogram's layout (see `lbsim.stats.buckets`): those of several
threads or chunks are added up without loss, and `lbsim.stats.hdr` writes its file formats.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lbsim.errors import InputError
from lbsim.stats.buckets import half_bits_for, highest_in, n_buckets
from lbsim.stats.samples import FloatArray, probabilities, sample

__all__ = ["Histogram"]


class Histogram:
    """Counts of durations by value, exact to `digits` significant decimal digits.

    Parameters
    ----------
    unit_s : float, default 1e-9
        What one tick is, in seconds. Durations are rounded to whole ticks.
    digits : int, default 3
        From 1 to 5; 3 means that a value is known to 0.1 %.

    Attributes
    ----------
    counts : ndarray of int64
        One counter per bucket; a compiled loop may do
        ``counts[bucket_of(ticks, half_bits)] += 1`` itself.
    half_bits : int
        For `lbsim.stats.buckets.bucket_of`.

    Examples
    --------
    >>> histogram = Histogram()
    >>> histogram.add(np.arange(1, 1001) / 1000.0)
    >>> histogram.total, histogram.quantile([0.5, 0.99]).round(3).tolist()
    (1000, [0.5, 0.99])
    """

    def __init__(self, unit_s: float = 1e-9, digits: int = 3) -> None:
        if not 0.0 < unit_s < np.inf:
            raise InputError(
                f"Histogram: unit_s = {unit_s!r} must be finite and above 0; 1e-9 is a nanosecond"
            )
        if digits not in range(1, 6):
            raise InputError(f"Histogram: digits = {digits!r} must be a whole number from 1 to 5")
        self.unit_s = float(unit_s)
        self.digits = int(digits)
        self.half_bits = half_bits_for(self.digits)
        self.counts = np.zeros(n_buckets(self.half_bits), np.int64)

    def add(self, seconds: ArrayLike) -> None:
        """Count durations.

        Parameters
        ----------
        seconds : array_like of float, shape (n,)
            None negative or NaN.
        """
        values = sample("Histogram.add", seconds, least=0)
        if values.size == 0:
            return
        with np.errstate(over="ignore"):
            ticks = np.rint(values / self.unit_s)
        if ticks.min() < 0.0 or ticks.max() >= 2.0**63:
            wrong = values[(ticks < 0.0) | (ticks >= 2.0**63)][0]
            raise InputError(
                f"Histogram.add: {wrong:g} s is negative or beyond 2^63 ticks of "
                f"{self.unit_s:g} s; drop it, or choose a longer unit_s"
            )
        self.add_ticks(ticks.astype(np.int64))

    def add_ticks(self, ticks: NDArray[np.int64]) -> None:
        """Count whole numbers of ticks, none negative; shape (n,), int64."""
        ticks = np.asarray(ticks)
        if ticks.dtype != np.int64 or (ticks.size and ticks.min() < 0):
            raise InputError(
                f"Histogram.add_ticks: {ticks.dtype} ticks must be int64 and not negative; "
                "use add() for seconds"
            )
        # `bucket_of` for arrays. What is left after the shift fits a float64 exactly, whose
        # exponent is then the number of binary digits.
        _, shift = np.frexp((ticks >> (self.half_bits + 1)).astype(np.float64))
        shift = shift.astype(np.int64)
        found = np.bincount((shift << self.half_bits) + (ticks >> shift))
        self.counts[: found.size] += found

    def merge(self, other: "Histogram") -> None:
        """Add the counts of another histogram with the same unit and digits."""
        if (self.unit_s, self.digits) != (other.unit_s, other.digits):
            raise InputError(
                f"Histogram.merge: {other!r} has another unit or precision than {self!r}; "
                "make both with the same unit_s and digits"
            )
        self.counts += other.counts

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def quantile(self, q: ArrayLike) -> FloatArray:
        """Return quantiles in seconds.

        Parameters
        ----------
        q : float or array_like of float, shape (k,)
            Strictly between 0 and 1.

        Returns
        -------
        ndarray of float64, shape (k,)
            The largest value equivalent to the ceil(q · total)-th smallest, as HdrHistogram's
            getValueAtPercentile: at most 10^-digits above it, relatively (and the rounding
            to ticks, half a unit).
        """
        wanted = probabilities("Histogram.quantile", q)
        seen = np.cumsum(self.counts)
        if seen[-1] == 0:
            raise InputError("Histogram.quantile: nothing was counted, so there is no quantile")
        # One unit in the last place less, so that 0.99 of 1000 is the 990th, not the 991st.
        place = np.ceil(np.nextafter(wanted * seen[-1], 0.0))
        buckets = np.searchsorted(seen, np.maximum(place, 1.0), "left")
        return np.array([highest_in(int(b), self.half_bits) for b in buckets]) * self.unit_s

    def ccdf(self) -> tuple[FloatArray, FloatArray]:
        """Return the steps of P(X > x).

        Returns
        -------
        x, share : ndarray of float64, shape (k,)
            The largest value of each counter in use, in seconds and ascending, and the share of
            values in later counters.

        Examples
        --------
        >>> histogram = Histogram(unit_s=1.0)
        >>> histogram.add([1.0, 2.0, 2.0, 5.0])
        >>> [column.tolist() for column in histogram.ccdf()]
        [[1.0, 2.0, 5.0], [0.75, 0.25, 0.0]]
        """
        used = np.flatnonzero(self.counts)
        if used.size == 0:
            raise InputError("Histogram.ccdf: nothing was counted, so there is nothing to draw")
        seen = np.cumsum(self.counts[used])
        values = np.array([highest_in(int(bucket), self.half_bits) for bucket in used])
        return values * self.unit_s, 1.0 - seen / seen[-1]

    def __repr__(self) -> str:
        return f"Histogram(unit_s={self.unit_s!r}, digits={self.digits!r})"

"""Moments that can be added up: of parts of a run, of threads, of processes."""

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike

from lbsim.errors import InputError
from lbsim.stats.samples import sample

__all__ = ["Moments"]


@dataclass(frozen=True)
class Moments:
    """Count, mean, and sums of powers of deviations from the mean.

    Two of them add up to the moments of both together, without the loss of digits of sums of
    squares (Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The
    American Statistician 37, 1983; third moment: Pébay, SAND2008-6212).

    Parameters
    ----------
    count : int
    mean : float
    m2, m3 : float
        Σ (x - mean)² and Σ (x - mean)³.
    minimum, maximum : float
        Infinite while there is nothing.

    Examples
    --------
    >>> both = Moments.of([1.0, 2.0]) + Moments.of([6.0])
    >>> both.count, both.mean, both.variance
    (3, 3.0, 7.0)
    """

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    m3: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    @classmethod
    def of(cls, values: ArrayLike) -> "Moments":
        """Return the moments of `values`, array_like of float of shape (n,); n may be 0."""
        x = sample("Moments", values, least=0)
        if x.size == 0:
            return cls()
        mean = float(x.mean())
        deviations = x - mean
        # The rounded mean leaves a small first moment: correct for it (the same source).
        left_over = float(deviations.sum()) / x.size
        m2 = float((deviations**2).sum()) - x.size * left_over**2
        m3 = float((deviations**3).sum()) - 3.0 * left_over * m2 - x.size * left_over**3
        return cls(x.size, mean + left_over, m2, m3, float(x.min()), float(x.max()))

    def __add__(self, other: "Moments") -> "Moments":
        if self.count == 0 or other.count == 0:
            return other if self.count == 0 else self
        na, nb = self.count, other.count
        n = na + nb
        delta = other.mean - self.mean
        m2 = self.m2 + other.m2 + delta**2 * na * nb / n
        m3 = (
            self.m3
            + other.m3
            + delta**3 * na * nb * (na - nb) / n**2
            + 3.0 * delta * (na * other.m2 - nb * self.m2) / n
        )
        return Moments(
            n,
            self.mean + delta * nb / n,
            m2,
            m3,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )

    @property
    def variance(self) -> float:
        """The unbiased variance, with divisor n - 1; needs two values."""
        self._need(2, "a variance")
        return self.m2 / (self.count - 1)

    @property
    def std(self) -> float:
        """The square root of the variance."""
        return math.sqrt(self.variance)

    @property
    def scv(self) -> float:
        """The squared coefficient of variation, variance / mean²."""
        return self.variance / self.mean**2

    @property
    def skewness(self) -> float:
        """The third standardised moment, sqrt(n) m3 / m2^(3/2); needs two different values."""
        self._need(2, "a skewness")
        if self.m2 == 0.0:
            raise InputError("Moments: all values are equal, so they have no skewness")
        return math.sqrt(self.count) * self.m3 / self.m2**1.5

    def _need(self, least: int, what: str) -> None:
        if self.count < least:
            raise InputError(
                f"Moments: {self.count} values are too few for {what}; {least} are needed"
            )

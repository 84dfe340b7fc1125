"""Laws: how long a request takes, and how long until the next one.

A law is a distribution of non-negative seconds. It knows its mean and its squared coefficient of
variation (scv: variance / mean²) in closed form, and draws from a given NumPy generator.

    here          Deterministic  Exponential  Gamma  Weibull  Bimodal
    heavy_tails   Hyperexponential  Lognormal  Pareto  BoundedPareto
    given         Empirical, and any frozen distribution of scipy.stats, wherever a law is accepted

Laws are immutable. Two laws are equal when they were given the same arguments, and the repr shows
those arguments: ``BoundedPareto(alpha=1.5, mean=0.01, maximum=1.0)``.
"""

import math
from typing import Any, ClassVar, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lbsim import checks
from lbsim.errors import InputError

FloatArray = NDArray[np.float64]


class Law:
    """A distribution of non-negative seconds.

    A subclass calls `_store` once, at the end of its constructor, and defines `draw`.

    Attributes
    ----------
    mean : float
        Mean in seconds; ``inf`` if there is none.
    scv : float
        Squared coefficient of variation, variance / mean²; ``inf`` if there is none.
    """

    mean: float
    scv: float
    arguments: dict[str, Any]

    # Arguments that are lengths of time: `scaled` multiplies these and leaves shapes alone.
    _seconds: ClassVar[tuple[str, ...]] = ("mean", "minimum", "maximum", "low", "high")

    def _store(self, arguments: dict[str, Any], **values: Any) -> None:
        given = {name: value for name, value in arguments.items() if value is not None}
        self.__dict__.update(values, arguments=given)

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Draw `n` values.

        Parameters
        ----------
        rng : numpy.random.Generator
            Where the randomness comes from.
        n : int
            How many.

        Returns
        -------
        ndarray of float64, shape (n,)
            Seconds.
        """
        raise NotImplementedError

    def scaled(self, factor: float) -> Self:
        """Return the law of `factor` times this variable: same shape, another unit."""
        return type(self)(
            **{
                name: value * factor if name in self._seconds else value
                for name, value in self.arguments.items()
            }
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; make a new law instead")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{type(self).__name__}({shown})"


class Deterministic(Law):
    """Always the same value.

    Parameters
    ----------
    mean : float
        The value, in seconds; 0 is allowed.
    """

    def __init__(self, mean: float) -> None:
        mean = checks.not_negative("Deterministic", "mean", mean)
        self._store({"mean": mean}, mean=mean, scv=0.0)

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Return `n` times the value; takes nothing from `rng`."""
        return np.full(n, self.mean)


class Exponential(Law):
    """The exponential law: memoryless, scv 1.

    Parameters
    ----------
    mean : float
        Seconds.

    Examples
    --------
    >>> import numpy as np
    >>> Exponential(mean=0.010).draw(np.random.default_rng(1), 2).shape
    (2,)
    """

    def __init__(self, mean: float) -> None:
        mean = checks.positive("Exponential", "mean", mean)
        self._store({"mean": mean}, mean=mean, scv=1.0)

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Draw `n` values."""
        values = rng.standard_exponential(n)
        values *= self.mean
        return values


class Gamma(Law):
    """The gamma law; a whole-numbered `shape` k is the Erlang-k law, scv 1 / shape.

    Parameters
    ----------
    mean : float
        Seconds.
    shape : float
        Above 0; 1 is the exponential law.
    """

    shape: float

    def __init__(self, mean: float, shape: float) -> None:
        mean = checks.positive("Gamma", "mean", mean)
        shape = checks.positive("Gamma", "shape", shape)
        self._store({"mean": mean, "shape": shape}, mean=mean, scv=1.0 / shape, shape=shape)

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Draw `n` values."""
        values = rng.standard_gamma(self.shape, n)
        values *= self.mean / self.shape
        return values


class Weibull(Law):
    """The Weibull law: P(X > x) = exp(-(x / scale)^shape).

    Parameters
    ----------
    mean : float
        Seconds; scale = mean / Γ(1 + 1/shape).
    shape : float
        Above 0; below 1 the tail is heavier than exponential.
    """

    shape: float
    scale: float

    def __init__(self, mean: float, shape: float) -> None:
        mean = checks.positive("Weibull", "mean", mean)
        shape = checks.positive("Weibull", "shape", shape)
        if shape < 0.01:  # Γ(1 + 2/shape) leaves the range of floats
            raise InputError(
                f"Weibull: shape = {shape:g} is too small to compute with; give at least 0.01"
            )
        log_first = math.lgamma(1.0 + 1.0 / shape)
        scv = math.expm1(math.lgamma(1.0 + 2.0 / shape) - 2.0 * log_first)
        self._store(
            {"mean": mean, "shape": shape},
            mean=mean,
            scv=scv,
            shape=shape,
            scale=mean * math.exp(-log_first),
        )

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Draw `n` values."""
        values = rng.weibull(self.shape, n)
        values *= self.scale
        return values


class Bimodal(Law):
    """Two values: most requests are short, some are long.

    Parameters
    ----------
    low, high : float
        The two values, in seconds.
    high_share : float
        Probability of `high`.

    Examples
    --------
    >>> Bimodal(low=0.5, high=5.5, high_share=0.1).mean
    1.0
    """

    low: float
    high: float
    high_share: float

    def __init__(self, low: float, high: float, high_share: float) -> None:
        low = checks.not_negative("Bimodal", "low", low)
        high = checks.positive("Bimodal", "high", high)
        high_share = checks.share("Bimodal", "high_share", high_share)
        mean = low * (1.0 - high_share) + high * high_share
        variance = (high - low) ** 2 * high_share * (1.0 - high_share)
        self._store(
            {"low": low, "high": high, "high_share": high_share},
            mean=mean,
            scv=variance / mean**2 if mean > 0.0 else 0.0,
            low=low,
            high=high,
            high_share=high_share,
        )

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Draw `n` values."""
        return np.where(rng.random(n) < self.high_share, self.high, self.low)

"""Laws: how long a request takes, and how long until the next one.

A law is a distribution of non-negative seconds. It knows its mean and its squared coefficient of
variation (scv: variance / mean²) in closed form, and draws from a given NumPy generator.

    steady        Deterministic
    light tails   Exponential  Gamma  Weibull (shape >= 1)  Bimodal
    heavy tails   Hyperexponential  Lognormal  Weibull (shape < 1)  Pareto  BoundedPareto
    from data     Empirical
    from scipy    any frozen distribution of scipy.stats, wherever a law is accepted

Laws are immutable. Two laws are equal when they were given the same arguments, and the repr shows
those arguments: ``BoundedPareto(alpha=1.5, mean=0.01, maximum=1.0)``.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from lbsim.errors import InputError
from lbsim.workload import checks

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


class Hyperexponential(Law):
    """A mixture of exponential laws: scv above 1 with an exponential tail.

    Give `mean` and `scv` for two branches with balanced means (each branch carries half of the
    work), or `probabilities` and `rates` for any number of branches.

    Parameters
    ----------
    mean : float
        Seconds.
    scv : float
        At least 1. The first branch has p = (1 + sqrt((scv - 1) / (scv + 1))) / 2 and the rates
        are 2p / mean and 2(1 - p) / mean.
    probabilities, rates : sequence of float
        Share of each branch, and its rate in 1/s.

    Examples
    --------
    >>> Hyperexponential(mean=1.0, scv=4.0)
    Hyperexponential(mean=1.0, scv=4.0)
    """

    probabilities: tuple[float, ...]
    rates: tuple[float, ...]

    def __init__(
        self,
        mean: float | None = None,
        scv: float | None = None,
        probabilities: Sequence[float] | None = None,
        rates: Sequence[float] | None = None,
    ) -> None:
        owner = "Hyperexponential"
        if mean is not None and scv is not None and probabilities is None and rates is None:
            mean = checks.positive(owner, "mean", mean)
            scv = checks.positive(owner, "scv", scv)
            if scv < 1.0:
                raise InputError(
                    f"Hyperexponential: scv = {scv:g} must be at least 1; for less variable times "
                    f"use Gamma(mean={mean:g}, shape={1 / scv:g})"
                )
            first = 0.5 * (1.0 + math.sqrt((scv - 1.0) / (scv + 1.0)))
            parts = (first, 1.0 - first)
            speeds = (2.0 * first / mean, 2.0 * (1.0 - first) / mean)
            arguments: dict[str, Any] = {"mean": mean, "scv": scv}
        elif mean is None and scv is None and probabilities is not None and rates is not None:
            if len(probabilities) != len(rates):
                raise InputError(
                    f"Hyperexponential: {len(probabilities)} probabilities do not match "
                    f"{len(rates)} rates; give one rate for each branch"
                )
            parts = checks.shares(owner, "probabilities", probabilities)
            speeds = tuple(checks.positive(owner, "rates", rate) for rate in rates)
            mean = math.fsum(p / r for p, r in zip(parts, speeds, strict=True))
            second = math.fsum(2.0 * p / r**2 for p, r in zip(parts, speeds, strict=True))
            scv = second / mean**2 - 1.0
            arguments = {"probabilities": parts, "rates": speeds}
        else:
            raise InputError(
                "Hyperexponential: give mean and scv, or probabilities and rates; not a mixture"
            )
        self._store(arguments, mean=mean, scv=scv, probabilities=parts, rates=speeds)

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Draw `n` values."""
        edges = np.cumsum(self.probabilities)[:-1]
        branch = np.searchsorted(edges, rng.random(n), side="right")
        values = rng.standard_exponential(n)
        values *= (1.0 / np.array(self.rates))[branch]
        return values

    def scaled(self, factor: float) -> "Hyperexponential":
        """Return the law of `factor` times this variable."""
        if "mean" in self.arguments:
            return Hyperexponential(mean=self.mean * factor, scv=self.scv)
        return Hyperexponential(
            probabilities=self.probabilities, rates=[rate / factor for rate in self.rates]
        )


class Lognormal(Law):
    """The lognormal law: the logarithm is normal.

    Parameters
    ----------
    mean, scv : float
        Seconds, and variance / mean²: sigma² = ln(1 + scv), mu = ln(mean) - sigma²/2.
    mu, sigma : float
        Mean and standard deviation of ln(seconds); the other way to give the law.

    Examples
    --------
    >>> round(Lognormal(mu=-0.38, sigma=2.36).mean, 4)    # Azure Functions 2019
    11.0762
    """

    mu: float
    sigma: float

    def __init__(
        self,
        mean: float | None = None,
        scv: float | None = None,
        mu: float | None = None,
        sigma: float | None = None,
    ) -> None:
        if mean is not None and scv is not None and mu is None and sigma is None:
            mean = checks.positive("Lognormal", "mean", mean)
            scv = checks.positive("Lognormal", "scv", scv)
            arguments = {"mean": mean, "scv": scv}
            sigma = math.sqrt(math.log1p(scv))
            mu = math.log(mean) - 0.5 * sigma**2
        elif mean is None and scv is None and mu is not None and sigma is not None:
            mu = checks.real("Lognormal", "mu", mu)
            sigma = checks.positive("Lognormal", "sigma", sigma)
            arguments = {"mu": mu, "sigma": sigma}
            mean = math.exp(mu + 0.5 * sigma**2)
            scv = math.expm1(sigma**2)
        else:
            raise InputError("Lognormal: give mean and scv, or mu and sigma; not a mixture")
        self._store(arguments, mean=mean, scv=scv, mu=mu, sigma=sigma)

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Draw `n` values."""
        return rng.lognormal(self.mu, self.sigma, n)

    def scaled(self, factor: float) -> "Lognormal":
        """Return the law of `factor` times this variable."""
        if "mean" in self.arguments:
            return Lognormal(mean=self.mean * factor, scv=self.scv)
        return Lognormal(mu=self.mu + math.log(factor), sigma=self.sigma)


class Pareto(Law):
    """The Pareto law: P(X > x) = (minimum / x)^alpha for x >= minimum.

    Parameters
    ----------
    alpha : float
        Tail index. The mean is infinite up to 1, the variance up to 2.
    mean : float
        Seconds, needs alpha > 1; or
    minimum : float
        the smallest value, in seconds.

    Examples
    --------
    >>> Pareto(alpha=2.5, mean=0.010).minimum
    0.006
    """

    alpha: float
    minimum: float

    def __init__(
        self, alpha: float, mean: float | None = None, minimum: float | None = None
    ) -> None:
        alpha = checks.positive("Pareto", "alpha", alpha)
        if (mean is None) == (minimum is None):
            raise InputError("Pareto: give mean or minimum, one of the two")
        if mean is not None:
            mean = checks.positive("Pareto", "mean", mean)
            if alpha <= 1.0:
                raise InputError(
                    f"Pareto: alpha = {alpha:g} has no finite mean, which needs alpha above 1; "
                    "give minimum, or use BoundedPareto"
                )
            arguments = {"alpha": alpha, "mean": mean}
            minimum = mean * (alpha - 1.0) / alpha
        else:
            minimum = checks.positive("Pareto", "minimum", minimum)
            arguments = {"alpha": alpha, "minimum": minimum}
            mean = minimum * alpha / (alpha - 1.0) if alpha > 1.0 else math.inf
        scv = 1.0 / (alpha * (alpha - 2.0)) if alpha > 2.0 else math.inf
        self._store(arguments, mean=mean, scv=scv, alpha=alpha, minimum=minimum)

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Draw `n` values."""
        values = rng.pareto(self.alpha, n)
        values += 1.0
        values *= self.minimum
        return values


class BoundedPareto(Law):
    """The Pareto law cut off at a maximum: heavy-tailed, yet with every moment.

    The density is alpha k^alpha x^-(alpha+1) / (1 - (k/p)^alpha) on [k, p], with k the minimum
    and p the maximum (Harchol-Balter, Crovella, Murta 1998).

    Parameters
    ----------
    alpha : float
        Tail index, above 0.
    mean : float
        Seconds; the minimum follows from mean and maximum. Or give
    minimum : float
        the smallest value, in seconds.
    maximum : float
        The largest value, in seconds.

    Examples
    --------
    >>> round(BoundedPareto(alpha=1.5, mean=1.0, maximum=1000.0).minimum, 8)
    0.33958918
    """

    alpha: float
    minimum: float
    maximum: float

    def __init__(
        self,
        alpha: float,
        mean: float | None = None,
        maximum: float | None = None,
        minimum: float | None = None,
    ) -> None:
        owner = "BoundedPareto"
        alpha = checks.positive(owner, "alpha", alpha)
        if maximum is None:
            raise InputError("BoundedPareto: maximum is missing; give it, or use Pareto")
        maximum = checks.positive(owner, "maximum", maximum)
        if (mean is None) == (minimum is None):
            raise InputError("BoundedPareto: give mean or minimum, one of the two")
        arguments = {"alpha": alpha, "mean": mean, "maximum": maximum, "minimum": minimum}
        if mean is not None:
            arguments["mean"] = mean = checks.positive(owner, "mean", mean)
            if mean >= maximum:
                raise InputError(
                    f"BoundedPareto: mean = {mean:g} must be below maximum = {maximum:g}; "
                    "lower the mean or raise the maximum"
                )
            minimum = _bounded_pareto_minimum(alpha, mean, maximum)
        else:
            arguments["minimum"] = minimum = checks.positive(owner, "minimum", minimum)
            if minimum >= maximum:
                raise InputError(
                    f"BoundedPareto: minimum = {minimum:g} must be below maximum = {maximum:g}; "
                    "swap them or change one"
                )
            mean = minimum * _bounded_pareto_moment(1, alpha, math.log(maximum / minimum))
        span = math.log(maximum / minimum)
        scv = (
            _bounded_pareto_moment(2, alpha, span) / _bounded_pareto_moment(1, alpha, span) ** 2
            - 1.0
        )
        self._store(arguments, mean=mean, scv=scv, alpha=alpha, minimum=minimum, maximum=maximum)

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Draw `n` values by inversion of the distribution function."""
        values = rng.random(n)
        values *= (self.minimum / self.maximum) ** self.alpha - 1.0
        values += 1.0
        np.power(values, -1.0 / self.alpha, out=values)
        values *= self.minimum
        # Rounding may step over the edge by one unit in the last place.
        return np.clip(values, self.minimum, self.maximum, out=values)


def _bounded_pareto_moment(order: int, alpha: float, span: float) -> float:
    """Return E[X^order] of the law on [1, exp(span)].

    It is alpha / (1 - e^(-alpha span)) times the integral of e^((order - alpha) t) over [0, span].
    """
    excess = order - alpha
    integral = math.expm1(excess * span) / excess if excess != 0.0 else span
    return alpha / -math.expm1(-alpha * span) * integral


def _bounded_pareto_minimum(alpha: float, mean: float, maximum: float) -> float:
    """Solve for the minimum by bisection on ln(maximum / minimum): the mean is monotone in it."""
    low, high = 0.0, 600.0 / max(1.0, alpha)
    while True:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            return maximum * math.exp(-middle)
        if maximum * math.exp(-middle) * _bounded_pareto_moment(1, alpha, middle) > mean:
            low = middle
        else:
            high = middle


class Empirical(Law):
    """Draws from given values, with replacement.

    Parameters
    ----------
    values : array_like of float
        Seconds, at least one, none negative.
    """

    values: FloatArray

    def __init__(self, values: ArrayLike) -> None:
        try:
            array = np.array(values, dtype=np.float64).ravel()
        except (TypeError, ValueError):
            raise InputError("Empirical: values must be numbers; drop what is not") from None
        if array.size == 0:
            raise InputError("Empirical: values is empty; give at least one value")
        bad = ~np.isfinite(array) | (array < 0.0)
        if bad.any():
            place = int(np.argmax(bad))
            raise InputError(
                f"Empirical: values[{place}] = {array[place]:g} must be finite and not negative "
                f"({int(bad.sum())} such values); drop or repair them"
            )
        array.flags.writeable = False
        mean = float(array.mean())
        scv = float(array.var()) / mean**2 if mean > 0.0 else 0.0
        self._store({"values": array}, mean=mean, scv=scv, values=array)

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Draw `n` values."""
        return self.values[rng.integers(0, self.values.size, n)]

    def scaled(self, factor: float) -> "Empirical":
        """Return the law of `factor` times this variable."""
        return Empirical(self.values * factor)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Empirical) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash(self.values.tobytes())

    def __repr__(self) -> str:
        return f"Empirical(<{self.values.size} values, mean={self.mean:g}>)"


class ScipyLaw(Law):
    """A frozen distribution of scipy.stats, times a factor.

    Made by `as_law`; written by nobody.

    Parameters
    ----------
    frozen : scipy.stats frozen distribution
        Its support must not reach below 0.
    factor : float
        Seconds for one unit of the distribution.
    """

    frozen: Any
    factor: float

    def __init__(self, frozen: Any, factor: float = 1.0) -> None:
        name = frozen.dist.name
        least = float(frozen.support()[0])
        if not least >= 0.0:
            raise InputError(
                f"scipy.stats.{name}: the support starts at {least:g}, and times cannot be "
                "negative; truncate the distribution (scipy.stats.truncnorm) or shift it (loc=)"
            )
        factor = checks.positive(f"scipy.stats.{name}", "factor", factor)
        mean, variance = (float(moment) for moment in frozen.stats(moments="mv"))
        # scipy gives nan for some moments that do not exist.
        mean = math.inf if math.isnan(mean) else mean * factor
        finite = math.isfinite(variance) and 0.0 < mean < math.inf
        scv = variance * factor**2 / mean**2 if finite else (0.0 if mean == 0.0 else math.inf)
        arguments = {"name": name, "args": tuple(frozen.args), "kwds": dict(frozen.kwds)}
        self._store(
            {**arguments, "factor": factor}, mean=mean, scv=scv, frozen=frozen, factor=factor
        )

    def draw(self, rng: Generator, n: int) -> FloatArray:
        """Draw `n` values."""
        values = np.asarray(self.frozen.rvs(size=n, random_state=rng), dtype=np.float64)
        return values if self.factor == 1.0 else values * self.factor

    def scaled(self, factor: float) -> "ScipyLaw":
        """Return the law of `factor` times this variable."""
        return ScipyLaw(self.frozen, self.factor * factor)

    def __repr__(self) -> str:
        arguments = [repr(value) for value in self.frozen.args]
        arguments += [f"{name}={value!r}" for name, value in self.frozen.kwds.items()]
        shown = f"scipy.stats.{self.frozen.dist.name}({', '.join(arguments)})"
        return shown if self.factor == 1.0 else f"{self.factor!r} * {shown}"


def as_law(value: Any) -> Law:
    """Return `value` as a law.

    Parameters
    ----------
    value : Law, number or scipy.stats frozen distribution
        A number is a `Deterministic` law of that many seconds.

    Returns
    -------
    Law

    Raises
    ------
    InputError
        If it is none of these, or its support reaches below 0.

    Examples
    --------
    >>> as_law(0.010)
    Deterministic(mean=0.01)
    """
    if isinstance(value, Law):
        return value
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return Deterministic(float(value))
    if hasattr(value, "rvs") and hasattr(value, "dist") and hasattr(value, "support"):
        return ScipyLaw(value)
    raise InputError(
        f"{value!r} is not a law; give one such as lbsim.Exponential(mean=0.010), a number of "
        "seconds, or a frozen scipy.stats distribution such as scipy.stats.gamma(2.0, scale=0.005)"
    )

"""Heavy-tailed laws: a few requests carry much of the work."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from lbsim import checks
from lbsim.errors import InputError
from lbsim.workload.laws import FloatArray, Law

__all__ = ["BoundedPareto", "Hyperexponential", "Lognormal", "Pareto"]


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
            parts: tuple[float, ...] = (first, 1.0 - first)
            speeds: tuple[float, ...] = (2.0 * first / mean, 2.0 * (1.0 - first) / mean)
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
            # np.exp gives inf where math.exp raises.
            with np.errstate(over="ignore"):
                mean = float(np.exp(mu + 0.5 * sigma**2))
                scv = float(np.expm1(sigma**2))
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

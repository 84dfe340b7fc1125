"""Laws from elsewhere: measured values, scipy's distributions, plain numbers."""

import math
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from lbsim import checks
from lbsim.errors import InputError
from lbsim.workload.laws import Deterministic, FloatArray, Law

__all__ = ["Empirical", "ScipyLaw", "as_law"]


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
        arguments = [repr(np.asarray(value).tolist()) for value in self.frozen.args]
        arguments += [
            f"{name}={np.asarray(value).tolist()!r}" for name, value in self.frozen.kwds.items()
        ]
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

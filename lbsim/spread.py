"""Distributions that were measured, kept as quantiles at evenly spaced probabilities."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lbsim import bunches

__all__ = ["Spread", "at_rate", "draw", "mean", "value_at_rate"]

Spread = tuple[float, ...]
"""The quantiles, in seconds, the smallest and the largest value included."""


def mean(spread: Sequence[float] | np.ndarray) -> float:
    """Return the mean of a distribution that is linear between its quantiles."""
    values = np.asarray(spread)
    return float(np.mean((values[1:] + values[:-1]) / 2))


def draw(
    spread: Sequence[float] | np.ndarray,
    rng: np.random.Generator,
    n: int,
    shares: tuple[float, float] = bunches.ALONE,
) -> np.ndarray:
    """Draw from a spread, linear between its quantiles; in bunches if there are `shares`."""
    return np.interp(bunches.uniforms(shares, rng, n), np.linspace(0.0, 1.0, len(spread)), spread)


def at_rate(spreads: Mapping[float, Spread], rate: float) -> np.ndarray:
    """Return the spread at a rate: between two that were measured, else the nearest."""
    rates = sorted(spreads)
    at = np.interp(math.log(rate), np.log(rates), np.arange(len(rates)))
    low = min(int(at), len(rates) - 1)
    high = min(low + 1, len(rates) - 1)
    share = at - low
    below, above = (np.asarray(spreads[rates[i]]) for i in (low, high))
    return (1.0 - share) * below + share * above


def value_at_rate(values: Mapping[float, float], rate: float) -> float:
    """Return a number at a rate, as `at_rate` returns a spread."""
    return float(at_rate({of: (value,) for of, value in values.items()}, rate)[0])

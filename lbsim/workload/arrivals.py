"""Arrival processes: when the requests come.

    here        Poisson  DeterministicArrivals  Renewal (any law)  ClosedLoop
    modulated   MarkovModulated  OnOff  RateProfile  FlashCrowd

A process has a shape but no speed until it is given a mean rate in requests per second. What is
given in seconds (a burst of 30 s, a profile of 5-minute counts) stays in seconds; what is given
as a rate only counts relative to the other rates, and is scaled to the mean rate.

`stream` is the one primitive: blocks of `BLOCK` times, without end. `times` joins blocks, so that
a workload drawn in pieces equals the same workload drawn at once, bit for bit. Requests come after
time 0; a process that has states says where it starts.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from lbsim import checks
from lbsim.errors import InputError
from lbsim.workload.given import as_law
from lbsim.workload.laws import Deterministic, FloatArray, Law

__all__ = [
    "BLOCK",
    "Arrivals",
    "ClosedLoop",
    "DeterministicArrivals",
    "Poisson",
    "Renewal",
    "as_arrivals",
    "running_sum",
]

# Draws are always made in blocks of this many, whatever was asked for.
BLOCK = 65_536


class Arrivals:
    """A process of arrival times; a subclass defines `stream`."""

    def stream(self, rng: Generator, rate: float) -> Iterator[FloatArray]:
        """Yield arrival times without end, in blocks of `BLOCK`.

        Parameters
        ----------
        rng : numpy.random.Generator
            Where the randomness comes from.
        rate : float
            Mean rate, in requests per second.

        Yields
        ------
        ndarray of float64, shape (BLOCK,)
            Seconds, ascending.
        """
        raise NotImplementedError

    def times(self, rng: Generator, n: int, rate: float) -> FloatArray:
        """Return the first `n` arrival times, in seconds: the joined blocks of `stream`."""
        rate = checks.positive(type(self).__name__, "rate", rate)
        blocks = itertools.islice(self.stream(rng, rate), -(-n // BLOCK))
        return np.concatenate([np.empty(0), *blocks])[:n]


@dataclass(frozen=True)
class Renewal(Arrivals):
    """Independent gaps with the shape of a law; time 0 counts as an arrival before the first.

    Parameters
    ----------
    law : Law, number or scipy.stats frozen distribution
        Its mean must be finite and above 0; it is scaled to 1 / rate.
    """

    law: Law

    def __post_init__(self) -> None:
        object.__setattr__(self, "law", as_law(self.law))
        checks.positive("Renewal", "mean of the law", self.law.mean)

    def stream(self, rng: Generator, rate: float) -> Iterator[FloatArray]:
        """Yield arrival times in blocks."""
        law = self.law.scaled(1.0 / (rate * self.law.mean))
        return running_sum(law.draw(rng, BLOCK) for _ in itertools.repeat(None))


@dataclass(frozen=True)
class Poisson(Arrivals):
    """Independent exponential gaps: many clients who know nothing of each other.

    Examples
    --------
    >>> import numpy as np
    >>> times = Poisson().times(np.random.default_rng(1), 1000, rate=50.0)
    >>> bool(15.0 < times[-1] < 25.0)
    True
    """

    def stream(self, rng: Generator, rate: float) -> Iterator[FloatArray]:
        """Yield arrival times in blocks."""
        return running_sum(_gaps(rng, rate))


def _gaps(rng: Generator, rate: float) -> Iterator[FloatArray]:
    while True:
        gaps = rng.standard_exponential(BLOCK)
        gaps /= rate
        yield gaps


@dataclass(frozen=True)
class DeterministicArrivals(Arrivals):
    """Equal gaps: request i (from 1) comes at i / rate."""

    def stream(self, rng: Generator, rate: float) -> Iterator[FloatArray]:
        """Yield arrival times in blocks; takes nothing from `rng`."""
        # A product, not a running sum: rounding must not build up, so that ties stay ties.
        for start in itertools.count(1, BLOCK):
            yield np.arange(start, start + BLOCK, dtype=np.float64) / rate


@dataclass(frozen=True)
class ClosedLoop:
    """A fixed number of clients; each waits for its answer, thinks, and asks again.

    There is no arrival rate: the answers set the pace. A workload with this in place of an arrival
    process has ``arrival = NaN``, and for each request its `client` and `think`, the time that
    the client thinks *before* it sends that request.

    Parameters
    ----------
    clients : int
        How many.
    think : Law, number or scipy.stats frozen distribution
        Thinking time, in seconds; 0 is allowed.
    """

    clients: int
    think: Law

    def __post_init__(self) -> None:
        object.__setattr__(self, "clients", checks.count("ClosedLoop", "clients", self.clients))
        object.__setattr__(self, "think", as_law(self.think))


def as_arrivals(value: Any) -> Arrivals | ClosedLoop:
    """Return `value` as an arrival process.

    Parameters
    ----------
    value : Arrivals, ClosedLoop, Law or scipy.stats frozen distribution
        A law is that of the gaps: `Renewal`, or `DeterministicArrivals` where all are equal.

    Raises
    ------
    InputError
        If it is none of these.

    Examples
    --------
    >>> from lbsim.workload.laws import Gamma
    >>> as_arrivals(Deterministic(1.0)), as_arrivals(Gamma(mean=1.0, shape=2.0))
    (DeterministicArrivals(), Renewal(law=Gamma(mean=1.0, shape=2.0)))
    """
    if isinstance(value, Arrivals | ClosedLoop):
        return value
    if isinstance(value, Deterministic):
        return DeterministicArrivals()
    if isinstance(value, Law) or hasattr(value, "rvs"):
        return Renewal(value)
    raise InputError(
        f"arrivals = {value!r} is not an arrival process; give one such as lbsim.Poisson(), or "
        "the law of the gaps, such as lbsim.Gamma(mean=1.0, shape=2.0)"
    )


def running_sum(gaps: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """Yield the running sum of the gaps, block by block, as one sum from left to right.

    The blocks are summed in place.
    """
    now = 0.0
    for block in gaps:
        block[0] += now
        np.cumsum(block, out=block)
        now = float(block[-1])
        yield block

"""Poisson arrivals whose rate changes: with a Markov chain, in bursts, by a profile, in a crowd."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from lbsim import checks
from lbsim.errors import InputError
from lbsim.workload.arrivals import BLOCK, Arrivals, running_sum
from lbsim.workload.given import as_law
from lbsim.workload.laws import FloatArray, Law

__all__ = ["FlashCrowd", "MarkovModulated", "OnOff", "RateProfile"]

# Stretches of constant rate that are laid out at a time.
PERIODS = 1_024

# One stretch of time after another: how long each lasts, and the rate in it.
Stretches = Iterator[tuple[FloatArray, FloatArray]]


@dataclass(frozen=True)
class MarkovModulated(Arrivals):
    """Poisson arrivals whose rate follows a Markov chain (MMPP).

    The chain stays in each state for an exponential time and visits the states in the given
    order, round and round. It starts in a state drawn from its stationary distribution.
    See Fischer and Meier-Hellstern (1993), "The Markov-modulated Poisson process cookbook".

    Parameters
    ----------
    rates : sequence of float
        Relative rate in each state; not all 0.
    mean_sojourns : sequence of float
        Mean time in each state, in seconds.
    """

    rates: tuple[float, ...]
    mean_sojourns: tuple[float, ...]

    def __init__(self, rates: Sequence[float], mean_sojourns: Sequence[float]) -> None:
        owner = "MarkovModulated"
        if len(rates) != len(mean_sojourns) or len(rates) < 2:
            raise InputError(
                f"MarkovModulated: {len(rates)} rates and {len(mean_sojourns)} mean_sojourns; "
                "give one of each for every state, and two states or more"
            )
        rates = tuple(checks.not_negative(owner, "rates", rate) for rate in rates)
        sojourns = tuple(checks.positive(owner, "mean_sojourns", time) for time in mean_sojourns)
        checks.positive(owner, "sum of the rates", sum(rates))
        object.__setattr__(self, "rates", rates)
        object.__setattr__(self, "mean_sojourns", sojourns)

    def stream(self, rng: Generator, rate: float) -> Iterator[FloatArray]:
        """Yield arrival times in blocks."""
        sojourns = np.array(self.mean_sojourns)
        rates = np.array(self.rates) * (rate * sojourns.sum() / np.dot(self.rates, sojourns))

        def stretches() -> Stretches:
            state = int(rng.choice(sojourns.size, p=sojourns / sojourns.sum()))
            while True:
                states = (state + np.arange(PERIODS)) % sojourns.size
                state = int(states[-1]) + 1
                yield sojourns[states] * rng.standard_exponential(PERIODS), rates[states]

        return _modulated(rng, stretches())


@dataclass(frozen=True)
class OnOff(Arrivals):
    """Poisson arrivals during on periods, silence during off periods.

    With heavy-tailed periods this is the model of Willinger, Taqqu, Sherman and Wilson (1997) for
    traffic that is bursty on every time scale. It starts at the beginning of an on period.

    Parameters
    ----------
    on, off : Law, number or scipy.stats frozen distribution
        Length of the periods, in seconds; both means must be finite, that of `on` above 0.
    """

    on: Law
    off: Law

    def __post_init__(self) -> None:
        object.__setattr__(self, "on", as_law(self.on))
        object.__setattr__(self, "off", as_law(self.off))
        checks.positive("OnOff", "mean of on", self.on.mean)
        checks.not_negative("OnOff", "mean of off", self.off.mean)

    def stream(self, rng: Generator, rate: float) -> Iterator[FloatArray]:
        """Yield arrival times in blocks."""
        rate_on = rate * (self.on.mean + self.off.mean) / self.on.mean

        def stretches() -> Stretches:
            rates = np.tile([rate_on, 0.0], PERIODS)
            while True:
                periods = np.column_stack([self.on.draw(rng, PERIODS), self.off.draw(rng, PERIODS)])
                yield periods.ravel(), rates

        return _modulated(rng, stretches())


@dataclass(frozen=True)
class RateProfile(Arrivals):
    """Poisson arrivals whose rate follows a profile, such as a day of 5-minute counts.

    The profile repeats when it is over.

    Parameters
    ----------
    counts : sequence of float
        Requests in each interval; only their ratios count when a mean rate is given.
    interval : float
        Length of an interval, in seconds.

    Examples
    --------
    >>> RateProfile(counts=[30, 90], interval=300).mean_rate
    0.2
    """

    counts: tuple[float, ...]
    interval: float = 300.0

    def __init__(self, counts: Sequence[float], interval: float = 300.0) -> None:
        counts = tuple(checks.not_negative("RateProfile", "counts", count) for count in counts)
        checks.positive("RateProfile", "sum of the counts", sum(counts))
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "interval", checks.positive("RateProfile", "interval", interval))

    @property
    def mean_rate(self) -> float:
        """Requests per second as counted: the `rate` that leaves the profile as it was."""
        return math.fsum(self.counts) / len(self.counts) / self.interval

    def stream(self, rng: Generator, rate: float) -> Iterator[FloatArray]:
        """Yield arrival times in blocks."""
        rates = np.array(self.counts) * (rate * len(self.counts) / math.fsum(self.counts))
        rates = np.tile(rates, -(-PERIODS // rates.size))
        return _modulated(rng, itertools.repeat((np.full(rates.size, self.interval), rates)))


@dataclass(frozen=True)
class FlashCrowd(Arrivals):
    """Poisson arrivals, and a while in which they come `factor` times as fast.

    The rate given to `stream` (or the load given to a workload) is the one *outside* the crowd.

    Parameters
    ----------
    at : float
        When the crowd comes, in seconds.
    duration : float
        How long it stays, in seconds.
    factor : float
        Rate during the crowd / rate outside it.
    """

    at: float
    duration: float
    factor: float

    def __post_init__(self) -> None:
        at = checks.not_negative("FlashCrowd", "at", self.at)
        duration = checks.positive("FlashCrowd", "duration", self.duration)
        factor = checks.not_negative("FlashCrowd", "factor", self.factor)
        for name, value in (("at", at), ("duration", duration), ("factor", factor)):
            object.__setattr__(self, name, value)

    def stream(self, rng: Generator, rate: float) -> Iterator[FloatArray]:
        """Yield arrival times in blocks."""
        start = np.array([self.at, self.duration]), np.array([rate, rate * self.factor])
        after = np.array([BLOCK / rate]), np.array([rate])
        return _modulated(rng, itertools.chain([start], itertools.repeat(after)))


def _modulated(rng: Generator, stretches: Stretches) -> Iterator[FloatArray]:
    """Yield the times of a Poisson process whose rate is constant on each stretch.

    A Poisson process of rate 1, read on a clock that runs at the current rate, is the process
    wanted (Çinlar 1975, section 4.7): `work` below is what that clock shows at the instants `time`.
    """
    time = np.zeros(1)
    work = np.zeros(1)
    for ticks in running_sum(rng.standard_exponential(BLOCK) for _ in itertools.repeat(None)):
        times, works = [time], [work]
        while works[-1][-1] < ticks[-1]:
            durations, rates = next(stretches)
            times.append(times[-1][-1] + np.cumsum(durations))
            works.append(works[-1][-1] + np.cumsum(durations * rates))
        time, work = np.concatenate(times), np.concatenate(works)
        # Two ticks on both sides of an edge may come out in the wrong order by a rounding error.
        yield np.maximum.accumulate(np.interp(ticks, work, time))
        passed = int(np.searchsorted(work, ticks[-1], side="left")) - 1
        time, work = time[passed:], work[passed:]

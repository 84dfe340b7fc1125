"""Arrival processes: when the requests come.

A process has a shape but no speed until it is given a mean rate in requests per second. What is
given in seconds (a burst of 30 s, a profile of 5-minute counts) stays in seconds; what is given
as a rate only counts relative to the other rates, and is scaled to the mean rate.

`stream` is the one primitive: blocks of `BLOCK` times, without end. `times` joins blocks, so that
a workload drawn in pieces equals the same workload drawn at once, bit for bit. Requests come after
time 0; a process that has states says where it starts.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from lbsim import checks
from lbsim.errors import InputError
from lbsim.workload.given import as_law
from lbsim.workload.laws import FloatArray, Law

# Draws are always made in blocks of this many, whatever was asked for.
BLOCK = 65_536

# Periods (of a modulated process) that are drawn at a time.
PERIODS = 1_024

# A stretch of time after another: how long each lasts, and the rate in it.
Stretches = Iterator[tuple[FloatArray, FloatArray]]


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
        return _running_sum(law.draw(rng, BLOCK) for _ in itertools.repeat(None))


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
        return _running_sum(rng.standard_exponential(BLOCK) / rate for _ in itertools.repeat(None))


@dataclass(frozen=True)
class DeterministicArrivals(Arrivals):
    """Equal gaps: request i (from 1) comes at i / rate."""

    def stream(self, rng: Generator, rate: float) -> Iterator[FloatArray]:
        """Yield arrival times in blocks; takes nothing from `rng`."""
        # A product, not a running sum: rounding must not build up, so that ties stay ties.
        for start in itertools.count(1, BLOCK):
            yield np.arange(start, start + BLOCK, dtype=np.float64) / rate


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
        return sum(self.counts) / len(self.counts) / self.interval

    def stream(self, rng: Generator, rate: float) -> Iterator[FloatArray]:
        """Yield arrival times in blocks."""
        counts = np.array(self.counts)
        stretch = np.full(counts.size, self.interval), counts * (rate / counts.mean())
        return _modulated(rng, itertools.repeat(stretch))


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
        checks.not_negative("FlashCrowd", "at", self.at)
        checks.positive("FlashCrowd", "duration", self.duration)
        checks.not_negative("FlashCrowd", "factor", self.factor)

    def stream(self, rng: Generator, rate: float) -> Iterator[FloatArray]:
        """Yield arrival times in blocks."""
        start = (
            np.array([self.at, self.duration], dtype=np.float64),
            np.array([rate, rate * self.factor]),
        )
        after = np.array([BLOCK / rate]), np.array([rate])
        return _modulated(rng, itertools.chain([start], itertools.repeat(after)))


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


def _running_sum(gaps: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """Yield the running sum of the gaps, block by block, as one sum from left to right."""
    now = 0.0
    for block in gaps:
        block[0] += now
        np.cumsum(block, out=block)
        now = float(block[-1])
        yield block


def _modulated(rng: Generator, stretches: Stretches) -> Iterator[FloatArray]:
    """Yield the times of a Poisson process whose rate is constant on each stretch.

    A Poisson process of rate 1, read on a clock that runs at the current rate, is the process
    wanted (Çinlar 1975, section 4.7): `work` below is what that clock shows at the instants `time`.
    """
    time = np.zeros(1)
    work = np.zeros(1)
    for ticks in _running_sum(rng.standard_exponential(BLOCK) for _ in itertools.repeat(None)):
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

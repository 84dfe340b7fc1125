"""What a request costs a busy worker: from requests that had to wait for the one before."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from lbsim.bunches import shares_of
from lbsim.calibration import PACED, paces_of
from lbsim.spread import Spread, mean, value_at_rate
from lbsim.workload import Workload
from live.experiments.common import (
    COLD,
    SURELY_S,
    WORKS,
    Runner,
    accepted_by_worker,
    by_worker,
    gaps_of,
    spread_of,
    without,
)

__all__ = [
    "Busy",
    "bunched_of",
    "busy_workers",
    "makings_of",
    "overruns_of",
    "overtaking_of",
    "unsure_of",
]

FEW = 4
LOAD, LOAD_OF_MANY = 0.9, 0.8  # of up to so few workers, and of more: these have less to spare
BATCHES = 10
USUAL = 0.98  # the share of busy times that tell what a turn costs; the others were disturbed


@dataclass(frozen=True)
class Busy:
    """What requests tell that had to wait at busy workers, an element for each.

    Attributes
    ----------
    cost : ndarray of float64
        Seconds between the end of the one before and its own, without its work, without what a
        hypervisor stole, and as if the machine had been as slow all the time as at the median; in
        order of time.
    found : ndarray of int
        How many connections its worker took in between, itself among them. 0: it had been taken
        before. 1 if nobody knows, as it is on the average.
    rate : float
        Of requests a second.
    making_s : float
        How long it took the load generator to make a socket, the median.
    overtaking : float
        How often the next connection was accepted before the handler of one ran, where the next
        had come to the master before that one was accepted.
    is_quiet : bool
        Whether nobody else took the processors.
    """

    cost: np.ndarray
    found: np.ndarray
    rate: float
    making_s: float
    overtaking: float = 0.0
    is_quiet: bool = True

    def when(self, making: Mapping[float, float]) -> "Busy":
        """Return the same at the time when `making` was measured."""
        making_s = value_at_rate(making, self.rate)
        return replace(self, cost=self.cost * (making_s / self.making_s), making_s=making_s)

    def taking(self, most_s: float = math.inf) -> tuple[float, float]:
        """Return what a worker needs for a connection that it takes, and for a turn beside that.

        Both together at most so much, where that is known: few costs say little.
        """
        usual = self.cost <= np.quantile(self.cost, USUAL)
        found = self.found[usual]
        terms = np.column_stack([found, found > 0, np.ones(len(found))])
        # No part can be negative; in a short calibration on a busy machine one may well be zero.
        (each, turn, _), _ = nnls(terms, self.cost[usual])
        share = min(1.0, most_s / (each + turn)) if each + turn > 0.0 else 1.0
        return share * float(each), share * float(turn)

    def unsure(self, overrun_s: float) -> float:
        """Return the standard error of the mean cost, relative to a part of it; 0 of too few.

        By batch means, since what disturbs one request disturbs its neighbours (Law, Simulation
        Modeling and Analysis, 5th ed., section 9.5.3).
        """
        m = min(BATCHES, len(self.cost) // 2)
        if m < 2:
            return 0.0
        batches = [float(batch.mean()) for batch in np.array_split(self.cost, m)]
        return float(np.std(batches, ddof=1) / math.sqrt(m) / overrun_s)

    def overrun(self, each: float = 0.0, turn: float = 0.0) -> tuple[float, ...]:
        """Return the spread of the rest."""
        return spread_of(self.cost - each * self.found - turn * (self.found > 0))


def busy_workers(
    runs: Mapping[int, Runner], seconds: float, rng: np.random.Generator
) -> list[Busy]:
    """Look at as many requests at each of some numbers of workers, in about this time."""
    rates = {
        workers: (LOAD if workers <= FEW else LOAD_OF_MANY) * workers / float(np.mean(WORKS))
        for workers in runs
    }
    n = max(100, int(seconds / sum(1.0 / rate for rate in rates.values())))
    return [_look_at(runs[workers], n, rate, rng) for workers, rate in rates.items()]


def overruns_of(
    several: list[Busy], each: float = 0.0, turn: float = 0.0
) -> dict[float, tuple[float, ...]]:
    """Return the spreads of what is left of a request's costs, by rate."""
    return {busy.rate: busy.overrun(each, turn) for busy in several}


def unsure_of(several: list[Busy], overruns: Mapping[float, Spread]) -> float:
    """Return how uncertain the means of these overruns are, relative to them."""
    return float(np.mean([busy.unsure(mean(overruns[busy.rate])) for busy in several]))


def bunched_of(several: list[Busy]) -> tuple[float, float]:
    """Return how much of their costs neighbours have in common."""
    small, large = np.mean([shares_of(busy.cost) for busy in several], axis=0).tolist()
    return small, large


def makings_of(several: list[Busy]) -> dict[float, float]:
    """Return how long it took to make a socket at each of these rates."""
    times: dict[float, list[float]] = {}
    for busy in several:
        times.setdefault(busy.rate, []).append(busy.making_s)
    return {rate: float(np.mean(of)) for rate, of in times.items()}


def _look_at(run: Runner, n: int, rate: float, rng: np.random.Generator) -> Busy:
    """Look at `n` requests that come at this rate, of which some had to wait."""
    n += COLD
    works = rng.permutation(np.resize(WORKS, n))
    arrival = np.cumsum(gaps_of(rate, n, rng))
    seen = run(Workload.from_arrays(arrival, works, name="busy"))
    rows = seen.record.handovers
    making_s = float(np.nanmedian(seen.making[COLD:]))
    pace = paces_of(seen.making, making_s, max(1, n // PACED))
    costs, founds, overtaking, ends = [], [], [], []
    accepted_at = accepted_by_worker(seen)
    for mine in by_worker(rows):
        requests = rows.ticket[mine]
        cost = np.diff(rows.ended[mine]) - works[requests][1:]
        found = np.ones(len(cost), np.int64)
        if seen.stamps is not None:
            accepted = np.sort(accepted_at[requests])
            found = np.searchsorted(accepted, rows.started[mine][1:], "right")
            found -= np.searchsorted(accepted, rows.ended[mine][:-1], "right")
        waited = seen.arrival[requests][1:] + SURELY_S < rows.ended[mine][:-1]
        chosen = waited & (requests[1:] >= COLD)
        overtaking.append(
            overtaking_of(seen.arrival[requests], accepted_at[requests], rows.started[mine])
        )
        costs.append((cost / pace[requests][1:])[chosen])
        founds.append(found[chosen])
        ends.append(rows.ended[mine][1:][chosen])
    in_time = np.argsort(np.concatenate(ends))
    cost = np.concatenate(costs)[in_time]
    return Busy(
        without(cost, seen.theft[COLD:]),  # a worker wakes once for each: when its work is over
        np.concatenate(founds)[in_time],
        rate,
        making_s,
        _mean(np.concatenate(overtaking)),
        seen.disturbance.is_quiet,
    )


def overtaking_of(arrival: np.ndarray, accepted: np.ndarray, started: np.ndarray) -> np.ndarray:
    """Say of connections of one worker whether the next one was accepted before their handler ran.

    Of those only for which that was a race: the next was at the master when they were accepted,
    and no handler ran between.
    """
    order = np.argsort(accepted)
    order = order[~np.isnan(accepted[order])]
    arrival, accepted, started = arrival[order], accepted[order], started[order]
    begun = np.sort(started)
    between = np.searchsorted(begun, started, "left") - np.searchsorted(begun, accepted, "right")
    was_race = (arrival[1:] + SURELY_S < accepted[:-1]) & (between[:-1] == 0)
    return (accepted[1:] < started[:-1])[was_race]


def _mean(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else 0.0

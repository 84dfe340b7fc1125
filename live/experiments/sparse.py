"""The way of a request to an idle worker and back, at several rates, in several turns."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lbsim.theft import WAKES
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
    taken_by_worker,
    without,
)
from live.measured import MeasuredRun

__all__ = ["SPARSE_TURNS", "idle_worker", "levels_of"]

SPARSE_RATES = {40.0: 0.4, 160.0: 0.3, 640.0: 0.3}  # requests a second: the share of a turn
SPARSE_TURNS = 4
# At most: work is shorter at rates at which it would be more. With about what it costs beside.
LOAD, COST_S = 0.5, 0.001
SHORTEST_S = 0.0001


def idle_worker(
    run: Runner,
    workers: int,
    seconds: float,
    rng: np.random.Generator,
    decided_at: Callable[[MeasuredRun], np.ndarray],
) -> tuple[dict[str, Any], float]:
    """Look at requests that find idle workers, of so many.

    Parameters
    ----------
    decided_at : callable
        Returns when it was settled that a worker gets each request: where `before` ends, and its
        waking begins.

    Returns
    -------
    ways : dict
        `before`, `waking`, `rest`, `making`, `levels` and `is_quiet` of a `Calibration`; but
        `before` and `waking` with the costs of the master and the worker.
    taking_s : float
        From when the worker had accepted a connection until it had taken it, so that it could
        take the next or begin the handler; the median at the highest rate, 0 if nobody knows.
    """
    top = max(SPARSE_RATES)
    gaps = [gaps_of(top, COLD, rng)]
    rates, turns = [np.zeros(COLD)], [np.full(COLD, -1)]
    for turn in range(SPARSE_TURNS):
        for rate, share in SPARSE_RATES.items():
            n = max(10, int(seconds / SPARSE_TURNS * share * rate))
            gaps.append(gaps_of(rate, n, rng))
            rates.append(np.full(n, rate))
            turns.append(np.full(n, turn))
    of_rate, of_turn = np.concatenate(rates), np.concatenate(turns)
    works = rng.choice(WORKS, len(of_rate))
    most = LOAD * workers / np.where(of_rate > 0.0, of_rate, top) - COST_S
    works *= np.minimum(1.0, np.maximum(SHORTEST_S, most) / np.mean(WORKS))
    found = run(Workload.from_arrays(np.cumsum(np.concatenate(gaps)), works, name="sparse"))
    rows = found.record.handovers
    idle = np.ones(len(works), bool)
    for mine in by_worker(rows):
        # Whoever came while the one before was served, or had just been, had to wait for it.
        waited = rows.dispatched[mine][1:] < rows.ended[mine][:-1] + SURELY_S
        idle[rows.ticket[mine][1:][waited]] = False
    decided, taken = decided_at(found), taken_by_worker(found)
    way = taken - found.arrival
    rest = found.finished - taken - works
    own = {rate: idle & (of_rate == rate) for rate in SPARSE_RATES}
    making = {rate: float(np.nanmedian(found.making[of_rate == rate])) for rate in SPARSE_RATES}
    pace = np.ones(len(works))
    for turn in range(SPARSE_TURNS):
        for rate, usual in making.items():
            mine = (of_turn == turn) & (of_rate == rate)
            pace[mine] = np.nanmedian(found.making[mine]) / usual

    def spreads(times: np.ndarray, wakes: int) -> dict[float, tuple[float, ...]]:
        return {
            rate: spread_of(without(times[mine], found.theft[mine], wakes))
            for rate, mine in own.items()
        }

    taking = (taken - accepted_by_worker(found))[own[top]]
    ways = {
        "before": spreads(decided - found.arrival, WAKES - 1),
        "waking": spreads(taken - decided, 1),
        "rest": spreads(rest, WAKES),
        "making": making,
        "levels": levels_of((way + rest) / pace, list(own.values()), of_turn),
        "is_quiet": found.disturbance.is_quiet,
    }
    return ways, float(np.nanmedian(taking)) if (~np.isnan(taking)).any() else 0.0


def levels_of(
    times: np.ndarray, groups: list[np.ndarray], of_turn: np.ndarray
) -> tuple[float, ...]:
    """Return how slow the machine was in each turn, relative to the mean.

    Medians differ by chance too, by about 1.25 σ / √n. Each turn's level is the mean over the
    groups, weighted by their precision. What chance is left in it stays in: of a few turns nobody
    can tell how much of their spread it is, and taking off too much would promise too much.
    """
    levels = []
    for turn in range(SPARSE_TURNS):
        found, weights = [], []
        for mine in groups:
            whole = np.nanmedian(times[mine])
            values = times[mine & (of_turn == turn)] / whole
            values = values[~np.isnan(values)]
            if len(values) >= 5:
                low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
                found.append(middle)
                weights.append(len(values) / max(1e-3, high - low) ** 2)
        if found:
            levels.append(float(np.average(found, weights=weights)))
    mean = float(np.mean(levels)) if levels else 1.0
    return tuple(level / mean for level in levels) or (1.0,)

"""Who was busy, who waited, and how long a worker idled while a request waited elsewhere.

Time integrals over one run, exact (no sampling). Every row is one stay of a request:

    arrival -- held by the master -- dispatched -- queued -- started -- served -- finished
    [---------------- waiting -----------------------------) [-----------------------)

A request that was handed over again, after its worker died, has a row for each handover; the
arrival of a later row is when the master had the request back. All stays are closed at their
begin and open at their end, so that what happens at one instant cancels: a worker that finishes
one request and takes the next at the same time was never idle.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lbsim.errors import InputError
from lbsim.stats.paths import check_stays, count_path
from lbsim.stats.samples import FloatArray

__all__ = ["Occupancy", "occupancy"]

# Columns of what changes at a worker.
_SERVED, _QUEUED, _DOWN = range(3)


@dataclass(frozen=True, eq=False)
class Occupancy:
    """Time averages over the window [begin, end).

    Attributes
    ----------
    begin, end : float
        Seconds.
    utilisation : ndarray of float64, shape (n_workers,)
        Share of each worker's places in use: min(requests in service, concurrency) / concurrency.
        A worker that is down counts as in use by what it had not finished.
    at_worker : ndarray of float64, shape (n_workers,)
        Mean number of requests at each worker, queued and in service.
    held : float
        Mean number of requests held by the master.
    waiting : float
        Mean number of requests waiting, held or queued.
    idle_while_waiting : float
        Share of time in which some worker was idle while a request waited elsewhere.
    """

    begin: float
    end: float
    utilisation: FloatArray
    at_worker: FloatArray
    held: float
    waiting: float
    idle_while_waiting: float


def occupancy(
    arrival_at_master: ArrayLike,
    dispatched: ArrayLike,
    started: ArrayLike,
    finished: ArrayLike,
    worker: ArrayLike,
    *,
    n_workers: int,
    concurrency: ArrayLike = 1,
    down: Iterable[tuple[int, float, float]] = (),
    begin: float | None = None,
    end: float | None = None,
) -> Occupancy:
    """Integrate who is busy and who waits over a run.

    Parameters
    ----------
    arrival_at_master, dispatched, started, finished : array_like of float, shape (n,)
        Seconds, NaN for what never happened. `finished` is when the stay ended, whether served
        or given up: a request that was never dispatched waits at the master until then, one
        that never started waits at its worker until then. A stay without an end lasts to the
        end of the window.
    worker : array_like of int, shape (n,)
        From 0 to `n_workers` - 1; not looked at where `dispatched` is NaN.
    n_workers : int
    concurrency : int or array_like of int, shape (n_workers,), default 1
        How many requests a worker must be serving not to be idle. 1 also for a worker that
        shares itself among all it has (processor sharing, an event loop): one keeps it busy.
    down : iterable of (worker, begin, end)
        When workers were down, closed-open; may overlap. A worker that is down is not idle.
    begin, end : float, optional
        The window; from the first arrival to the last time that occurs if not given.

    Returns
    -------
    Occupancy

    Notes
    -----
    *Idle while waiting* is the time in which there are a worker v that is up and serves fewer
    than its `concurrency`, and a waiting request that is held by the master or queued at a
    worker other than v. It is what a dispatcher wastes: a central queue has none.

    Examples
    --------
    Two workers, and both requests sent to the first: the second idles while one waits.

    >>> result = occupancy([0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 2.0], [0, 0], n_workers=2)
    >>> result.idle_while_waiting, result.utilisation.tolist()
    (0.5, [1.0, 0.0])
    """
    come = np.asarray(arrival_at_master, np.float64)
    sent, begun, done = (np.asarray(x, np.float64) for x in (dispatched, started, finished))
    where = np.asarray(worker)
    places = _places(concurrency, n_workers)
    _check(come, sent, begun, done, where, n_workers)
    outages = _outages(down, n_workers)
    begin, end = _window(begin, end, (come, sent, begun, done))

    there = ~np.isnan(sent)
    left_master = np.where(there, sent, done)
    left_queue = np.where(np.isnan(begun), done, begun)
    changes = _Changes(n_workers)
    # Who begins at once never queued; that its worker's counters change then, its service tells.
    queued = there & (sent != begun)
    changes.add(_QUEUED, where[queued], sent[queued], left_queue[queued])
    changes.add(_SERVED, where[there], begun[there], done[there])
    changes.add(_DOWN, *outages)
    workers, times, states = changes.states()

    busy = np.minimum(states[_SERVED], places[workers])
    present = states[_SERVED] + states[_QUEUED]
    lasted = _durations(workers, times, begin, end)
    span = end - begin
    held = count_path(come, left_master)
    return Occupancy(
        begin,
        end,
        np.bincount(workers, busy * lasted, n_workers) / places / span,
        np.bincount(workers, present * lasted, n_workers) / span,
        held.mean(begin, end),
        count_path(come, left_queue).mean(begin, end),
        _idle_while_waiting(workers, times, states, places, held, begin, end),
    )


def _idle_while_waiting(
    workers: NDArray[np.int64],
    times: FloatArray,
    states: NDArray[np.int64],
    places: NDArray[np.int64],
    held: tuple[FloatArray, NDArray[np.int64]],
    begin: float,
    end: float,
) -> float:
    """Return the share of time in which the best dispatcher would have had something to do."""
    idle = (states[_SERVED] < places[workers]) & (states[_DOWN] == 0)
    queued = states[_QUEUED] > 0
    # Of every worker: from "idle, nothing queued" (before its first event) to each new state.
    first = np.diff(workers, prepend=-1) != 0
    steps = []
    for flag, before in ((idle, 1), (queued, 0), (idle & queued, 0)):
        now = flag.astype(np.int8)
        previous = np.roll(now, 1)
        previous[first] = before
        steps.append(now - previous)
    held_times, held_values = held
    at = np.concatenate([times, held_times])
    order = np.argsort(at, kind="stable")
    quiet = np.zeros(len(held_times), np.int8)
    n_idle, n_queued, n_both = (
        np.cumsum(np.concatenate([step, quiet])[order], dtype=np.int64) for step in steps
    )
    n_idle += len(places)
    none = np.zeros(len(times), np.int64)
    n_held = np.cumsum(np.concatenate([none, np.diff(held_values, prepend=0)])[order])
    # A queue at the only idle worker itself (as after a hang) is not "elsewhere".
    itself = (n_idle == 1) & (n_queued == 1) & (n_both == 1)
    wasted = (n_idle > 0) & ((n_held > 0) | ((n_queued > 0) & ~itself))
    edges = np.clip(np.append(at[order], end), begin, end)
    return float((np.diff(edges) * wasted).sum() / (end - begin))


class _Changes:
    """Steps of counters at workers, collected, then summed up over time."""

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self.parts: list[tuple[int, int, NDArray[np.int64], FloatArray]] = []

    def add(
        self, column: int, worker: NDArray[np.int64], begin: FloatArray, end: FloatArray
    ) -> None:
        """Count one more in `column` over each stay [begin, end) at a worker."""
        was = ~np.isnan(begin)
        ended = was & ~np.isnan(end)
        self.parts.append((column, 1, worker[was], begin[was]))
        self.parts.append((column, -1, worker[ended], end[ended]))

    def states(self) -> tuple[NDArray[np.int64], FloatArray, NDArray[np.int64]]:
        """Return worker and time of each change, by worker and time, and the counters after it.

        Shapes (k,), (k,) and (3, k). Of several changes at one instant only the last is kept.
        """
        # Sorting small integers is a matter of counting, so twice is faster than a lexsort.
        small = np.uint16 if self.n_workers <= 65536 else np.int64
        worker = np.concatenate([part[2].astype(small) for part in self.parts])
        time = np.concatenate([part[3] for part in self.parts])
        order = np.argsort(time, kind="stable")
        order = order[np.argsort(worker[order], kind="stable")]
        worker, time = worker[order], time[order]
        is_other = worker[1:] != worker[:-1]
        newest = np.ones(len(worker), np.bool_)
        newest[:-1] = is_other | (time[1:] != time[:-1])
        counters = np.zeros((3, int(newest.sum())), np.int64)
        # One running total serves all workers: take off what earlier workers left over.
        begins = np.concatenate([[0], np.flatnonzero(is_other) + 1])
        lengths = np.diff(np.append(begins, len(worker)))
        for column in {part[0] for part in self.parts if len(part[3])}:
            step = np.concatenate(
                [
                    np.full(len(at), sign if own == column else 0, np.int8)
                    for own, sign, _, at in self.parts
                ]
            )
            total = np.cumsum(step[order], dtype=np.int64)
            carried = np.concatenate([[0], total])[begins]
            counters[column] = (total - np.repeat(carried, lengths))[newest]
        return worker[newest].astype(np.int64), time[newest], counters


def _durations(
    workers: NDArray[np.int64], times: FloatArray, begin: float, end: float
) -> FloatArray:
    """Return how long each state lasted within the window: until the worker's next change."""
    until = np.append(times[1:], end)
    until[:-1][workers[1:] != workers[:-1]] = end
    return np.asarray(np.clip(until, begin, end) - np.clip(times, begin, end))


def _places(concurrency: ArrayLike, n_workers: int) -> NDArray[np.int64]:
    if n_workers < 1:
        raise InputError(f"n_workers = {n_workers} must be at least 1; say how many there were")
    places = np.broadcast_to(np.asarray(concurrency, np.int64), (n_workers,))
    if places.min() < 1:
        raise InputError(f"concurrency = {places.min()} must be at least 1")
    return places


def _check(
    come: FloatArray,
    sent: FloatArray,
    begun: FloatArray,
    done: FloatArray,
    where: NDArray[np.int64],
    n_workers: int,
) -> None:
    check_stays("arrival_at_master", come, "dispatched", sent)
    check_stays("dispatched", sent, "started", begun)
    check_stays("started", begun, "finished", done)
    check_stays("dispatched", sent, "finished", done)
    check_stays("arrival_at_master", come, "finished", done)
    if where.shape != sent.shape:
        raise InputError(
            f"worker has shape {where.shape} and dispatched has {sent.shape}; give one of each"
        )
    wrong = ~np.isnan(sent) & ((where < 0) | (where >= n_workers))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise InputError(
            f"worker[{i}] = {where[i]} does not exist; workers are 0 to {n_workers - 1}"
        )
    for name, time, before in (("dispatched", sent, come), ("started", begun, sent)):
        loose = np.isnan(before) & ~np.isnan(time)
        if loose.any():
            i = int(np.argmax(loose))
            raise InputError(
                f"{name}[{i}] = {time[i]:g} has no time before it; give all times up to the last"
            )


def _outages(
    down: Iterable[tuple[int, float, float]], n_workers: int
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    rows = list(down)
    for worker, begin, end in rows:
        if not 0 <= worker < n_workers or not begin <= end:
            raise InputError(
                f"down = ({worker}, {begin}, {end}) must name a worker from 0 to {n_workers - 1} "
                "and end after it begins"
            )
    columns = np.array(rows, np.float64).reshape(-1, 3)
    return columns[:, 0].astype(np.int64), columns[:, 1], columns[:, 2]


def _window(
    begin: float | None, end: float | None, columns: tuple[FloatArray, ...]
) -> tuple[float, float]:
    if begin is None or end is None:
        known = np.concatenate([column[~np.isnan(column)] for column in columns])
        if known.size == 0:
            raise InputError("occupancy: there is no request, so begin and end must be given")
        begin = float(known.min()) if begin is None else begin
        end = float(known.max()) if end is None else end
    if not begin < end:
        raise InputError(f"window [{begin:g}, {end:g}) is empty; its end must come after its begin")
    return begin, end

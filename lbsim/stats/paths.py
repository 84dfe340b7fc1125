"""Counts over time: how many are somewhere, as a path that jumps and is constant in between.

A stay is closed at its begin and open at its end, [begin, end): one that ends at t and one that
begins at t make no gap and no overlap, and a stay of no length is never seen.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lbsim.errors import InputError
from lbsim.stats.samples import FloatArray

__all__ = ["Path", "count_path", "queue_lengths"]


class Path(NamedTuple):
    """A piecewise-constant function of time.

    Attributes
    ----------
    times : ndarray of float64, shape (k,)
        Where it changes, strictly ascending, in seconds.
    values : ndarray of int64, shape (k,)
        Its value from ``times[i]`` on, until just before ``times[i + 1]``; 0 before the first.
    """

    times: FloatArray
    values: NDArray[np.int64]

    def at(self, times: ArrayLike) -> NDArray[np.int64]:
        """Return the values at some times, in their shape."""
        place = np.searchsorted(self.times, times, "right")
        return np.asarray(np.concatenate([[0], self.values])[place])

    def mean(self, begin: float, end: float) -> float:
        """Return the time average over [begin, end)."""
        if not begin < end:
            raise InputError(
                f"window [{begin:g}, {end:g}) is empty; its end must come after its begin"
            )
        edges = np.clip(np.concatenate([[begin], self.times, [end]]), begin, end)
        return float((np.diff(edges) * np.concatenate([[0], self.values])).sum() / (end - begin))


def count_path(begins: ArrayLike, ends: ArrayLike) -> Path:
    """Return how many stays [begin, end) are under way, over time.

    Parameters
    ----------
    begins, ends : array_like of float, shape (n,)
        Seconds. A stay with a begin of NaN never was; an end of NaN never comes.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If a stay ends before it begins.

    Examples
    --------
    >>> path = count_path([0.0, 1.0, 2.0], [2.0, 2.0, 3.0])
    >>> path.times.tolist(), path.values.tolist()
    ([0.0, 1.0, 2.0, 3.0], [1, 2, 1, 0])
    >>> path.mean(0.0, 3.0)
    1.3333333333333333
    """
    begin = np.asarray(begins, np.float64)
    end = np.asarray(ends, np.float64)
    check_stays("begin", begin, "end", end)
    was = ~np.isnan(begin) & (begin != end)  # a stay of no length is never seen
    ended = was & ~np.isnan(end)
    times = np.concatenate([begin[was], end[ended]])
    steps = np.repeat(np.array([1, -1], np.int8), [int(was.sum()), int(ended.sum())])
    order = np.argsort(times, kind="stable")
    times = times[order]
    values = np.cumsum(steps[order], dtype=np.int64)
    # The last of the steps at one instant has seen them all.
    last = np.append(times[1:] != times[:-1], True)[: times.size]
    times, values = times[last], values[last]
    moved = np.diff(values, prepend=0) != 0
    return Path(times[moved], values[moved])


def queue_lengths(
    dispatched: ArrayLike,
    finished: ArrayLike,
    worker: ArrayLike,
    n_workers: int,
    times: ArrayLike,
) -> NDArray[np.int64]:
    """Return how many requests sit at each worker, queued and in service, at some times.

    Parameters
    ----------
    dispatched, finished : array_like of float, shape (n,)
        When each request came to its worker and left it, in seconds; NaN for never.
    worker : array_like of int, shape (n,)
        Where it was; not looked at where `dispatched` is NaN.
    n_workers : int
    times : array_like of float, shape (m,)
        Seconds.

    Returns
    -------
    ndarray of int64, shape (n_workers, m)

    Examples
    --------
    >>> queue_lengths([0.0, 1.0, 1.0], [3.0, 2.0, 4.0], [0, 0, 1], 2, [0.0, 1.0, 2.0, 3.0]).tolist()
    [[1, 2, 1, 0], [0, 1, 1, 1]]
    """
    begin = np.asarray(dispatched, np.float64)
    end = np.asarray(finished, np.float64)
    check_stays("dispatched", begin, "finished", end)
    where = np.asarray(worker)
    at = np.asarray(times, np.float64)
    lengths = np.zeros((n_workers, at.size), np.int64)
    for w in range(n_workers):
        mine = where == w
        # NaN sorts behind every time, so what never happens is never counted.
        come = np.sort(begin[mine])
        gone = np.sort(np.where(np.isnan(begin[mine]), np.nan, end[mine]))
        lengths[w] = np.searchsorted(come, at, "right") - np.searchsorted(gone, at, "right")
    return lengths


def check_stays(first: str, begin: FloatArray, second: str, end: FloatArray) -> None:
    """Raise InputError unless the columns match and no end comes before its begin."""
    if begin.ndim != 1 or begin.shape != end.shape:
        raise InputError(
            f"{first} has shape {begin.shape} and {second} has {end.shape}; give one of each "
            "for every request"
        )
    backwards = end < begin
    if backwards.any():
        i = int(np.argmax(backwards))
        raise InputError(
            f"{second}[{i}] = {end[i]:g} lies before {first}[{i}] = {begin[i]:g}; "
            "a stay cannot end before it begins"
        )

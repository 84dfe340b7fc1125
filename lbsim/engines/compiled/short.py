"""Short paths: runs that need no event queue.

Where every worker serves its requests first come, first served, one at a time, and nothing
ever interrupts it, the requests can be gone through in order of arrival: a request begins when
it arrives or when the worker's last one is done, whichever is later, and its departure is
known at once (Lindley 1952, "The theory of queues with a single server"). The arithmetic is
that of `lbsim.physics`, in the same order, so the result is that of the other paths to the
last bit.

`lbsim.engines.compiled.views` says how it is made sure that a policy depends on nothing that
these paths leave out. A policy that answers `HOLD` or `SHED` ends the short path: the kernel
returns `LEFT`, and the run is made again on the general path.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from lbsim import physics
from lbsim.engines.compiled import wheel
from lbsim.engines.compiled.cache import KernelCache
from lbsim.engines.compiled.few import change, past
from lbsim.engines.compiled.levels import lowest_bit, move
from lbsim.engines.compiled.views import (
    Blind,
    Indexed,
    IndexedFew,
    Lazy,
    lazy_loads,
    purge,
    push,
)
from lbsim.policy import Request

__all__ = [
    "DONE",
    "FULL",
    "LEFT",
    "Columns",
    "Rows",
    "Workers",
    "blind",
    "few",
    "indexed",
    "lazy",
    "read_only",
]

DONE, FULL, LEFT = range(3)
"""All rows are done; the lists of departures are full; the policy gave another answer."""


class Columns(NamedTuple):
    """The requests, arrays of shape (n,)."""

    arrival: np.ndarray
    work: np.ndarray
    wait: np.ndarray
    key: np.ndarray
    kind: np.ndarray
    priority: np.ndarray
    size: np.ndarray
    service: np.ndarray


def read_only(*columns: np.ndarray) -> Columns:
    """Return columns as kernels take them: of one type, wherever they come from."""
    views = [np.ascontiguousarray(column).view() for column in columns]
    for view in views:
        view.flags.writeable = False
    return Columns(*views)


class Workers(NamedTuple):
    """What is known of the workers, arrays of shape (n_workers,)."""

    up: np.ndarray
    is_up: np.ndarray
    slots: np.ndarray
    weight: np.ndarray
    speed: np.ndarray
    idle_from: np.ndarray


class Rows(NamedTuple):
    """What comes out, arrays of shape (n,)."""

    worker: np.ndarray
    started: np.ndarray
    finished: np.ndarray


_end_of_work = njit(_nrt=False, forceinline=True, error_model="numpy")(physics.end_of_work)


@njit(_nrt=False, forceinline=True, error_model="numpy")
def _request(columns: Any, i: Any) -> Any:
    return Request(
        columns.arrival[i],
        columns.key[i],
        columns.kind[i],
        columns.priority[i],
        columns.size[i],
        columns.service[i],
    )


@njit(_nrt=False, forceinline=True, error_model="numpy")
def _serve(columns: Any, workers: Any, rows: Any, i: Any, worker: Any) -> Any:
    """Let a worker serve a request after what it has. Return when it is done."""
    now = columns.arrival[i]
    begin = max(now, workers.idle_from[worker])
    # First the computing, then the waiting: see `engines.readable.workers.Synchronous`.
    computed = _end_of_work(begin, columns.work[i], workers.speed[worker])
    end = max(begin, computed + columns.wait[i])
    workers.idle_from[worker] = end
    rows.worker[i] = worker
    rows.started[i] = begin
    rows.finished[i] = end
    return end


def _blind(
    policy: Any, columns: Any, workers: Any, rng: Any, rows: Any, first: Any, last: Any, at: Any
) -> Any:
    """Serve rows `first` to `last` under a policy that does not look at load."""
    n = len(workers.up)
    view = Blind(workers.up, workers.is_up, workers.slots, workers.weight, rng)
    for i in range(first, last):
        at[0] = i
        worker = policy.choose(_request(columns, i), view)
        if worker < 0 or worker >= n:
            return LEFT
        _serve(columns, workers, rows, i, worker)
    at[0] = last
    return DONE


def _lazy(
    policy: Any,
    columns: Any,
    workers: Any,
    rng: Any,
    pool: Any,
    rows: Any,
    first: Any,
    last: Any,
    at: Any,
) -> Any:
    """Serve rows under a policy that looks at the load of some workers."""
    n = len(workers.up)
    for i in range(first, last):
        at[0] = i
        if pool.free[0] < 0:
            # Some of the room may be taken by what has left unseen.
            for worker in range(n):
                purge(pool, worker, columns.arrival[i])
            if pool.free[0] < 0:
                return FULL
        now = columns.arrival[i]
        view = Lazy(
            workers.up, workers.is_up, lazy_loads(pool, now), workers.slots, workers.weight, rng
        )
        worker = policy.choose(_request(columns, i), view)
        if worker < 0 or worker >= n:
            return LEFT
        purge(pool, worker, now)
        push(pool, worker, _serve(columns, workers, rows, i, worker))
    at[0] = last
    return DONE


def _few(
    policy: Any,
    columns: Any,
    workers: Any,
    rng: Any,
    pool: Any,
    loads: Any,
    levels: Any,
    rows: Any,
    first: Any,
    last: Any,
    at: Any,
) -> Any:
    """Serve rows under a policy that asks for the least loaded of at most 64 workers.

    `loads` is a view of ``pool.count``, which is padded.
    """
    n = len(workers.up)
    view = IndexedFew(workers.up, workers.is_up, loads, workers.slots, workers.weight, rng, levels)
    for i in range(first, last):
        at[0] = i
        if pool.free[0] < 0:
            return FULL
        now = columns.arrival[i]
        gone = past(pool.soonest, now)
        while gone != 0:
            worker = lowest_bit(gone)
            gone &= gone - np.uint64(1)
            before = loads[worker]
            purge(pool, worker, now)
            change(levels, worker, before, loads[worker])
        worker = policy.choose(_request(columns, i), view)
        if worker < 0 or worker >= n:
            return LEFT
        change(levels, worker, loads[worker], loads[worker] + 1)
        push(pool, worker, _serve(columns, workers, rows, i, worker))
    at[0] = last
    return DONE


def _indexed(
    policy: Any,
    columns: Any,
    workers: Any,
    rng: Any,
    loads: Any,
    levels: Any,
    departures: Any,
    rows: Any,
    first: Any,
    last: Any,
    at: Any,
) -> Any:
    """Serve rows under a policy that asks for the least loaded of many workers."""
    n = len(workers.up)
    view = Indexed(workers.up, workers.is_up, loads, workers.slots, workers.weight, rng, levels)
    for i in range(first, last):
        at[0] = i
        if departures.state[0] < 0:
            return FULL
        wheel.advance(departures, columns.arrival[i], loads, levels)
        worker = policy.choose(_request(columns, i), view)
        if worker < 0 or worker >= n:
            return LEFT
        move(levels, worker, loads[worker], loads[worker] + 1)
        loads[worker] += 1
        wheel.note(departures, worker, _serve(columns, workers, rows, i, worker))
    at[0] = last
    return DONE


def _kernel(function: Any, *, allocates: bool) -> Any:
    kernel = njit(function, nogil=True, error_model="numpy", _nrt=allocates)
    kernel._cache = KernelCache(f"short{function.__name__}", f"allocates={allocates}")
    return kernel


blind, lazy, few, indexed = (
    _kernel(function, allocates=False) for function in (_blind, _lazy, _few, _indexed)
)

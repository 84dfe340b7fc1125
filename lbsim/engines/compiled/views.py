"""What a policy may look at in a run that has no event queue.

Where workers are first come, first served, one request at a time, and nothing ever goes wrong,
a departure is known when the request is dispatched. Nothing needs to be simulated in order of
time but the arrivals, and the number in flight at a worker is needed only when a policy
looks at it. So compiled code is given another view of the cluster than
`lbsim.policy.ClusterView`, with the same names but for those that such a run does not keep
up: code that reads one of those cannot be compiled with it, and takes the general path. That is
the proof that a short path leaves out nothing the policy depends on.

- `Blind` has no load information at all;
- `Lazy` has `in_flight`, brought up to date worker by worker when it is read;
- `Indexed` has `in_flight` that is always up to date, and an index by load: `few` for at most
  64 workers, `levels` for more.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import (
    intrinsic,
    make_attribute_wrapper,
    models,
    overload,
    register_model,
)

from lbsim.engines.compiled.few import least_of_few
from lbsim.engines.compiled.levels import least
from lbsim.engines.compiled.methods import compiled_function
from lbsim.policy import least_loaded

__all__ = ["Blind", "Indexed", "IndexedFew", "Lazy", "Pool", "make_pool", "purge", "push"]

NONE = -1


class Blind(NamedTuple):
    """A view for policies that do not look at load."""

    up: Any
    is_up: Any
    slots: Any
    weight: Any
    rng: Any


class Lazy(NamedTuple):
    """A view with load, for policies that look at few workers."""

    up: Any
    is_up: Any
    in_flight: Any
    slots: Any
    weight: Any
    rng: Any


class IndexedFew(NamedTuple):
    """A view with load and an index by load, for policies that ask for the least loaded."""

    up: Any
    is_up: Any
    in_flight: Any
    slots: Any
    weight: Any
    rng: Any
    few: Any


class Indexed(NamedTuple):
    """The same for many workers."""

    up: Any
    is_up: Any
    in_flight: Any
    slots: Any
    weight: Any
    rng: Any
    levels: Any


# --- departures that lie ahead ---------------------------------------------------------------


class Pool(NamedTuple):
    """The requests in flight at each worker, as lists of departure times.

    Attributes
    ----------
    count : ndarray of int64, shape (n_workers,)
        Requests in flight that have not been found to have left.
    soonest : ndarray of float64, shape (n_workers,)
        Departure of the first of them; infinite if there is none.
    first, last : ndarray of int64, shape (n_workers,)
        Ends of the list.
    due : ndarray of float64, shape (size,)
    next : ndarray of int64, shape (size,)
    free : ndarray of int64, shape (1,)
        First unused place.
    """

    count: np.ndarray  # type: ignore[assignment]  # not tuple.count, which nobody calls
    soonest: np.ndarray
    first: np.ndarray
    last: np.ndarray
    due: np.ndarray
    next: np.ndarray
    free: np.ndarray


def make_pool(n_workers: int, size: int) -> Pool:
    """Return empty lists with room for `size` requests in flight."""
    links = np.arange(1, size + 1)
    links[-1] = NONE
    return Pool(
        count=np.zeros(n_workers, np.int64),
        soonest=np.full(n_workers, math.inf),
        first=np.full(n_workers, NONE, np.int64),
        last=np.full(n_workers, NONE, np.int64),
        due=np.zeros(size),
        next=links,
        free=np.zeros(1, np.int64),
    )


def larger(pool: Pool) -> Pool:
    """Return the same lists with twice the room."""
    size = len(pool.due)
    links = np.concatenate([pool.next, np.arange(size + 1, 2 * size + 1)])
    links[-1] = pool.free[0]
    return pool._replace(
        due=np.concatenate([pool.due, np.zeros(size)]),
        next=links,
        free=np.full(1, size, np.int64),
    )


@njit(_nrt=False, forceinline=True, error_model="numpy")
def purge(pool: Any, worker: Any, now: Any) -> Any:
    """Let what has left a worker by now leave its list."""
    while pool.soonest[worker] <= now:
        place = pool.first[worker]
        following = pool.next[place]
        pool.next[place] = pool.free[0]
        pool.free[0] = place
        pool.first[worker] = following
        pool.count[worker] -= 1
        pool.soonest[worker] = pool.due[following] if following >= 0 else math.inf


@njit(_nrt=False, forceinline=True, error_model="numpy")
def push(pool: Any, worker: Any, departure: Any) -> Any:
    """Note a departure, not before those already noted. There must be a free place."""
    place = pool.free[0]
    pool.free[0] = pool.next[place]
    pool.due[place] = departure
    pool.next[place] = NONE
    if pool.count[worker] == 0:
        pool.first[worker] = place
        pool.soonest[worker] = departure
    else:
        pool.next[pool.last[worker]] = place
    pool.last[worker] = place
    pool.count[worker] += 1


class LazyLoads(types.Type):
    """The Numba type of `in_flight` in a `Lazy` view: reading an element purges its list."""

    def __init__(self, pool: types.Type) -> None:
        self.pool = pool
        super().__init__(name=f"LazyLoads({pool})")


@register_model(LazyLoads)
class _LazyLoadsModel(models.StructModel):
    def __init__(self, manager: Any, kind: LazyLoads) -> None:
        super().__init__(manager, kind, [("pool", kind.pool), ("now", types.float64)])


make_attribute_wrapper(LazyLoads, "pool", "pool")
make_attribute_wrapper(LazyLoads, "now", "now")


@intrinsic
def lazy_loads(typingctx: Any, pool: Any, now: Any) -> Any:
    """Return `in_flight` as it is at `now`."""
    kind = LazyLoads(pool)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = cgutils.create_struct_proxy(kind)(context, builder)
        struct.pool, struct.now = args
        return struct._getvalue()

    return kind(pool, types.float64), codegen


def _overload_reading() -> None:
    import operator

    @overload(operator.getitem)
    def getitem(loads: Any, worker: Any) -> Any:
        if isinstance(loads, LazyLoads) and isinstance(worker, types.Integer):

            def in_flight_of_one(loads: Any, worker: Any) -> Any:
                n = len(loads.pool.count)
                if worker < 0:
                    worker += n
                if worker < 0 or worker >= n:
                    raise IndexError("index is out of bounds")
                purge(loads.pool, worker, loads.now)
                return loads.pool.count[worker]

            return in_flight_of_one
        return None

    @overload(len)
    def length(loads: Any) -> Any:
        if isinstance(loads, LazyLoads):

            def number_of_workers(loads: Any) -> Any:
                return len(loads.pool.count)

            return number_of_workers
        return None


_overload_reading()


@overload(least_loaded)
def _least_loaded(cluster: Any, start: Any) -> Any:
    fields = getattr(cluster, "fields", ())
    if "levels" in fields:

        def least_by_level(cluster: Any, start: Any) -> Any:
            return least(cluster.levels, cluster.in_flight, start % len(cluster.in_flight))

        return least_by_level
    if "few" in fields:

        def least_by_word(cluster: Any, start: Any) -> Any:
            return least_of_few(cluster.few, cluster.in_flight, start % len(cluster.in_flight))

        return least_by_word
    general = compiled_function(least_loaded, "", False)

    def least_of_all(cluster: Any, start: Any) -> Any:
        return general(cluster, start)

    return least_of_all

"""Departures of very many workers: a timing wheel.

Which workers have finished by now is asked at every arrival, and in which order they finished
matters to nobody: there is only a count to be lowered. So departures are thrown into slots of
equal width in time, and a slot is emptied when time has passed it (Varghese and Lauck 1987,
"Hashed and hierarchical timing wheels"). What lies more than one turn ahead waits in its slot
for its turn.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from lbsim.engines.compiled.levels import move

__all__ = ["Wheel", "advance", "larger", "make_wheel", "note"]

NONE = -1


class Wheel(NamedTuple):
    """Departures in slots.

    Attributes
    ----------
    width : float
        Of a slot, in seconds.
    slot : ndarray of int64, shape (n_slots,)
        First entry of each slot, -1 if there is none; n_slots is a power of two.
    due : ndarray of float64, shape (size,)
    worker, next : ndarray of int64, shape (size,)
    state : ndarray of int64, shape (2,)
        First unused entry; number of the slot that time has reached.
    """

    width: float
    slot: np.ndarray
    due: np.ndarray
    worker: np.ndarray
    next: np.ndarray
    state: np.ndarray


def make_wheel(n_slots: int, width: float, size: int, begin: float) -> Wheel:
    """Return an empty wheel with room for `size` departures after `begin`."""
    links = np.arange(1, size + 1)
    links[-1] = NONE
    return Wheel(
        width=width,
        slot=np.full(n_slots, NONE, np.int64),
        due=np.zeros(size),
        worker=np.zeros(size, np.int64),
        next=links,
        state=np.array([0, int(begin / width)], np.int64),
    )


def larger(wheel: Wheel) -> Wheel:
    """Return the same wheel with room for twice as many departures."""
    size = len(wheel.due)
    links = np.concatenate([wheel.next, np.arange(size + 1, 2 * size + 1)])
    links[-1] = wheel.state[0]
    return wheel._replace(
        due=np.concatenate([wheel.due, np.zeros(size)]),
        worker=np.concatenate([wheel.worker, np.zeros(size, np.int64)]),
        next=links,
        state=np.array([size, wheel.state[1]]),
    )


@njit(_nrt=False, forceinline=True, error_model="numpy")
def note(wheel: Any, worker: Any, departure: Any) -> Any:
    """Put a departure into its slot. There must be an unused entry."""
    entry = wheel.state[0]
    wheel.state[0] = wheel.next[entry]
    wheel.due[entry] = departure
    wheel.worker[entry] = worker
    slot = np.int64(departure / wheel.width) & (len(wheel.slot) - 1)
    wheel.next[entry] = wheel.slot[slot]
    wheel.slot[slot] = entry


@njit(_nrt=False, error_model="numpy")
def _empty(wheel: Any, slot: Any, now: Any, count: Any, levels: Any) -> Any:
    """Let what is due in a slot leave; keep the rest."""
    entry = wheel.slot[slot]
    kept = NONE
    while entry >= 0:
        following = wheel.next[entry]
        if wheel.due[entry] <= now:
            worker = wheel.worker[entry]
            load = count[worker]
            count[worker] = load - 1
            move(levels, worker, load, load - 1)
            wheel.next[entry] = wheel.state[0]
            wheel.state[0] = entry
        else:
            wheel.next[entry] = kept
            kept = entry
        entry = following
    wheel.slot[slot] = kept


@njit(_nrt=False, forceinline=True, error_model="numpy")
def advance(wheel: Any, now: Any, count: Any, levels: Any) -> Any:
    """Lower the count of every worker by its departures up to and including `now`."""
    mask = len(wheel.slot) - 1
    reached = np.int64(now / wheel.width)
    turn = wheel.state[1]
    if reached - turn > mask:  # a whole turn or more: each slot once is enough
        turn = reached - mask
    while turn <= reached:
        if wheel.slot[turn & mask] >= 0:
            _empty(wheel, turn & mask, now, count, levels)
        turn += 1
    wheel.state[1] = reached

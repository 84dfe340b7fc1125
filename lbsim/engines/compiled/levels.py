"""Who is least loaded among very many workers: a bitset for each level of load.

Level k has one bit for each worker with k requests in flight, and a summary with one bit for
each of its words that is not zero. The least loaded worker at or after a given one is found by
looking for the first bit in the lowest level that has one: a few instructions, whatever the
number of workers. Loads from the last level on share it and are compared one by one: in a
system with so much waiting there is time.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir as llvm
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["LEVELS", "Levels", "least", "lowest_bit", "make_levels", "move"]

LEVELS = 32
_WORD = 64


class Levels(NamedTuple):
    """Bitsets by level.

    Attributes
    ----------
    bits : ndarray of uint64, shape (LEVELS * n_words,)
    summary : ndarray of uint64, shape (LEVELS * n_summaries,)
    members : ndarray of int64, shape (LEVELS,)
        Workers of each level.
    lowest : ndarray of int64, shape (1,)
        No level below this one has members.
    """

    bits: np.ndarray
    summary: np.ndarray
    members: np.ndarray
    lowest: np.ndarray


def make_levels(n_workers: int) -> Levels:
    """Return the index of workers that are all idle."""
    words = -(-n_workers // _WORD)
    summaries = -(-words // _WORD)
    bits = np.zeros(LEVELS * words, np.uint64)
    summary = np.zeros(LEVELS * summaries, np.uint64)
    for worker in range(n_workers):
        bits[worker // _WORD] |= np.uint64(1 << (worker % _WORD))
    for word in range(words):
        summary[word // _WORD] |= np.uint64(1 << (word % _WORD))
    members = np.zeros(LEVELS, np.int64)
    members[0] = n_workers
    return Levels(bits, summary, members, np.zeros(1, np.int64))


@intrinsic
def lowest_bit(typingctx: Any, word: Any) -> Any:
    """Return the place of the lowest bit of a word that is not zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], llvm.Constant(llvm.IntType(1), 1))

    return types.int64(types.uint64), codegen


_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(_nrt=False, forceinline=True, error_model="numpy")
def move(levels: Any, worker: Any, before: Any, after: Any) -> Any:
    """Note that a worker's load has changed."""
    old = min(before, LEVELS - 1)
    new = min(after, LEVELS - 1)
    if old == new:
        return
    words = len(levels.bits) // LEVELS
    summaries = len(levels.summary) // LEVELS
    word = worker >> 6
    bit = _ONE << np.uint64(worker & 63)
    of_word = _ONE << np.uint64(word & 63)
    rest = levels.bits[old * words + word] & ~bit
    levels.bits[old * words + word] = rest
    if rest == _ZERO:
        levels.summary[old * summaries + (word >> 6)] &= ~of_word
    levels.members[old] -= 1
    levels.bits[new * words + word] |= bit
    levels.summary[new * summaries + (word >> 6)] |= of_word
    levels.members[new] += 1
    if new < levels.lowest[0]:
        levels.lowest[0] = new


@njit(_nrt=False, forceinline=True, error_model="numpy")
def least(levels: Any, loads: Any, start: Any) -> Any:
    """Return the first worker at or after `start`, cyclically, with the smallest load."""
    level = levels.lowest[0]
    while levels.members[level] == 0:
        level += 1
    levels.lowest[0] = level
    if level == LEVELS - 1:
        return _least_by_scan(loads, start)
    worker = _first_from(levels, level, start)
    if worker < 0:
        worker = _first_from(levels, level, 0)
    return worker


@njit(_nrt=False, error_model="numpy")
def _first_from(levels: Any, level: Any, start: Any) -> Any:
    """Return the first member of a level from `start` on, or -1."""
    words = len(levels.bits) // LEVELS
    summaries = len(levels.summary) // LEVELS
    word = start >> 6
    found = levels.bits[level * words + word] & (_ALL << np.uint64(start & 63))
    if found != _ZERO:
        return (word << 6) + lowest_bit(found)
    # The next word that is not zero, from the summary.
    word += 1
    group = word >> 6
    if group >= summaries:
        return -1
    some = levels.summary[level * summaries + group] & (_ALL << np.uint64(word & 63))
    while some == _ZERO:
        group += 1
        if group == summaries:
            return -1
        some = levels.summary[level * summaries + group]
    word = (group << 6) + lowest_bit(some)
    return (word << 6) + lowest_bit(levels.bits[level * words + word])


@njit(_nrt=False, error_model="numpy")
def _least_by_scan(loads: Any, start: Any) -> Any:
    n = len(loads)
    best = start
    for step in range(n):
        worker = start + step
        if worker >= n:
            worker -= n
        if loads[worker] < loads[best]:
            best = worker
    return best

"""Who is least loaded among at most 64 workers: one word of bits for each level of load.

The loads of all workers are up to date at every choice. Which of them have a departure behind
them is asked of eight at a time, with vector instructions where the processor has them.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir as llvm
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from lbsim.engines.compiled.levels import lowest_bit

__all__ = ["MOST", "Few", "change", "least_of_few", "make_few", "past"]

MOST = 64
LEVELS = 64
LANES = 8
_ONE = np.uint64(1)
_ZERO = np.uint64(0)


class Few(NamedTuple):
    """Workers by level of load.

    Attributes
    ----------
    bits : ndarray of uint64, shape (LEVELS,)
        One bit for each worker with that load; the last level is for all larger loads.
    lowest : ndarray of int64, shape (1,)
        No level below this one has members.
    """

    bits: np.ndarray
    lowest: np.ndarray


def make_few(n_workers: int) -> Few:
    """Return the levels of idle workers."""
    bits = np.zeros(LEVELS, np.uint64)
    bits[0] = np.uint64((1 << n_workers) - 1)
    return Few(bits, np.zeros(1, np.int64))


@njit(_nrt=False, forceinline=True, error_model="numpy")
def change(few: Any, worker: Any, before: Any, after: Any) -> Any:
    """Note that a worker's load has changed."""
    old = min(before, LEVELS - 1)
    new = min(after, LEVELS - 1)
    if old != new:
        bit = _ONE << np.uint64(worker)
        few.bits[old] ^= bit
        few.bits[new] |= bit
        if new < few.lowest[0]:
            few.lowest[0] = new


@njit(_nrt=False, forceinline=True, error_model="numpy")
def least_of_few(few: Any, loads: Any, start: Any) -> Any:
    """Return the first worker at or after `start`, cyclically, with the smallest load."""
    level = few.lowest[0]
    while few.bits[level] == _ZERO:
        level += 1
    few.lowest[0] = level
    if level == LEVELS - 1:
        return _by_scan(loads, start)
    members = few.bits[level]
    ahead = members >> np.uint64(start)
    if ahead != _ZERO:
        return start + lowest_bit(ahead)
    return lowest_bit(members)


@njit(_nrt=False, error_model="numpy")
def _by_scan(loads: Any, start: Any) -> Any:
    n = len(loads)
    best = start
    for step in range(1, n):
        worker = (start + step) % n
        if loads[worker] < loads[best]:
            best = worker
    return best


@intrinsic
def _eight_past(typingctx: Any, due: Any, group: Any, now: Any) -> Any:
    """Return one bit for each of eight times in a group that is not after now."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        times = context.make_array(signature.args[0])(context, builder, value=args[0])
        vector = llvm.VectorType(llvm.DoubleType(), LANES)
        first = builder.mul(args[1], llvm.Constant(llvm.IntType(64), LANES))
        pointer = builder.bitcast(cgutils.gep(builder, times.data, first), vector.as_pointer())
        lanes = builder.load(pointer, align=8)
        splat = llvm.Constant(vector, llvm.Undefined)
        for lane in range(LANES):
            splat = builder.insert_element(splat, args[2], llvm.Constant(llvm.IntType(32), lane))
        mask = builder.fcmp_ordered("<=", lanes, splat)
        word = builder.bitcast(mask, llvm.IntType(LANES))
        return builder.zext(word, llvm.IntType(64))

    return types.uint64(due, types.int64, types.float64), codegen


@njit(_nrt=False, forceinline=True, error_model="numpy")
def past(due: Any, now: Any) -> Any:
    """Return one bit for each worker with a departure that is not after now.

    `due` is padded with infinities to a multiple of eight.
    """
    found = _ZERO
    for group in range(len(due) // LANES):
        found |= _eight_past(due, group, now) << np.uint64(group * LANES)
    return found


def padded(n_workers: int) -> int:
    """Return the length that `past` wants."""
    return -(-n_workers // LANES) * LANES

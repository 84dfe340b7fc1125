"""Functions of the package that compiled code replaces by its own version.

`lbsim.hash64` computes in Python's unbounded integers; compiled, the same arithmetic is done in
64-bit unsigned integers, which wrap. A test compares the two.
"""

from typing import Any

import numpy as np
from numba import njit
from numba.extending import overload

from lbsim import hashing

__all__ = ["compiled_hash64"]

_GOLDEN = np.uint64(hashing._GOLDEN)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


@njit(_nrt=False)
def _mix(x: Any) -> Any:
    z = x + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


@njit(_nrt=False)
def compiled_hash64(key: Any, salt: Any = 0) -> Any:
    """Return `lbsim.hash64` of a 64-bit integer."""
    mixed = _mix(_mix(np.uint64(np.int64(salt))) ^ np.uint64(np.int64(key)))
    return np.int64(mixed >> np.uint64(1))


@overload(hashing.hash64)
def _hash64(key: Any, salt: Any = 0) -> Any:
    def hash64(key: Any, salt: Any = 0) -> Any:
        return compiled_hash64(key, salt)

    return hash64


@overload(hashing.uniform)
def _uniform(seed: Any, index: Any) -> Any:
    def uniform(seed: Any, index: Any) -> Any:
        return (compiled_hash64(index, seed) >> 10) * (1.0 / 9007199254740992.0)

    return uniform

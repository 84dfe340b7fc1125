"""Hashes that give the same answer in every process, every engine and every year.

Python's own ``hash`` of a string is salted per process, so it can serve neither a session
table that survives a restart nor a simulation that must repeat. Two functions do:
`hash64` mixes integers (policies use it, interpreted and compiled), and `hash_string` turns
a text (a cookie, a client address) into the integer key of a request.
"""

import hashlib

import numpy as np

__all__ = ["hash64", "hash64_array", "hash_string", "uniform"]

_MASK = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B97F4A7C15  # the odd integer nearest to 2**64 / golden ratio


def hash64(key: int, salt: int = 0) -> int:
    """Mix an integer and a salt into 63 well-spread bits.

    Parameters
    ----------
    key : int
        What is hashed (taken modulo 2**64).
    salt : int, default 0
        Chooses one of 2**64 unrelated hash functions.

    Returns
    -------
    int
        A non-negative int64, so that ``hash64(key) % n`` is a valid index.

    Notes
    -----
    The output function of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
    number generators", OOPSLA 2014), applied to the salt and then to the key. The compiled
    engine has the same arithmetic in unsigned 64-bit integers; a test compares the two.

    Examples
    --------
    >>> hash64(1), hash64(1, salt=1)
    (313702574736366215, 8430369225095084303)
    """
    salt = int(salt)
    mixed = _MIXED[salt] if 0 <= salt < _N_MIXED else _mix(salt)
    return _mix(mixed ^ int(key)) >> 1


def _mix(x: int) -> int:
    z = (x + _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


# Of the usual salts, such as the workers' numbers: half of the work for the interpreter.
_N_MIXED = 256
_MIXED = tuple(_mix(salt) for salt in range(_N_MIXED))


def hash64_array(keys: np.ndarray, salt: int = 0) -> np.ndarray:
    """Return `hash64` of every element of an int64 array, as int64.

    Examples
    --------
    >>> hash64_array(np.array([1, 2]))[0] == hash64(1)
    np.True_
    """
    # uint64 arithmetic wraps, as SplitMix64 wants.
    z = (keys.astype(np.uint64) ^ np.uint64(_mix(salt))) + np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def uniform(seed: int, index: int) -> float:
    """Draw number `index` of a counter-based stream: uniform on [0, 1).

    A draw that is a function of its index does not depend on the order in which events
    happen, so two engines, or two policies, see the same jitter for the same retry.

    Examples
    --------
    >>> uniform(7, 0) == uniform(7, 0), 0 <= uniform(7, 1) < 1
    (True, True)
    """
    return (hash64(index, seed) >> 10) * (1.0 / 9007199254740992.0)


def hash_string(text: str) -> int:
    """Turn a text into the integer key of a request.

    The first 8 bytes of BLAKE2b over the UTF-8 text, big-endian, with the top bit cleared
    (RFC 7693): unsalted, so that the same client has the same key in every run.

    Examples
    --------
    >>> hash_string("10.0.0.1") == hash_string("10.0.0.1")
    True
    """
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") & 0x7FFFFFFFFFFFFFFF

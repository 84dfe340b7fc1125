"""Hashes that give the same answer in every process, every engine and every year.

Python's own ``hash`` of a string is salted per process, so it can serve neither a session
table that survives a restart nor a simulation that must repeat. Two functions do:
`hash64` mixes integers (policies use it, interpreted and compiled), and `hash_string` turns
a text (a cookie, a client address) into the integer key of a request.
"""

import hashlib

__all__ = ["hash64", "hash_string", "uniform"]

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
    (6791897765849424158, 2694767571189862439)
    """
    return _mix(_mix(int(salt)) ^ int(key)) >> 1


def _mix(x: int) -> int:
    z = (x + _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


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

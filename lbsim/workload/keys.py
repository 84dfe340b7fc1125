"""Keys: the int64 that stands for a session or a client.

A string becomes a key by one stated hash without a salt, so that the same name is the same key in
every run, process and language: the first 8 bytes, big-endian, of BLAKE2b with an 8-byte digest of
the UTF-8 text, with the top bit cleared (keys are not negative; -1 says that there is none).
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lbsim.errors import InputError

NO_KEY = -1
_LOW_63_BITS = 0x7FFF_FFFF_FFFF_FFFF


def hash_string(text: str) -> int:
    """Return the key of a string.

    Parameters
    ----------
    text : str
        A session id, a client address, a user name.

    Returns
    -------
    int
        From 0 to 2⁶³ - 1.

    Examples
    --------
    >>> hash_string("198.51.100.7") == hash_string("198.51.100.7") >= 0
    True
    """
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") & _LOW_63_BITS


def keys_of(values: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
    """Return int64 keys: whole numbers as they are, strings hashed, missing ones -1.

    Strings that all look like whole numbers are still strings: a reader that knows better converts
    them first.

    Parameters
    ----------
    values : sequence of int or str
        None, the empty string and NaN mean that there is no key.

    Returns
    -------
    ndarray of int64
    """
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        if array.dtype.kind == "u" and array.size and array.max() > _LOW_63_BITS:
            raise InputError(
                f"key = {array.max()} does not fit into int64; mask the top bit (key & (2**63 - 1))"
            )
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        missing = np.isnan(array)
        whole = missing | (array == np.floor(array))
        if not whole.all():
            raise InputError(
                f"key = {array[~whole][0]!r} is neither a whole number nor a string; "
                "give integers or strings"
            )
        return np.where(missing, NO_KEY, array).astype(np.int64)
    memo: dict[str, int] = {"": NO_KEY}
    hashed = np.empty(array.size, dtype=np.int64)
    for i, value in enumerate(array.ravel().tolist()):
        text = "" if value is None or value != value else str(value)
        key = memo.get(text)
        if key is None:
            key = memo[text] = hash_string(text)
        hashed[i] = key
    return hashed


def mixed(numbers: NDArray[np.uint64], salt: int) -> NDArray[np.int64]:
    """Spread numbered sessions over all keys by SplitMix64 (Steele, Lea, Flood 2014).

    Sessions that are simply 0, 1, 2, … would share themselves out evenly under any modulo, which
    flatters every hash policy.
    """
    # uint64 arithmetic wraps, as SplitMix64 wants.
    z = (numbers + np.uint64(salt)) * np.uint64(0x9E37_79B9_7F4A_7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    z ^= z >> np.uint64(31)
    return (z & np.uint64(_LOW_63_BITS)).astype(np.int64)

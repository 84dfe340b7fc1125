"""Keys: the int64 that stands for a session or a client."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lbsim.errors import InputError
from lbsim.hashing import hash_string

__all__ = ["NO_KEY", "keys_of"]

NO_KEY = -1
_LOW_63_BITS = 0x7FFF_FFFF_FFFF_FFFF


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

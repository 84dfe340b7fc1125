"""What every statistic asks of its data: finite numbers in one dimension, and enough of them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lbsim.errors import InputError

FloatArray = NDArray[np.float64]

# Replications of a deterministic system differ by rounding only; that is no spread.
ROUNDING = 1e-12


def sample(owner: str, values: ArrayLike, least: int = 1) -> FloatArray:
    """Return `values` as a one-dimensional float array.

    Parameters
    ----------
    owner : str
        Who asks, for the message.
    values : array_like of float, shape (n,)
    least : int, default 1
        How many values are needed.

    Raises
    ------
    InputError
        If there are fewer, or one is NaN or infinite.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{owner}: values must be numbers; drop what is not") from None
    if array.ndim != 1:
        raise InputError(
            f"{owner}: values has {array.ndim} dimensions, not 1; give one series at a time"
        )
    if array.size < least:
        raise InputError(
            f"{owner}: {array.size} values are too few, at least {least} are needed; give more data"
        )
    finite = np.isfinite(array)
    if not finite.all():
        place = int(np.argmin(finite))
        raise InputError(
            f"{owner}: values[{place}] = {array[place]:g} is not finite ({int((~finite).sum())} "
            "such values); leave out requests without an answer first"
        )
    return array


def probabilities(owner: str, q: ArrayLike) -> FloatArray:
    """Return `q` as a one-dimensional array of probabilities strictly between 0 and 1."""
    array = np.atleast_1d(np.asarray(q, dtype=np.float64))
    inside = (array > 0.0) & (array < 1.0)
    if array.ndim != 1 or not inside.all():
        raise InputError(
            f"{owner}: q = {q!r} must lie strictly between 0 and 1; write 0.99 for p99"
        )
    return array


def is_constant(array: FloatArray) -> bool:
    """Return True if the values do not differ by more than rounding."""
    return bool(np.ptp(array) <= ROUNDING * np.max(np.abs(array)))

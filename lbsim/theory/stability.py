"""The condition behind every formula: work must come in more slowly than it can be done."""

import numpy as np
from numpy.typing import ArrayLike

from lbsim import checks
from lbsim.errors import InputError
from lbsim.stats.samples import FloatArray, probabilities

__all__ = ["as_rates", "checked_load", "checked_quantile", "stable_load"]


def stable_load(model: str, arrival_rate: float, capacity: float) -> float:
    """Return arrival_rate / capacity, or say that it is not below 1.

    Parameters
    ----------
    model : str
        For the message.
    arrival_rate, capacity : float
        Requests per second that come, and that can be served.

    Raises
    ------
    InputError
        If one is not positive, or the load is 1 or more.

    Examples
    --------
    >>> stable_load("M/M/1", 8.0, 10.0)
    0.8
    """
    arrival_rate = checks.positive(model, "arrival_rate", arrival_rate)
    capacity = checks.positive(model, "capacity", capacity)
    return checked_load(model, arrival_rate / capacity)


def checked_load(model: str, load: float) -> float:
    """Return `load` if it lies strictly between 0 and 1."""
    load = checks.positive(model, "load", load)
    if load >= 1.0:
        raise InputError(
            f"{model}: load = {load:g} is not below 1: the queue grows without bound; lower the "
            "arrival rate, or add capacity"
        )
    return load


def checked_quantile(model: str, q: float) -> float:
    """Return `q` if it lies strictly between 0 and 1."""
    return float(probabilities(model, q)[0])


def as_rates(model: str, name: str, values: ArrayLike) -> FloatArray:
    """Return `values` as an array of positive finite numbers."""
    array = np.atleast_1d(np.asarray(values, np.float64))
    for value in array:
        checks.positive(model, name, value)
    return array

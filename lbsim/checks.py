"""Checks of single numbers: each error gives the value, the rule and the remedy."""

import math
from collections.abc import Sequence
from typing import Any

from lbsim.errors import InputError


def real(owner: str, name: str, value: Any) -> float:
    """Return `value` as a float, or say that it is not a number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{owner}: {name} = {value!r} is not a number; give one") from None
    if math.isnan(number):
        raise InputError(f"{owner}: {name} = nan is not a number; give one")
    return number


def positive(owner: str, name: str, value: Any) -> float:
    """Return `value` as a float that is finite and above 0."""
    number = real(owner, name, value)
    if not 0.0 < number < math.inf:
        raise InputError(f"{owner}: {name} = {number:g} must be finite and above 0; change {name}")
    return number


def not_negative(owner: str, name: str, value: Any) -> float:
    """Return `value` as a float that is finite and at least 0."""
    number = real(owner, name, value)
    if not 0.0 <= number < math.inf:
        raise InputError(
            f"{owner}: {name} = {number:g} must be finite and not negative; change {name}"
        )
    return number


def share(owner: str, name: str, value: Any) -> float:
    """Return `value` as a float between 0 and 1."""
    number = real(owner, name, value)
    if not 0.0 <= number <= 1.0:
        raise InputError(f"{owner}: {name} = {number:g} must lie between 0 and 1; change {name}")
    return number


def count(owner: str, name: str, value: Any, least: int = 1) -> int:
    """Return `value` as an int that is at least `least`."""
    number = real(owner, name, value)
    if number != math.floor(number) or number < least:
        raise InputError(
            f"{owner}: {name} = {value!r} must be a whole number of at least {least}; change {name}"
        )
    return int(number)


def shares(owner: str, name: str, values: Sequence[Any]) -> tuple[float, ...]:
    """Return `values` as shares that add up to 1."""
    parts = tuple(share(owner, name, value) for value in values)
    total = math.fsum(parts)
    if abs(total - 1.0) > 1e-9:
        raise InputError(f"{owner}: {name} add up to {total:g}, not 1; divide each by their sum")
    return parts

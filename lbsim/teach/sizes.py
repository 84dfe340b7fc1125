"""Small runs for automatic checks.

The tests execute every notebook with ``LBSIM_QUICK=1`` in the environment. The numbers in a
notebook's text are those of the full size.
"""

import os

__all__ = ["is_quick", "size"]


def is_quick() -> bool:
    """Say whether the environment asks for small runs."""
    return os.environ.get("LBSIM_QUICK", "0") not in ("", "0")


def size(full: int, quick: int = 1000) -> int:
    """Return how many requests (replications, loads, …) to use.

    Parameters
    ----------
    full : int
        For a reader.
    quick : int, default 1000
        With ``LBSIM_QUICK=1``, if it is less.

    Examples
    --------
    >>> size(20_000) in (20_000, 1000)
    True
    """
    return min(full, quick) if is_quick() else full

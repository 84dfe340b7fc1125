"""An array that is made when somebody looks at it, if anybody ever does."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Later"]


class Later:
    """Stands for ``make(*arguments)``, and can be read like the array.

    Parameters
    ----------
    make : callable
        A function of a module, so that it can be pickled.
    *arguments : ndarray

    Examples
    --------
    >>> squares = Later(np.square, np.arange(3))
    >>> len(squares), squares[1:].tolist(), np.asarray(squares).sum()
    (3, [1, 4], np.int64(5))
    """

    def __init__(self, make: Callable[..., np.ndarray], *arguments: np.ndarray) -> None:
        self._make = make
        self._arguments = arguments
        self._made: np.ndarray | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._made is None:
            self._made = self._make(*self._arguments)
            self._arguments = ()
        return np.array(self._made, dtype, copy=copy)

    def __getitem__(self, rows: Any) -> Any:
        return np.asarray(self)[rows]

    def __len__(self) -> int:
        return len(np.asarray(self))

    @property
    def dtype(self) -> Any:
        """The type of its elements."""
        return np.asarray(self).dtype

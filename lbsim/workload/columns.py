"""The columns of a workload: one row a request, one array a column."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lbsim.errors import InputError
from lbsim.workload.arrivals import BLOCK
from lbsim.workload.keys import NO_KEY, keys_of
from lbsim.workload.laws import FloatArray

__all__ = ["Columns", "IntArray", "constant", "from_given", "join", "recut"]

IntArray = NDArray[np.int64]


class Columns(NamedTuple):
    """All columns; every array has shape (n,)."""

    arrival: FloatArray
    cpu: FloatArray
    wait: FloatArray
    key: IntArray
    kind: IntArray
    priority: IntArray
    size: FloatArray
    payload: FloatArray
    client: IntArray
    think: FloatArray

    def take(self, rows: Any) -> "Columns":
        """Return some rows: a slice, indices or flags."""
        return Columns._make(column[rows] for column in self)

    def stretched(self, factor: float, keep: str) -> "Columns":
        """Return the rows at 1 / `factor` of their load: longer gaps, or less work each.

        ``keep`` says what stays, "service" or "arrival".
        """
        if keep == "service":
            first = self.arrival[0]
            return self._replace(arrival=first + (self.arrival - first) * factor)
        return self._replace(
            cpu=self.cpu / factor, wait=self.wait / factor, size=self.size / factor
        )

    def frozen(self) -> "Columns":
        """Return the same columns, read-only."""
        for column in self:
            column.flags.writeable = False
        return self


def join(parts: Sequence[Columns]) -> Columns:
    """Join pieces of a workload end to end.

    Columns whose pieces are the same arrays are joined once: half of them are constant.
    """
    joined: dict[tuple[Any, ...], Any] = {}
    found = []
    for pieces in zip(*parts, strict=True):
        key = (pieces[0].dtype, *((piece.ctypes.data, len(piece)) for piece in pieces))
        if key not in joined:
            is_lasting = len(pieces) == 1 and _is_constant(pieces[0])
            joined[key] = pieces[0] if is_lasting else np.concatenate(pieces)
        found.append(joined[key])
    return Columns._make(found)


@lru_cache(maxsize=32)
def constant(value: float, kind: type[np.float64] | type[np.int64]) -> Any:
    """Return a block of equal numbers, read-only; the same array for all who ask."""
    block = np.full(BLOCK, value, kind)
    block.flags.writeable = False
    return block


def _is_constant(piece: Any) -> bool:
    """Say whether a column is part of a `constant`: what is drawn is read-only only in views."""
    return piece.base is not None and not piece.base.flags.writeable


def recut(pieces: Iterable[Columns], size: int) -> Iterator[Columns]:
    """Yield the same rows in pieces of `size`, the last one shorter."""
    waiting: list[Columns] = []
    rows = 0
    for piece in pieces:
        if rows == 0 and len(piece.arrival) == size:
            yield piece.frozen()
            continue
        waiting.append(piece)
        rows += len(piece.arrival)
        if rows < size:
            continue
        joined = join(waiting)
        whole = rows - rows % size
        for first in range(0, whole, size):
            yield joined.take(slice(first, first + size)).frozen()
        rows -= whole
        waiting = [joined.take(slice(whole, None))] if rows else []
    if rows:
        yield join(waiting).frozen()


def from_given(
    arrival: Any,
    service: Any,
    wait: Any = None,
    key: Any = None,
    kind: Any = None,
    priority: Any = None,
    size: Any = None,
    payload: Any = None,
) -> tuple[Columns, tuple[str, ...], tuple[str, ...]]:
    """Check what a user gives and make columns of it.

    Returns
    -------
    columns : Columns
        In order of arrival.
    kind_names : tuple of str
        Empty if the kinds were given as numbers.
    notes : tuple of str
        What was changed.
    """
    arrivals = _times("arrival", arrival)
    n = len(arrivals)
    if n == 0:
        raise InputError("arrival is empty; a workload needs at least one request")
    cpu = _times("service", service, n)
    numbers, names = _kinds(kind, n)
    columns = Columns(
        arrival=arrivals,
        cpu=cpu,
        wait=np.zeros(n) if wait is None else _times("wait", wait, n),
        key=np.full(n, NO_KEY, np.int64) if key is None else _length("key", keys_of(key), n),
        kind=numbers,
        priority=_whole("priority", priority, n, "0 is the most urgent"),
        size=_sizes(size, n),
        payload=np.zeros(n) if payload is None else _times("payload", payload, n),
        client=np.full(n, -1, np.int64),
        think=np.zeros(n),
    )
    steps_back = int((np.diff(arrivals) < 0).sum())
    if steps_back == 0:
        return columns, names, ()
    order = np.argsort(arrivals, kind="stable")
    times = "once" if steps_back == 1 else f"{steps_back} times"
    note = f"arrivals were not in order (they stepped back {times}): sorted"
    return columns.take(order), names, (note,)


def _floats(name: str, values: Any, n: int | None) -> FloatArray:
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not numeric ({error}); give an array of numbers") from None
    if array.ndim != 1:
        raise InputError(f"{name} has {array.ndim} dimensions; give one number for each request")
    return _length(name, array, n)


def _length(name: str, array: Any, n: int | None) -> Any:
    if n is not None and len(array) != n:
        raise InputError(f"{name} has {len(array)} values for {n} arrivals; give one for each")
    return array


def _times(name: str, values: Any, n: int | None = None) -> FloatArray:
    array = _floats(name, values, n)
    bad = ~np.isfinite(array) | (array < 0.0)
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"{name}[{first}] = {array[first]:g} must be finite and not negative "
            f"({int(bad.sum())} of {len(array)} values are not); drop or repair these rows"
        )
    return array


def _sizes(values: Any, n: int) -> FloatArray:
    if values is None:
        return np.full(n, np.nan)
    array = _floats("size", values, n)
    bad = (array < 0.0) | np.isinf(array)
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"size[{first}] = {array[first]:g} must be finite and not negative; give NaN for no "
            "estimate"
        )
    return array


def _whole(name: str, values: Any, n: int, meaning: str) -> IntArray:
    if values is None:
        return np.zeros(n, np.int64)
    array = _floats(name, values, n)
    bad = ~((array == np.floor(array)) & (array >= 0.0) & (array < 2.0**53))
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"{name}[{first}] = {array[first]:g} must be a whole number from 0 on; {meaning}"
        )
    return array.astype(np.int64)


def _kinds(values: Any, n: int) -> tuple[IntArray, tuple[str, ...]]:
    if values is None:
        return np.zeros(n, np.int64), ()
    array = np.asarray(values)
    if array.dtype.kind in "iuf":
        return _whole("kind", array, n, "or give names"), ()
    names, numbers = np.unique(_length("kind", array.astype(str), n), return_inverse=True)
    return numbers.astype(np.int64), tuple(str(name) for name in names)

"""Ctrl-C that stops a loop between two steps, so that what is done stays whole."""

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, Self

__all__ = ["Interrupt", "all_or_nothing"]

_is_off: ContextVar[bool] = ContextVar("_is_off", default=False)


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """Within this context Ctrl-C raises KeyboardInterrupt: half a result would be of no use."""
    before = _is_off.set(True)
    try:
        yield
    finally:
        _is_off.reset(before)


class Interrupt:
    """Within this context the first Ctrl-C sets `wanted`; a second one interrupts as usual.

    Only the main thread hears Ctrl-C, and only where nobody else has taken it over; elsewhere,
    and within `all_or_nothing`, the context does nothing.

    Attributes
    ----------
    wanted : bool
        The loop should come to an end.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._before: Any = None

    def __enter__(self) -> Self:
        is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if is_ours and not _is_off.get() and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def warn(self, done: int, total: int) -> None:
        """Say, if it was wanted, that not all requests are done."""
        if self.wanted and done < total:
            warnings.warn(
                f"interrupted: {done:,} of {total:,} requests are done, the others are unfinished",
                stacklevel=2,
            )

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True

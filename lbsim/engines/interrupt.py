"""Ctrl-C that stops a loop between two steps, so that what is done stays whole."""

import signal
import threading
from types import FrameType
from typing import Any, Self

__all__ = ["Interrupt"]


class Interrupt:
    """Within this context the first Ctrl-C sets `wanted`; a second one interrupts as usual.

    Only the main thread hears Ctrl-C, and only where nobody else has taken it over; elsewhere
    the context does nothing.

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
        if is_ours and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True

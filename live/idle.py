"""How much of its time an event loop has nothing to do.

An event loop waits in one place: its selector. Time that is not spent there is spent in handlers,
so its share says how busy the loop is, as Node.js's "event loop utilization" does. Blocking work
counts whether it computes or sleeps, which the processor time would not show.
"""

import selectors
import time

__all__ = ["IdleClock"]


class IdleClock(selectors.DefaultSelector):
    """A selector that adds up how long it has waited.

    Attributes
    ----------
    waited_s : float
        Seconds in `select` since it was made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as any selector does, and count the time; a look without waiting takes none."""
        if timeout is not None and timeout <= 0.0:
            return super().select(timeout)
        begin = time.monotonic()
        found = super().select(timeout)
        self.waited_s += time.monotonic() - begin
        return found

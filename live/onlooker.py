"""The master's part where the kernel chooses the worker: it counts and writes down."""

import math
import time
from collections.abc import Callable

from lbsim.engines import record
from live import channel
from live.journal import Journal
from live.options import Options

__all__ = ["Onlooker"]


class Onlooker:
    """Hears what workers do that accept for themselves (`live.supervisor.Owner`)."""

    needs_ack = False
    cookie = ledger = None
    is_quiet = True

    def __init__(self, n: int, options: Options) -> None:
        self.journal = Journal(n, options.trace)
        self.counts = self.journal.counts
        self.log = self.journal.log
        self.hooks: dict[int, Callable[[int, channel.Message], None]] = {}

    def tick(self, now: float) -> None:
        """Nothing is put off."""

    def flush(self) -> None:
        """Nothing is handed over."""

    def close(self) -> None:
        """Nothing is open."""

    def worker_is_up(self, index: int) -> None:
        """A worker accepts."""
        self.log("up", worker=index)
        self.journal.happened(time.monotonic(), record.CAME_UP, index)

    def worker_is_leaving(self, index: int) -> None:
        """A worker accepts nothing more."""
        self.journal.happened(time.monotonic(), record.LEAVING, index)

    def worker_is_down(self, index: int, was_asked: bool) -> None:
        """A worker is gone, and what it had with it."""
        self.journal.gone(time.monotonic(), index, was_asked)

    def worker_reports(self, index: int, busy: float) -> None:
        """Nobody is to decide by it."""

    def worker_says(self, index: int, message: channel.Message) -> None:
        """A worker has answered."""
        if message.kind == channel.LATER:
            self.counts["later"] += int(message.second)
            self.journal.later(index, message.payload)
        elif message.kind == channel.FINISHED or (
            message.kind == channel.CLOSED and not math.isnan(message.second)
        ):
            was_answered = message.kind == channel.FINISHED or bool(message.flags & channel.LAST)
            self.counts["answered" if was_answered else "closed_unanswered"] += 1
            if was_answered:
                self.journal.tally.add(index, message.third - message.first)
            self._write_down(index, message, was_answered)
        elif message.kind in self.hooks:
            self.hooks[message.kind](index, message)

    def _write_down(self, index: int, message: channel.Message, was_answered: bool) -> None:
        if self.journal.trace is not None:
            identity = int.from_bytes(message.payload, "little", signed=True)
            ending = record.ANSWERED if was_answered else record.WASTED
            self.journal.trace.handover(
                identity, message.serial, index, 1, -1, 0, 0, ending, message.first, math.nan,
                math.nan, math.nan, message.first, message.second, message.third, time.monotonic(),
                message.value,
            )  # fmt: skip

"""One slot of the crew, what its worker says of itself, and what a supervisor tells of it."""

import math
import socket
import struct
from collections import deque
from typing import Any, NamedTuple, Protocol

from live import channel

__all__ = [
    "BOOTING", "BUSY", "DOWN", "FAILED", "LEAVING", "RETIRED", "STATES", "UP",
    "Health", "Owner", "Worker",
]  # fmt: skip

BUSY = struct.Struct("<d")
"""What a heartbeat has besides: seconds in which the loop was not waiting."""

DOWN, BOOTING, UP, LEAVING, FAILED, RETIRED = range(6)
STATES = ("down", "booting", "up", "leaving", "failed", "retired")
"""Down: dead, to be restarted. Failed: it cannot boot. Retired: scaled away."""


class Health(NamedTuple):
    """What a worker last said of itself."""

    connections: int = 0
    lag_s: float = 0.0
    """How late its event loop was."""
    cpu_s: float = 0.0
    """Processor time since it was born."""
    at: float = 0.0
    """When it said so (CLOCK_MONOTONIC)."""
    resident: float = 0.0
    """Bytes of memory."""
    busy_s: float = 0.0
    """Time since it serves in which its event loop was not waiting (`live.idle`)."""


class Worker:
    """One slot of the crew; the process in it changes, the index does not."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.state = DOWN
        self.pid = -1
        self.pidfd = -1
        self.end: socket.socket | None = None
        self.reports: channel.Reports | None = None
        self.outbox: deque[tuple[bytes, socket.socket | None]] = deque()
        self.is_full = False  # its channel takes no more just now
        self.born = self.beat = self.restart_at = 0.0
        self.crashes = 0
        self.failed_boots = 0
        self.lives = 0  # processes that it has had
        self.has_served = False
        self.is_retiring = False
        self.leave_by = math.inf
        self.health = Health()

    def hear_beat(self, message: channel.Message) -> float:
        """Keep what a heartbeat says; return how busy it was since the last, NaN if it is a first.

        A loop that waits for threads is not busy, but its processor may be.
        """
        _, _, connections, lag, cpu, at, resident, *_ = message
        (busy,) = BUSY.unpack(message.payload)
        before, self.health = self.health, Health(connections, lag, cpu, at, resident, busy)
        if before.at == 0.0:
            return math.nan
        used = max(busy - before.busy_s, cpu - before.cpu_s) / (at - before.at)
        return min(max(used, 0.0), 1.0)

    @property
    def is_alive(self) -> bool:
        """Whether there is a process."""
        return self.state in (BOOTING, UP, LEAVING)


class Owner(Protocol):
    """What the supervisor tells the master."""

    def worker_is_up(self, index: int) -> None:
        """A worker is ready."""

    def worker_is_leaving(self, index: int) -> None:
        """A worker is to get nothing more."""

    def worker_is_down(self, index: int, was_asked: bool) -> None:
        """A worker's process is gone."""

    def worker_reports(self, index: int, busy: float) -> None:
        """A worker was busy for such a share of the time since its last heartbeat."""

    def worker_says(self, index: int, message: channel.Message) -> None:
        """A worker reports on a connection."""

    def log(self, event: str, **fields: Any) -> None:
        """Something worth a line has happened."""

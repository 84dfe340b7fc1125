"""Where each session is at home, as the simulator has it: at the worker that served it last.

A table in a file that all workers map into memory: for each session the process that has it. A
worker that is asked for a session which is at home elsewhere must fetch it, and is then its home;
a process that was restarted is another one, so a death loses its sessions.
"""

import mmap
import os
import struct
from pathlib import Path

import numpy as np

__all__ = ["Homes"]

_PID = struct.Struct("<q")


class Homes:
    """The homes of a workload's sessions.

    Parameters
    ----------
    path : Path
        Of the table's file, which is made.
    keys : ndarray of int64
        Session keys; -1 is none.
    """

    def __init__(self, path: Path, keys: np.ndarray) -> None:
        self.path = path
        self.place = {str(key): i for i, key in enumerate(np.unique(keys[keys >= 0]).tolist())}
        path.write_bytes(bytes(_PID.size * max(1, len(self.place))))

    def open(self) -> "_Table":
        """Map the table into a worker's memory."""
        return _Table(self.path, self.place)


class _Table:
    """A store of sessions (`live.stores.Store`) that keeps only where they are."""

    is_shared = True

    def __init__(self, path: Path, place: dict[str, int]) -> None:
        with path.open("r+b") as file:
            self._table = mmap.mmap(file.fileno(), 0)
        self._place = place
        self._me = os.getpid()

    def get(self, key: str) -> bytes | None:
        """Return something if the session is here, or is new; None if it is elsewhere."""
        at = self._place.get(key)
        if at is None:
            return b"unknown"
        (home,) = _PID.unpack_from(self._table, at * _PID.size)
        if home == 0:
            self.put(key, b"")
        return b"here" if home in (0, self._me) else None

    def put(self, key: str, value: bytes) -> None:
        """Make this worker the session's home."""
        at = self._place.get(key)
        if at is not None:
            _PID.pack_into(self._table, at * _PID.size, self._me)

    def delete(self, key: str) -> None:
        """Let the session be at home nowhere."""
        at = self._place.get(key)
        if at is not None:
            _PID.pack_into(self._table, at * _PID.size, 0)

    def close(self) -> None:
        """Unmap the table."""
        self._table.close()

"""What the master writes down of each handover: fixed structs, read back by NumPy.

All times are CLOCK_MONOTONIC in seconds, NaN for what did not happen; those of a worker are its
own stamps. The clock is the same in all processes of a machine.
"""

import math
import struct
from pathlib import Path

import numpy as np

__all__ = ["HAPPENED", "TRACE", "Writer", "read", "read_happenings"]

TRACE = np.dtype(
    [
        (name, np.int64)
        for name in ("id", "serial", "worker", "attempt", "key", "kind", "status", "ending")
    ]
    + [
        (name, np.float64)
        for name in (
            "accept", "read", "decided", "handed", "accepted", "started", "finished", "ended",
            "miss",
        )
    ]
)  # fmt: skip
"""One record a handover, and one (worker -1, with its `status`) for each request the master
answered itself. `id`: what the client called the request, -1 if nothing. `accept`: the master
accepted the connection; `read`: the request was there; `decided`: the policy had chosen,
or a worker took what was held; `handed`: the socket had been passed;
`accepted`, `started`, `finished`: the worker took it, called the application, had the answer;
`ended`: the master learned of it. `ending` as in `lbsim.engines.record.ENDINGS`."""

HAPPENED = np.dtype(
    [("time", np.float64), ("what", np.int64), ("worker", np.int64), ("value", np.float64)]
)
"""One record for what happened to a worker; `what` as in `lbsim.engines.record.HAPPENINGS`."""

_HANDOVER = struct.Struct("<8q9d")
_HAPPENING = struct.Struct("<dqqd")
_ENOUGH = 1 << 16


class Writer:
    """Appends records to a file, and what happens to workers to a second one beside it."""

    def __init__(self, path: str) -> None:
        self._rows = Path(path).open("wb")  # noqa: SIM115  # open as long as we are
        self._happenings = Path(path + ".workers").open("wb")  # noqa: SIM115
        self._buffer = bytearray()

    def handover(self, *values: float) -> None:
        """Write one record of `TRACE`."""
        self._buffer += _HANDOVER.pack(*values)
        if len(self._buffer) > _ENOUGH:
            self.flush()

    def happened(self, now: float, what: int, worker: int, value: float = math.nan) -> None:
        """Write one record of `HAPPENED`."""
        self._happenings.write(_HAPPENING.pack(now, what, worker, value))

    def flush(self) -> None:
        """Give the file what is here."""
        self._rows.write(self._buffer)
        self._buffer.clear()
        self._rows.flush()
        self._happenings.flush()

    def close(self) -> None:
        """Write the rest."""
        self.flush()
        self._rows.close()
        self._happenings.close()


def read(path: str) -> np.ndarray:
    """Return the records of a trace, in the order in which the master learned of the ends."""
    return np.fromfile(path, TRACE)


def read_happenings(path: str) -> np.ndarray:
    """Return what happened to workers during a trace, in order of time."""
    return np.fromfile(path + ".workers", HAPPENED)

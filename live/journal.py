"""What a master writes down: counts, lines of JSON, and the trace."""

import contextlib
import json
import sys
import time
from collections import Counter
from typing import Any

import numpy as np

from lbsim.engines import record
from live.tally import Tally
from live.trace import Writer

__all__ = ["Journal"]


class Journal:
    """Counts, writes a line of JSON for what matters, and keeps the trace if there is one."""

    def __init__(self, workers: int, trace: str | None) -> None:
        self.counts: Counter[str] = Counter()
        self.tally = Tally(workers)
        self.trace = Writer(trace) if trace is not None else None

    def log(self, event: str, **fields: Any) -> None:
        """Write one line of JSON to standard output."""
        with contextlib.suppress(OSError):  # whoever read it has gone; that is no reason to stop
            sys.stdout.write(json.dumps({"event": event, "time": time.time(), **fields}) + "\n")
            sys.stdout.flush()

    def later(self, worker: int, responses: bytes) -> None:
        """Count further answers on kept connections: float32 each, in seconds."""
        for seconds in np.frombuffer(responses, np.float32).tolist():
            self.tally.add(worker, seconds)

    def happened(self, now: float, what: int, worker: int) -> None:
        """Write down what happened to a worker."""
        if self.trace is not None:
            self.trace.happened(now, what, worker)

    def gone(self, now: float, worker: int, was_asked: bool) -> None:
        """Write down that a worker has left, or has died and we know of it."""
        if was_asked:
            self.happened(now, record.STOPPED, worker)
        else:
            self.happened(now, record.CRASHED_AT, worker)
            self.happened(now, record.NOTICED, worker)

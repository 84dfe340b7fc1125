"""Faults happen, dead workers are restarted, reloads roll.

The supervisor's part that the master needs whenever a worker has one request less; the rest is
in `mishaps` (`lbsim.engines.readable.supervisor`).
"""

import math

from lbsim.engines import plan as p
from lbsim.engines import record
from lbsim.engines.compiled.general import notes, workers
from lbsim.engines.compiled.general.calendar import push
from lbsim.engines.compiled.general.layout import ALIVE, LEAVING, Faults, State

__all__ = ["restart", "served"]


def served(s: State, faults: Faults | None, now: float, worker: int) -> None:
    """Hear that a worker has one request less: one that is leaving may now be empty."""
    if (
        faults is not None
        and worker == s.count[LEAVING]
        and s.worker[worker, ALIVE]
        and s.core.in_flight[worker] == 0
    ):
        notes.happened(s, now, record.STOPPED, worker, 0.0)
        workers.die(s, s.sharing, s.loop, now, worker, False)
        restart(s, now, worker, faults.table.restart)


def restart(s: State, now: float, worker: int, delay: float) -> None:
    """Let a worker be up again after a delay, in seconds."""
    if delay < math.inf:
        push(s, now + delay, p.UP, worker, 0)

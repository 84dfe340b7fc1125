"""The supervisor: faults happen, dead workers are restarted, reloads roll."""

import math
from collections import deque
from typing import TYPE_CHECKING

from lbsim.engines import plan as p
from lbsim.engines import record
from lbsim.physics import restart_delay

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from lbsim.engines.readable.engine import Stage
    from lbsim.engines.readable.workers import Worker

__all__ = ["Supervisor"]


class Supervisor:
    """Works through the schedule of faults and brings workers back."""

    def __init__(self, stage: "Stage") -> None:
        self.stage = stage
        self.env = stage.env
        self.faults = stage.plan.faults
        n = len(stage.workers)
        self.born = [0.0] * n
        self.failures = [0] * n  # crashes in a row
        self.to_reload: deque[int] = deque()
        self.leaving = -1  # the worker whose turn it is in a reload

    def begin(self) -> None:
        """Start on the schedule."""
        self.env.process(self._schedule())

    def _schedule(self) -> "Generator[simpy.Event, None, None]":
        table = self.faults
        first_of_reload = 0
        for i in range(len(table.time)):
            kind, who = int(table.kind[i]), int(table.worker[i])
            number = 0 if kind == p.RELOAD else who
            yield self.env.at(float(table.time[i]), p.FAULT, number, i)
            if kind == p.RELOAD:
                self.to_reload.extend(
                    table.reloads[first_of_reload : first_of_reload + who].tolist()
                )
                first_of_reload += who
                self._reload_next()
                continue
            worker = self.stage.workers[who]
            if kind == p.CRASH:
                self._crash(worker)
            elif kind == p.SPEED:
                self.stage.notes.happened(self.env.now, record.SPEED_CHANGED, who, table.value[i])
                worker.set_speed(float(table.value[i]))
            elif kind == p.HANG and worker.is_alive:
                self.stage.notes.happened(self.env.now, record.HUNG, who)
                worker.hang()
            elif kind == p.RESUME and worker.is_hung:
                self.stage.notes.happened(self.env.now, record.RESUMED, who)
                worker.resume()

    # --- crashes -----------------------------------------------------------------------------

    def _crash(self, worker: "Worker") -> None:
        if not worker.is_alive:
            return
        now = self.env.now
        self.stage.notes.happened(now, record.CRASHED_AT, worker.index)
        for ticket in worker.die():
            self.stage.notes.ended(now, ticket, record.CRASHED)
        if now - self.born[worker.index] >= self.faults.healthy:
            self.failures[worker.index] = 0
        n_faults = len(self.faults.time)  # a ticket number that no scheduled fault has
        self.env.at(now + self.faults.detect, p.FAULT, worker.index, n_faults, self._notice, worker)

    def _notice(self, worker: "Worker") -> None:
        """The master learns of a crash, and the worker is restarted."""
        self.stage.notes.happened(self.env.now, record.NOTICED, worker.index)
        failures = self.failures[worker.index]
        self.failures[worker.index] += 1
        faults = self.faults
        self._restart(
            worker, restart_delay(faults.restart, faults.backoff, faults.backoff_limit, failures)
        )
        self.stage.master.worker_down(worker.index)

    def _restart(self, worker: "Worker", delay: float) -> None:
        if delay < math.inf:
            self.env.at(self.env.now + delay, p.UP, worker.index, 0, self.boot, worker)

    def boot(self, worker: "Worker") -> None:
        """A worker is up, for the first time or again."""
        self.born[worker.index] = self.env.now
        self.stage.notes.happened(self.env.now, record.CAME_UP, worker.index)
        worker.boot()
        self.stage.master.worker_up(worker.index)
        if worker.index == self.leaving:
            self.leaving = -1
            self._reload_next()

    # --- rolling reload ----------------------------------------------------------------------

    def _reload_next(self) -> None:
        while self.leaving < 0 and self.to_reload:
            index = self.to_reload.popleft()
            if not self.stage.master.core.is_up[index]:
                continue  # it is dead and comes back renewed anyway
            self.leaving = index
            self.stage.notes.happened(self.env.now, record.LEAVING, index)
            self.stage.master.worker_leaving(index)
            self.served(index)

    def served(self, index: int) -> None:
        """Hear that a worker has one request less: one that is leaving may now be empty."""
        worker = self.stage.workers[index]
        is_empty = self.stage.master.core.in_flight[index] == 0
        if index == self.leaving and worker.is_alive and is_empty:
            self.stage.notes.happened(self.env.now, record.STOPPED, index)
            worker.die()
            self._restart(worker, self.faults.restart)

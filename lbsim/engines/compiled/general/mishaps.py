"""Crashes, restarts and reloads, and what becomes of the requests they meet."""

from lbsim import dispatch
from lbsim.engines import plan as p
from lbsim.engines import record
from lbsim.engines.compiled.general import notes, workers
from lbsim.engines.compiled.general.calendar import push
from lbsim.engines.compiled.general.clients import act, is_served
from lbsim.engines.compiled.general.handover import follow, settle
from lbsim.engines.compiled.general.layout import (
    ALIVE,
    AT_WORKERS,
    BORN,
    FAILED,
    FAILURES,
    FAULT_NEXT,
    HUNG,
    LEAVING,
    RELOAD_END,
    RELOAD_FIRST,
    Faults,
    Master,
    Sharing,
    State,
)
from lbsim.engines.compiled.general.supervisor import restart, served
from lbsim.physics import restart_delay
from lbsim.policy import Policy
from lbsim.queues import NONE

__all__ = ["boot", "fault", "schedule_fault"]


def schedule_fault(s: State, faults: Faults) -> None:
    """Schedule the next fault of the table, if there is one."""
    i = s.count[FAULT_NEXT]
    table = faults.table
    if i < len(table.time):
        worker = 0 if table.kind[i] == p.RELOAD else table.worker[i]
        push(s, table.time[i], p.FAULT, worker, i)


def fault(s: State, faults: Faults, policy: Policy, now: float, worker: int, number: int) -> None:
    """A fault of the table happens, or the master learns of a crash."""
    table = faults.table
    if number == len(table.time):  # a number that no scheduled fault has
        _notice(s, faults, policy, now, worker)
        return
    kind = table.kind[number]
    value = table.value[number]
    if kind == p.RELOAD:
        s.count[RELOAD_END] += table.worker[number]
        _reload_next(s, faults, policy, now)
    elif kind == p.CRASH:
        if s.worker[worker, ALIVE]:
            _crash(s, faults, now, worker)
    elif kind == p.SPEED:
        notes.happened(s, now, record.SPEED_CHANGED, worker, value)
        workers.set_speed(s, now, worker, value)
    elif kind == p.HANG and s.worker[worker, ALIVE]:
        notes.happened(s, now, record.HUNG, worker, 0.0)
        workers.hang(s, now, worker)
    elif kind == p.RESUME and s.worker[worker, HUNG]:
        notes.happened(s, now, record.RESUMED, worker, 0.0)
        workers.resume(s, now, worker)
        settle(s, s.sharing, s.loop, policy, now, worker, False)
        _acknowledge(s, s.sharing, policy, now, worker)
    s.count[FAULT_NEXT] = number + 1
    schedule_fault(s, faults)


def _acknowledge(s: State, share: Sharing | None, policy: Policy, now: float, worker: int) -> None:
    """A worker that shares says that it has taken what was handed over while it hung."""
    if share is not None:
        found = dispatch.accepted(s.core, policy, now, worker)
        follow(s, s.master, policy, now, worker, found)


# --- crashes ---------------------------------------------------------------------------------


def _crash(s: State, faults: Faults, now: float, worker: int) -> None:
    notes.happened(s, now, record.CRASHED_AT, worker, 0.0)
    workers.die(s, s.sharing, s.loop, now, worker, True)
    if now - s.pace[worker, BORN] >= faults.table.healthy:
        s.worker[worker, FAILURES] = 0
    push(s, now + faults.table.detect, p.FAULT, worker, len(faults.table.time))


def _notice(s: State, faults: Faults, policy: Policy, now: float, worker: int) -> None:
    """The master learns of a crash, and the worker is restarted."""
    notes.happened(s, now, record.NOTICED, worker, 0.0)
    failures = s.worker[worker, FAILURES]
    s.worker[worker, FAILURES] += 1
    table = faults.table
    delay = restart_delay(table.restart, table.backoff, table.backoff_limit, failures)
    restart(s, now, worker, delay)
    s.count[AT_WORKERS] -= s.core.in_flight[worker]
    _dispatch_again(s, s.master, policy, now, dispatch.take_down(s.core, policy, now, worker))


def _dispatch_again(
    s: State, master: Master | None, policy: Policy, now: float, found: int
) -> None:
    for i in range(found):
        ticket = s.core.again[i]
        if s.core.attempts[ticket] > 0:  # otherwise it was only held for this worker
            notes.ended(s, now, ticket, record.CRASHED)
        if master is not None:
            master.handing[ticket] = NONE
        if is_served(s.patience, ticket):
            answer = dispatch.retry_due(s.core, policy, now, ticket)
            worker = act(s, s.master, now, ticket, answer, False)
            if worker != NONE:
                settle(s, s.sharing, s.loop, policy, now, worker, True)
            if s.count[FAILED] != NONE:
                return


def boot(s: State, faults: Faults | None, policy: Policy, now: float, worker: int) -> None:
    """A worker is up, for the first time or again."""
    s.pace[worker, BORN] = now
    notes.happened(s, now, record.CAME_UP, worker, 0.0)
    workers.boot(s, worker)
    found = dispatch.worker_up(s.core, policy, now, worker)
    follow(s, s.master, policy, now, worker, found)
    if faults is not None and worker == s.count[LEAVING]:
        s.count[LEAVING] = NONE
        _reload_next(s, faults, policy, now)


# --- rolling reload --------------------------------------------------------------------------


def _reload_next(s: State, faults: Faults, policy: Policy, now: float) -> None:
    while s.count[LEAVING] == NONE and s.count[RELOAD_FIRST] < s.count[RELOAD_END]:
        worker = faults.table.reloads[s.count[RELOAD_FIRST]]
        s.count[RELOAD_FIRST] += 1
        if s.core.is_up[worker]:  # otherwise it is dead and comes back renewed anyway
            s.count[LEAVING] = worker
            notes.happened(s, now, record.LEAVING, worker, 0.0)
            found = dispatch.take_out(s.core, policy, now, worker)
            _dispatch_again(s, s.master, policy, now, found)
            served(s, s.faults, now, worker)

"""What all workers have in common: who can work, and how a service begins."""

from lbsim.engines.compiled.general import notes
from lbsim.engines.compiled.general.layout import (
    ALIVE,
    DUE,
    HUNG,
    LIVES,
    Faults,
    State,
)
from lbsim.queues import NONE

__all__ = ["can_work", "drop_if_gone", "is_alive", "is_due", "note_start", "row_of"]


def row_of(s: State, ticket: int) -> int:
    """Return the request behind a ticket."""
    return ticket if s.copies == 1 else ticket // s.copies


def is_alive(s: State, faults: Faults | None, worker: int) -> bool:
    """Say whether a worker exists."""
    if faults is None:
        return True
    return s.worker[worker, ALIVE] != 0


def can_work(s: State, faults: Faults | None, worker: int) -> bool:
    """Say whether a worker exists and does not stand still."""
    if faults is None:
        return True
    return s.worker[worker, ALIVE] != 0 and s.worker[worker, HUNG] == 0


def drop_if_gone(s: State, ticket: int) -> bool:
    """Drop a ticket whose client has given up while it was queued here. Return whether."""
    if s.gone[ticket]:
        s.gone[ticket] = False
        return True
    return False


def note_start(s: State, now: float, worker: int, ticket: int) -> float:
    """Begin to serve a ticket. Return how long it waits, in seconds."""
    row = row_of(s, ticket)
    wait = s.wait[row]
    session = s.session[row]
    miss = False
    if session >= 0:
        # A session lives at a worker, and in one life of it.
        here = s.worker[worker, LIVES] * len(s.worker) + worker
        miss = s.home[session] != here and s.home[session] != NONE
        s.home[session] = here
        if miss:
            wait += s.session_miss
    notes.started(s, now, ticket, miss)
    return wait


def is_due(s: State, time: float, worker: int, ticket: int) -> bool:
    """Say whether a completion counts: the ticket is there and expects to be done now."""
    return s.moment[ticket, DUE] == time and s.core.place[ticket] == worker

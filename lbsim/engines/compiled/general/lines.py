"""The lines in which tickets stand at a worker, linked through `State.ticket`."""

from lbsim.engines.compiled.general.layout import NEXT, PREVIOUS, State
from lbsim.queues import NONE

__all__ = ["append", "remove"]


def append(s: State, worker: int, line: int, ticket: int) -> None:
    """Put a ticket at the end of a line (a column of `State.worker`)."""
    last = s.worker[worker, line + 1]
    s.ticket[ticket, NEXT] = NONE
    s.ticket[ticket, PREVIOUS] = last
    if last == NONE:
        s.worker[worker, line] = ticket
    else:
        s.ticket[last, NEXT] = ticket
    s.worker[worker, line + 1] = ticket


def remove(s: State, worker: int, line: int, ticket: int) -> None:
    """Take a ticket out of a line."""
    before = s.ticket[ticket, PREVIOUS]
    after = s.ticket[ticket, NEXT]
    if before == NONE:
        s.worker[worker, line] = after
    else:
        s.ticket[before, NEXT] = after
    if after == NONE:
        s.worker[worker, line + 1] = before
    else:
        s.ticket[after, PREVIOUS] = before

"""What is written down: a page a handover, and what happens to workers."""

import math

from lbsim.engines import record
from lbsim.engines.compiled.general.layout import AT_WORKERS, HAPPENED, PAGE, PAGES, State

__all__ = ["delivered", "ended", "handed", "happened", "has_started", "started"]


def handed(s: State, ticket: int, worker: int) -> int:
    """Begin a page: the dispatcher gives a ticket to a worker. Return its number."""
    page = s.count[PAGES]
    s.count[PAGES] = page + 1
    s.count[AT_WORKERS] += 1
    s.pages.ticket[page] = ticket
    s.pages.worker[page] = worker
    s.pages.dispatched[page] = math.nan
    s.pages.started[page] = math.nan
    s.pages.ended[page] = math.nan
    s.pages.ending[page] = record.OPEN
    s.pages.miss[page] = False
    s.ticket[ticket, PAGE] = page
    return page


def delivered(s: State, now: float, ticket: int) -> None:
    """The ticket is at its worker."""
    s.pages.dispatched[s.ticket[ticket, PAGE]] = now


def started(s: State, now: float, ticket: int, miss: bool) -> None:
    """The worker begins to serve it."""
    page = s.ticket[ticket, PAGE]
    s.pages.started[page] = now
    s.pages.miss[page] = miss


def has_started(s: State, ticket: int) -> bool:
    """Say whether the present handover of a ticket is in service."""
    return not math.isnan(s.pages.started[s.ticket[ticket, PAGE]])


def ended(s: State, now: float, ticket: int, ending: int) -> None:
    """The handover (there is one) is over; the first word on how it ended stays."""
    page = s.ticket[ticket, PAGE]
    if s.pages.ending[page] == record.OPEN:
        s.pages.ended[page] = now
        s.pages.ending[page] = ending


def happened(s: State, now: float, what: int, worker: int, value: float) -> None:
    """Something happened to a worker."""
    number = s.count[HAPPENED]
    s.count[HAPPENED] = number + 1
    s.happenings.time[number] = now
    s.happenings.what[number] = what
    s.happenings.worker[number] = worker
    s.happenings.value[number] = value

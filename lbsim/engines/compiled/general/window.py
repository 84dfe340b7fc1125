"""A run that is about a part of its requests at a time.

The arrays of a run have a row for each request. In a long run most rows are over and done with,
so between two portions of events the rows that are still needed are moved to the front, in the
same order, and rows of new requests follow them. Tickets, pages and rows get new numbers, and
whatever refers to them is translated. Since the order stays, ties are settled as before.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lbsim.dispatch.core import IDLE
from lbsim.engines import plan as p
from lbsim.engines import record
from lbsim.engines.compiled.general import calendar, layout
from lbsim.engines.compiled.general.build import blank_pages, make_state
from lbsim.engines.compiled.general.layout import Master, Patience, Sharing, State, Timers
from lbsim.engines.plan import Plan, new_core
from lbsim.policy import Policy
from lbsim.queues import IN_ORDER, NONE, Queues

__all__ = ["moved", "rows_in_use"]

GONE_PAGE = -2  # a handover that is over: equal to no other number

LINES = (
    layout.QUEUE,
    layout.SERVING,
    layout.READY,
    layout.ACCEPTED,
    layout.ANSWERS,
    layout.ACCEPTS,
    layout.HANDLES,
)


def rows_in_use(s: State) -> np.ndarray:
    """Return the rows that something still refers to, and those that are still to come."""
    in_use = s.outcome == record.UNFINISHED
    tickets = [
        np.flatnonzero(s.core.place != IDLE),
        np.flatnonzero(s.gone),
        s.worker[:, layout.STEP_TICKET],
        s.worker[:, layout.DEPARTING],
        s.count[[layout.JOB_TICKET]] if s.count[layout.BUSY] else np.empty(0, np.int64),
    ]
    size = _without_hole(s)
    keys = s.heap_key[:size]
    tickets.append(calendar.ticket_of(keys[_has_ticket(keys)]))  # type: ignore[arg-type]
    if s.master is not None:
        tickets.append(s.master.job_ticket[_jobs(s, s.master)])
    for found in tickets:
        found = found[found >= 0]
        in_use[found // s.copies] = True
    return np.flatnonzero(in_use)


def moved(s: State, plan: Plan, policy: Policy, rows: np.ndarray) -> State:
    """Return the run with other rows.

    Parameters
    ----------
    s : State
        Of an open loop; its arrays are used no more.
    plan : Plan
        Of the rows that stay, then the new ones.
    policy : Policy
        Prepared.
    rows : ndarray of int64
        From `rows_in_use`: the rows that stay, ascending.
    """
    move = _Move(s, rows)
    blank = new_core(plan, policy)
    core = s.core._replace(
        requests=blank.requests,
        queues=move.queues(s.core.queues, blank.queues),
        place=move.tickets(s.core.place, blank.place),
        attempts=move.tickets(s.core.attempts, blank.attempts),
        handed=move.tickets(s.core.handed, blank.handed),
        again=blank.again,
        passed=blank.passed,
    )
    new = make_state(plan, core)
    ticket = move.tickets(s.ticket, new.ticket)
    kept = ticket[: move.n_tickets]
    for link in (layout.NEXT, layout.PREVIOUS):
        kept[:, link] = move.tickets_of(kept[:, link])
    kept[:, layout.PAGE] = move.pages_of(kept[:, layout.PAGE])
    worker = s.worker
    for line in LINES:
        worker[:, line : line + 2] = move.to_ticket[worker[:, line : line + 2]]
    for place in (layout.STEP_TICKET, layout.DEPARTING):
        worker[:, place] = move.to_ticket[worker[:, place]]
    heap_time, heap_key = move.heap(new)
    count = s.count
    count[layout.ROW] -= len(s.sent) - len(rows)
    count[layout.PAGES] = len(move.pages)
    if count[layout.BUSY]:
        count[layout.JOB_TICKET] = move.to_ticket[count[layout.JOB_TICKET]]
        count[layout.JOB_NUMBER] = move.pages_of(count[layout.JOB_NUMBER])
    return new._replace(
        home=s.home,
        clock=s.clock,
        count=count,
        heap_time=heap_time,
        heap_key=heap_key,
        ticket=ticket,
        moment=move.tickets(s.moment, new.moment),
        gone=move.tickets(s.gone, new.gone),
        worker=worker,
        pace=s.pace,
        sent=move.rows_of(s.sent, new.sent),
        finished=move.rows_of(s.finished, new.finished),
        outcome=move.rows_of(s.outcome, new.outcome),
        answered_by=new.answered_by,
        pages=move.handovers(new),
        happenings=s.happenings,
        patience=move.patience(s.patience, new.patience),
        master=move.master(s.master, new.master),
        sharing=move.sharing(s.sharing, new.sharing),
    )


class _Move:
    """New numbers for old ones; NONE stays NONE, what is left behind becomes NONE."""

    def __init__(self, s: State, rows: np.ndarray) -> None:
        self.s = s
        self.rows = rows
        self.old_tickets = (rows[:, None] * s.copies + np.arange(s.copies)).ravel()
        self.n_tickets = len(self.old_tickets)
        self.to_row = _numbering(len(s.sent), rows)
        self.to_ticket = _numbering(len(s.sent) * s.copies, self.old_tickets)
        handed = self.old_tickets[s.core.attempts[self.old_tickets] > 0]
        self.pages = np.sort(s.ticket[handed, layout.PAGE])
        self.to_page = _numbering(int(s.count[layout.PAGES]), self.pages, GONE_PAGE)

    def pages_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return the new numbers of pages, those of a handover that is over included."""
        return _translated(self.to_page, numbers, GONE_PAGE)

    def tickets_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return the new numbers of tickets, where some have never been written."""
        return _translated(self.to_ticket, numbers, NONE)

    def rows_of(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Move an array with an entry a row."""
        new[: len(self.rows)] = old[self.rows]
        return new

    def tickets(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Move an array with an entry a ticket."""
        new[: self.n_tickets] = old[self.old_tickets]
        return new

    def queues(self, old: Queues, new: Queues) -> Queues:
        """Move lists of tickets."""
        for column in ("next", "previous", "child"):
            links = getattr(new, column)
            if len(links):
                self.tickets(getattr(old, column), links)
                links[: self.n_tickets] = self.tickets_of(links[: self.n_tickets])
        if len(new.child):
            is_in_order = old.child[self.old_tickets] == IN_ORDER
            new.child[: self.n_tickets][is_in_order] = IN_ORDER
        if len(new.rank):
            self.tickets(old.rank, new.rank)
        self.tickets(old.serial, new.serial)
        new.first[:] = self.to_ticket[old.first]
        new.last[:] = self.to_ticket[old.last]
        new.root[:] = self.to_ticket[old.root]
        return new

    def heap(self, new: State) -> tuple[np.ndarray, np.ndarray]:
        """Move the events; those of tickets that are left behind are void."""
        s = self.s
        size = int(s.count[layout.SIZE])
        time, key = s.heap_time[:size].copy(), s.heap_key[:size].copy()
        has = _has_ticket(key)
        ticket = self.to_ticket[calendar.ticket_of(key[has])]
        key[has] = (key[has] ^ calendar.ticket_of(key[has])) | ticket
        room = max(len(s.heap_time), len(new.heap_time))
        times, keys = np.zeros(room), np.zeros(room, np.int64)
        times[:size], keys[:size] = time, key
        return times, keys

    def handovers(self, new: State) -> record.Handovers:
        """Move the pages of tickets that stay."""
        size = max(len(self.s.pages.ticket), len(new.pages.ticket), 2 * len(self.pages))
        pages = blank_pages(size)
        for old, column in zip(self.s.pages, pages, strict=True):
            column[: len(self.pages)] = old[self.pages]
        pages.ticket[: len(self.pages)] = self.to_ticket[pages.ticket[: len(self.pages)]]
        return pages

    def patience(self, old: Patience | None, new: Patience | None) -> Patience | None:
        """Move what clients do."""
        if old is None or new is None:
            return new
        self.tickets(old.wanted, new.wanted)
        self.rows_of(old.attempt, new.attempt)
        self._alarms(old.timeouts, new.timeouts)
        self._alarms(old.hedges, new.hedges)
        return new

    def _alarms(self, old: Timers, new: Timers) -> None:
        end = len(new.next) - 1
        before = end
        new.next[:end] = NONE
        for row in _alarms_of(old):
            now = int(self.to_row[row])
            new.time[now] = old.time[row]
            new.next[before], new.previous[now] = now, before
            before = now
        new.next[before], new.previous[end] = end, before

    def master(self, old: Master | None, new: Master | None) -> Master | None:
        """Move the master's jobs."""
        if old is None or new is None:
            return new
        jobs = _jobs(self.s, old)
        tickets, numbers = np.zeros_like(old.job_ticket), np.zeros_like(old.job_number)
        tickets[jobs] = self.to_ticket[old.job_ticket[jobs]]
        numbers[jobs] = self.pages_of(old.job_number[jobs])
        self.tickets(old.accepting, new.accepting)
        self.tickets(old.handing, new.handing)
        new.handing[: self.n_tickets] = self.pages_of(new.handing[: self.n_tickets])
        return new._replace(job_ticket=tickets, job_number=numbers)

    def sharing(self, old: Sharing | None, new: Sharing | None) -> Sharing | None:
        """Move what computes at workers that share."""
        if old is None or new is None:
            return new
        order = new.computing.serial.copy()  # by ticket, and tickets keep their order
        self.queues(old.computing, new.computing)
        new.computing.serial[:] = order
        return new._replace(count=old.count)


def _numbering(size: int, kept: np.ndarray, other: int = NONE) -> np.ndarray:
    """Return the new number of each old one; the last entry is that of NONE."""
    to = np.full(size + 1, other, np.int64)
    to[kept] = np.arange(len(kept))
    to[NONE] = NONE
    return to


def _translated(to: np.ndarray, numbers: np.ndarray, other: int) -> np.ndarray:
    """Return new numbers; what was never written may be any number, and becomes `other`."""
    is_number = (numbers >= NONE) & (numbers < len(to) - 1)
    return np.where(is_number, to[np.where(is_number, numbers, NONE)], other)


def _without_hole(s: State) -> int:
    """Fill the place that the last event has left in the heap. Return its size."""
    calendar.next_time(s)
    return int(s.count[layout.SIZE])


def _has_ticket(keys: np.ndarray) -> np.ndarray:
    kind: Any = calendar.kind_of(keys)  # type: ignore[arg-type]
    return (kind == p.COMPLETION) | (kind == p.RETRY) | (kind == p.MASTER) | (kind == p.TURN)


def _jobs(s: State, master: Master) -> np.ndarray:
    """Return the places of the waiting jobs in their ring."""
    first, n = int(s.count[layout.JOB_FIRST]), int(s.count[layout.JOBS])
    return (first + np.arange(n)) & (len(master.job_ticket) - 1)


def _alarms_of(timers: Timers) -> Iterator[int]:
    """Yield the requests whose alarm is set, in order of time."""
    end = len(timers.next) - 1
    row = int(timers.next[end])
    while row != end:
        yield row
        row = int(timers.next[row])

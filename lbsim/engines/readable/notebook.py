"""What the readable engine writes down while it runs."""

import math

import numpy as np

from lbsim.engines import record
from lbsim.engines.plan import Plan
from lbsim.engines.progress import Progress
from lbsim.engines.record import Handovers, Happenings, Record

__all__ = ["Notebook"]

SHOWN = 500
"""After so many requests the progress bar moves."""


class Notebook:
    """Notes on requests, handovers and workers; `record` puts them in order."""

    def __init__(self, plan: Plan, progress: Progress) -> None:
        self.progress = progress
        self.n_closed = 0
        self.copies = plan.copies
        self.arrival = np.full(plan.n, math.nan)
        self.finished = np.full(plan.n, math.nan)
        self.outcome = np.full(plan.n, record.UNFINISHED, np.int8)
        self.answered_by = np.full(plan.n, -1, np.int64)
        self.handovers: list[list[float]] = []
        self.happenings: list[tuple[float, int, int, float]] = []
        self.page: dict[int, list[float]] = {}  # the handover of each ticket that is under way
        self.number: dict[int, int] = {}

    def handed(self, ticket: int, worker: int) -> None:
        """The dispatcher gives a ticket to a worker; it is under way."""
        self.page[ticket] = [ticket, worker, math.nan, math.nan, math.nan, record.OPEN, False]
        self.number[ticket] = len(self.handovers)
        self.handovers.append(self.page[ticket])

    def delivered(self, now: float, ticket: int) -> None:
        """The ticket is at its worker."""
        self.page[ticket][2] = now

    def started(self, now: float, ticket: int, miss: bool) -> None:
        """The worker begins to serve it."""
        self.page[ticket][3] = now
        self.page[ticket][6] = miss

    def has_started(self, ticket: int) -> bool:
        """Say whether the present handover of a ticket is in service."""
        return not math.isnan(self.page[ticket][3])

    def ended(self, now: float, ticket: int, ending: int) -> None:
        """The handover is over; the first word on how it ended stays."""
        page = self.page[ticket]
        if page[5] == record.OPEN:
            page[4] = now
            page[5] = ending

    def answered(self, row: int, ticket: int) -> None:
        """The present handover of a ticket is the one that answered a request."""
        self.answered_by[row] = self.number[ticket]

    def closed(self, now: float, row: int, outcome: int) -> None:
        """A client has its answer, or has given up for good."""
        self.finished[row] = now
        self.outcome[row] = outcome
        self.n_closed += 1
        if self.n_closed % SHOWN == 0:
            self.progress.done(self.n_closed)

    def happened(self, now: float, what: int, worker: int, value: float = 0.0) -> None:
        """Something happened to a worker."""
        self.happenings.append((now, what, worker, value))

    def record(self) -> Record:
        """Return the notes as arrays, handovers in order of tickets."""
        rows = np.array(self.handovers, np.float64).reshape(-1, 7)
        events = np.array(self.happenings, np.float64).reshape(-1, 4)
        return record.in_order_of_tickets(
            self.arrival,
            self.finished,
            self.outcome,
            self.answered_by,
            Handovers(
                ticket=rows[:, 0].astype(np.int64),
                worker=rows[:, 1].astype(np.int64),
                dispatched=rows[:, 2],
                started=rows[:, 3],
                ended=rows[:, 4],
                ending=rows[:, 5].astype(np.int8),
                miss=rows[:, 6].astype(np.bool_),
            ),
            Happenings(
                time=events[:, 0],
                what=events[:, 1].astype(np.int8),
                worker=events[:, 2].astype(np.int64),
                value=events[:, 3],
            ),
            self.copies,
        )

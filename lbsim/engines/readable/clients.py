"""The clients: send, wait, give up, try again, hedge.

A client that answers "failed" for one try (a timeout, a loss, a refusal) waits its backoff and
sends the next copy, until its tries are used up. The outcome of a request is that of its last
try. Latency counts from when the client *wanted* to send.
"""

import math
from typing import TYPE_CHECKING

from lbsim.engines import plan as p
from lbsim.engines import record
from lbsim.hashing import uniform
from lbsim.physics import patience

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from lbsim.engines.readable.engine import Stage

__all__ = ["Clients"]


class Clients:
    """All clients together."""

    def __init__(self, stage: "Stage") -> None:
        self.stage = stage
        self.env = stage.env
        self.plan = stage.plan
        self.notes = stage.notes
        self.patience = stage.plan.patience
        self.has_hedges = self.patience.hedge_after < math.inf
        self.per_try = 2 if self.has_hedges else 1
        self.wanted: set[int] = set()  # tickets that somebody waits for
        self.tries: dict[int, int] = {}  # the present try of each open request

    def begin(self) -> None:
        """Let the first requests come."""
        if self.plan.closed:
            for row in range(min(self.plan.clients, self.plan.n)):
                self._come(row, 0.0 + self.plan.think[row])
        else:
            self.env.process(self._open_loop())

    def _open_loop(self) -> "Generator[simpy.Event, None, None]":
        """Send every request when it is due, whatever became of the ones before."""
        for row, time in enumerate(self.plan.arrival.tolist()):
            yield self.env.at(time, p.ARRIVAL, 0, row)
            self._send(row)

    def _come(self, row: int, time: float) -> None:
        self.env.at(time, p.ARRIVAL, 0, row, self._send, row)

    def _send(self, row: int) -> None:
        """Send a request for the first time."""
        self.notes.arrival[row] = self.env.now
        self._try(row, 0)

    def _try(self, row: int, number: int) -> None:
        """Send try `number` of a request."""
        self.tries[row] = number
        ticket = row * self.plan.copies + number * self.per_try
        now = self.env.now
        if self.patience.timeout < math.inf:
            time = now + self.patience.timeout
            self.env.at(time, p.TIMEOUT, 0, ticket, self._timed_out, row, number)
        if self.has_hedges:
            time = now + self.patience.hedge_after
            self.env.at(time, p.RETRY, 0, ticket + 1, self._hedge, row, number)
        self.wanted.add(ticket)
        self.stage.master.arrive(ticket)

    def _hedge(self, row: int, number: int) -> None:
        if self.tries.get(row) == number:
            ticket = row * self.plan.copies + number * self.per_try + 1
            self.wanted.add(ticket)
            self.stage.master.arrive(ticket)

    # --- what the client hears ---------------------------------------------------------------

    def answered(self, ticket: int) -> bool:
        """A copy has been answered. Return whether anybody still waited for it."""
        if ticket not in self.wanted:
            return False
        row = ticket // self.plan.copies
        self.wanted.remove(ticket)
        self.notes.answered(row, ticket)
        self._give_up_copies(row)
        self._close(row, record.OK)
        return True

    def failed(self, ticket: int, outcome: int) -> None:
        """A copy has been refused or lost."""
        if ticket not in self.wanted:
            return
        self.wanted.remove(ticket)
        row = ticket // self.plan.copies
        if not self._waits(row):
            self._try_again(row, outcome)

    def _timed_out(self, row: int, number: int) -> None:
        if self.tries.get(row) == number:
            self._give_up_copies(row)
            self._try_again(row, record.TIMEOUT)

    def is_served(self, ticket: int) -> bool:
        """Say whether a copy whose worker died is worth another worker."""
        return ticket in self.wanted or self.patience.take_back == p.NOTHING

    # --- private parts -----------------------------------------------------------------------

    def _copies(self, row: int) -> range:
        """Return the tickets of the present try."""
        first = row * self.plan.copies + self.tries[row] * self.per_try
        return range(first, first + self.per_try)

    def _waits(self, row: int) -> bool:
        return any(ticket in self.wanted for ticket in self._copies(row))

    def _give_up_copies(self, row: int) -> None:
        for ticket in self._copies(row):
            if ticket in self.wanted:
                self.wanted.remove(ticket)
                self.stage.master.take_back(ticket, self.patience.take_back)

    def _try_again(self, row: int, outcome: int) -> None:
        number = self.tries[row] + 1
        if number == self.patience.tries:
            self._close(row, outcome)
            return
        self.tries[row] = number  # a hedge or timeout of the try before is void from now on
        ticket = row * self.plan.copies + number * self.per_try
        wait = patience(
            self.patience.backoff,
            self.patience.backoff_factor,
            self.patience.jitter,
            number,
            uniform(self.patience.jitter_seed, ticket),
        )
        self.env.at(self.env.now + wait, p.RETRY, 0, ticket, self._try, row, number)

    def _close(self, row: int, outcome: int) -> None:
        """The request is over; in a closed loop its client thinks, then sends the next."""
        del self.tries[row]
        self.notes.closed(self.env.now, row, outcome)
        following = row + self.plan.clients
        if self.plan.closed and following < self.plan.n:
            self._come(following, self.env.now + self.plan.think[following])

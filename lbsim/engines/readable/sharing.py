"""The processor-sharing worker: all requests that compute get an equal share at once."""

from typing import TYPE_CHECKING

from lbsim.engines import plan as p
from lbsim.engines.readable.workers import Worker
from lbsim.physics import departure, virtual_time

if TYPE_CHECKING:
    from lbsim.engines.readable.engine import Stage
    from lbsim.engines.readable.timeline import Appointment

__all__ = ["Sharing"]


class Sharing(Worker):
    """Many threads on one core: computing is shared equally, waiting costs the others nothing.

    It acknowledges a request as soon as it is handed over. `concurrency` bounds how many are
    in service, computing or waiting; further ones queue.

    Instead of the remaining work of every request, which changes all the time, it keeps one
    number: *virtual time*, the work that each request present has received so far. A request
    that begins at virtual time v with work w is done when virtual time is v + w.
    """

    def __init__(self, stage: "Stage", index: int) -> None:
        super().__init__(stage, index)
        self.computing: dict[int, tuple[float, float]] = {}  # target in virtual time, wait
        self.waiting: dict[int, tuple[float, Appointment | None]] = {}  # until when
        self.virtual = 0.0
        self.since = 0.0  # when `virtual` was brought up to date
        self.departure: Appointment | None = None
        self.given = 0  # handed over, not yet acknowledged

    def give(self, ticket: int) -> None:
        """Hand over a request."""
        if not self.is_alive:
            return
        self.queue.append(ticket)
        if self.is_hung:
            return
        self.given += 1
        if self.given > 1:
            return  # the master has answered `accepted` with it; the loop below goes on to it
        while self.given > 0:
            self.stage.master.accepted(self.index)
            self.given -= 1
        self.begin_what_it_can()

    def resume(self) -> None:
        """Go on, and acknowledge what was handed over meanwhile."""
        super().resume()
        self.stage.master.accepted(self.index)

    def begin_what_it_can(self) -> None:
        """Begin to serve queued requests."""
        if not self.is_alive or self.is_hung:
            return
        while self.queue and len(self.computing) + len(self.waiting) < self.concurrency:
            ticket = self.queue.popleft()
            if ticket in self.gone:
                self.gone.remove(ticket)
                continue
            self._advance()
            work, wait = self._note_start(ticket)
            self.computing[ticket] = (self.virtual + work, wait)
        self._plan_departure()

    def _advance(self) -> None:
        """Bring virtual time up to now; it stands still while the worker does."""
        if self.is_hung:
            return
        now = self.env.now
        if self.computing:
            self.virtual = virtual_time(
                self.virtual, self.since, now, self.speed, len(self.computing)
            )
        else:
            self.virtual = 0.0
        self.since = now

    def _plan_departure(self) -> None:
        if self.departure is not None:
            self.departure.call_off()
            self.departure = None
        if not self.computing or self.is_hung:
            return
        self._advance()
        ticket = min(self.computing, key=lambda t: (self.computing[t][0], t))
        target = self.computing[ticket][0]
        now = self.env.now
        time = departure(self.virtual, target, now, self.speed, len(self.computing))
        self.departure = self.env.at(
            max(now, time), p.COMPLETION, self.index, ticket, self._end_of_work, ticket
        )

    def _end_of_work(self, ticket: int) -> None:
        # Set, not computed: rounding must not leave a last crumb of work.
        target, wait = self.computing.pop(ticket)
        self.virtual = target
        self.since = self.env.now
        self.departure = None
        if wait > 0.0:
            self.waiting[ticket] = (self.env.now + wait, None)
            self._plan_answer(ticket)
            self._plan_departure()
        else:
            self._complete(ticket)

    def _plan_answer(self, ticket: int) -> None:
        until = self.waiting[ticket][0]
        time = max(self.env.now, until)
        event = self.env.at(time, p.COMPLETION, self.index, ticket, self._end_of_wait, ticket)
        self.waiting[ticket] = (until, event)

    def _end_of_wait(self, ticket: int) -> None:
        del self.waiting[ticket]
        self._complete(ticket)

    def _complete(self, ticket: int) -> None:
        self.stage.master.completed(self.index, ticket)
        self.begin_what_it_can()

    def _pause(self) -> None:
        self._advance()
        if self.departure is not None:
            self.departure.call_off()
            self.departure = None
        for _, event in self.waiting.values():
            assert event is not None
            event.call_off()

    def _go_on(self) -> None:
        self.since = self.env.now
        for ticket in self.waiting:
            self._plan_answer(ticket)
        self._plan_departure()

    def _remove(self, ticket: int) -> bool:
        if ticket in self.waiting:
            event = self.waiting.pop(ticket)[1]
            assert event is not None
            event.call_off()
        else:
            self._advance()
            del self.computing[ticket]
            self._plan_departure()
        return True

    def _forget_all(self) -> list[int]:
        self._pause()
        tickets = [*self.computing, *self.waiting, *self.queue]
        self.computing.clear()
        self.waiting.clear()
        self.queue.clear()
        return tickets

"""Workers: what all have in common, and the synchronous worker."""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lbsim.engines import plan as p
from lbsim.physics import end_of_work, work_left

if TYPE_CHECKING:
    from lbsim.engines.plan import Plan
    from lbsim.engines.readable.engine import Stage
    from lbsim.engines.readable.timeline import Appointment

__all__ = ["Sessions", "Synchronous", "Worker"]


class Sessions:
    """Where each session lives: at the worker (and in the life of it) that served it last."""

    def __init__(self, plan: "Plan") -> None:
        self.session = plan.session.tolist()
        self.copies = plan.copies
        self.home: dict[int, tuple[int, int]] = {}

    def visit(self, ticket: int, worker: "Worker") -> bool:
        """Serve a session at a worker. Return True if it had to be fetched from elsewhere."""
        session = self.session[ticket // self.copies]
        if session < 0:
            return False
        here = (worker.index, worker.lives)
        home = self.home.get(session, here)
        self.home[session] = here
        return home != here


class Worker:
    """One worker process. A subclass says how it shares its time among its requests.

    A subclass has `begin_what_it_can`, `_pause`, `_go_on`, `_remove` and `_forget_all`.
    """

    def __init__(self, stage: "Stage", index: int) -> None:
        self.stage = stage
        self.env = stage.env
        self.index = index
        self.speed = float(stage.plan.workers.speed[index])
        self.concurrency = int(stage.plan.workers.concurrency[index])
        self.is_alive = False
        self.is_hung = False
        self.lives = 0
        self.queue: deque[int] = deque()  # handed over, not begun
        self.gone: set[int] = set()  # queued tickets whose client has given up

    # --- what the master does ----------------------------------------------------------------

    def give(self, ticket: int) -> None:
        """Hand over a request. A dead worker's channel swallows it."""
        if self.is_alive:
            self.queue.append(ticket)
            self.begin_what_it_can()

    def rouse(self, ticket: int, later_s: float = 0.0) -> bool:
        """Wake for a ticket that waits for somebody to look. Return whether this one slept."""
        return False  # only an event loop does

    def take_back(self, ticket: int, level: int) -> bool:
        """Drop a request nobody waits for, if `level` reaches it. Return whether it did."""
        if not self.is_alive or level < p.QUEUED:
            return False
        if not self.stage.notes.has_started(ticket):
            self.gone.add(ticket)  # the worker finds its connection closed when it gets there
            return True
        return level >= p.SERVICE and self._remove(ticket)

    # --- what fate does ----------------------------------------------------------------------

    def boot(self) -> None:
        """Come up with an empty memory."""
        self.is_alive = True
        self.lives += 1

    def die(self) -> list[int]:
        """Stop existing. Return the tickets that were here, for the record."""
        tickets = self._forget_all()
        self.gone.clear()
        self.is_alive = False
        self.is_hung = False
        return tickets

    def hang(self) -> None:
        """Stand still."""
        self._pause()
        self.is_hung = True

    def resume(self) -> None:
        """Go on as if nothing had been."""
        self.is_hung = False
        self._go_on()
        self.begin_what_it_can()

    def set_speed(self, speed: float) -> None:
        """Compute faster or more slowly from now on."""
        if self.is_hung or not self.is_alive:
            self.speed = speed
            return
        self._pause()
        self.speed = speed
        self._go_on()

    # --- for subclasses ----------------------------------------------------------------------

    def _note_start(self, ticket: int) -> tuple[float, float]:
        """Begin to serve a ticket. Return its work and how long it waits, in seconds."""
        plan = self.stage.plan
        row = ticket // plan.copies
        miss = self.stage.sessions.visit(ticket, self)
        self.stage.notes.started(self.env.now, ticket, miss)
        wait = float(plan.wait[row])
        if miss:
            wait += plan.costs.session_miss
        return float(plan.work[row]), wait

    def begin_what_it_can(self) -> None:
        """Start on queued requests as far as the worker's state allows."""
        raise NotImplementedError

    def _pause(self) -> None:
        raise NotImplementedError

    def _go_on(self) -> None:
        raise NotImplementedError

    def _remove(self, ticket: int) -> bool:
        raise NotImplementedError

    def _forget_all(self) -> list[int]:
        raise NotImplementedError


@dataclass
class Service:
    """One request in service: first it computes, then it waits."""

    end: float  # of computing, unless something changes
    left: float  # work left when last paused
    wait: float
    event: "Appointment | None" = None


class Synchronous(Worker):
    """First come, first served; a request holds its server while it computes and waits.

    It takes the next request off its channel, and thereby acknowledges it, when a server
    (of `concurrency`) is free.
    """

    def __init__(self, stage: "Stage", index: int) -> None:
        super().__init__(stage, index)
        self.serving: dict[int, Service] = {}
        self.is_beginning = False

    def begin_what_it_can(self) -> None:
        """Begin to serve queued requests."""
        if self.is_beginning:
            return  # the master has answered `accepted` with a request; the loop goes on to it
        self.is_beginning = True
        while (
            self.queue
            and self.is_alive
            and not self.is_hung
            and len(self.serving) < self.concurrency
        ):
            ticket = self.queue.popleft()
            if ticket in self.gone:
                self.gone.remove(ticket)
            else:
                work, wait = self._note_start(ticket)
                self.serving[ticket] = Service(end=self.env.now, left=work, wait=wait)
                self._plan_completion(ticket)
            self.stage.master.accepted(self.index)
        self.is_beginning = False

    def _plan_completion(self, ticket: int) -> None:
        service = self.serving[ticket]
        if service.left > 0.0:
            service.end = end_of_work(self.env.now, service.left, self.speed)
        time = max(self.env.now, service.end + service.wait)
        service.event = self.env.at(time, p.COMPLETION, self.index, ticket, self._complete, ticket)

    def _complete(self, ticket: int) -> None:
        del self.serving[ticket]
        self.stage.master.completed(self.index, ticket)
        self.begin_what_it_can()

    def _pause(self) -> None:
        now = self.env.now
        for service in self.serving.values():
            assert service.event is not None
            service.event.call_off()
            service.left = work_left(service.end, now, self.speed) if now < service.end else 0.0

    def _go_on(self) -> None:
        for ticket in self.serving:
            self._plan_completion(ticket)

    def _remove(self, ticket: int) -> bool:
        event = self.serving.pop(ticket).event
        assert event is not None
        event.call_off()
        return True

    def _forget_all(self) -> list[int]:
        for service in self.serving.values():
            if service.event is not None:
                service.event.call_off()
        tickets = [*self.serving, *self.queue]
        self.serving.clear()
        self.queue.clear()
        return tickets

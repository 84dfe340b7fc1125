"""The event-loop worker: one thread, as in Node.js or asyncio."""

from collections import deque
from typing import TYPE_CHECKING

from lbsim.engines import plan as p
from lbsim.engines.readable.workers import Worker
from lbsim.hashing import uniform
from lbsim.physics import end_of_work, quantile, work_left

if TYPE_CHECKING:
    from lbsim.engines.readable.engine import Stage
    from lbsim.engines.readable.timeline import Appointment

__all__ = ["EventLoop"]

ACCEPT, SETUP, HANDLE = range(3)


class EventLoop(Worker):
    """A loop that at each turn looks at what is ready, and then does that, one by one.

    In a turn it first sends the answers whose waiting is over (libuv: timers come first), then
    takes the connections that were handed to it off its channel and acknowledges each, then
    runs the handlers of requests that it had accepted *before* this turn: a connection accepted
    in this turn is found readable in the next, in which the loop looks at its channel first. (So
    what comes while a connection is set up, after its acknowledgement, is accepted before that
    one's handler runs.) Where it need not acknowledge, it also takes what comes while it takes
    others. A handler that computes blocks the loop: nobody is acknowledged meanwhile.
    While a request waits the loop is free. A loop with nothing to do sleeps, and must wake when
    something is handed to it; what comes meanwhile it finds then.

    Source: the phases of libuv's ``uv_run`` (docs.libuv.org, "Design overview"), and
    lib/internal/cluster/child.js of Node.js 20, which acknowledges in the message's handler,
    before anything of the request is read. Our own workers read their channel until it is empty,
    but once a turn where they acknowledge (`live.worker`).

    Where workers accept for themselves (`Policy.at_turns`) a turn takes one connection if one
    waits, also while another is about to be handled; loops with nothing to do are woken for the
    next that comes, which somebody else may take before they look. Source: ``uv__server_io`` of
    libuv since 1.45, which accepts once a turn.
    """

    def __init__(self, stage: "Stage", index: int) -> None:
        super().__init__(stage, index)
        self.accept_s = stage.plan.costs.worker_accept
        self.turn_s = stage.plan.costs.worker_turn
        self.wake_s = stage.plan.costs.worker_wake.tolist()
        settings = stage.master.core.settings
        self.at_turns = settings.at_turns
        self.needs_ack = settings.needs_ack
        self.look_s = 0.0  # what the first connection of this turn costs more than the others
        self.accepted: deque[int] = deque()  # to be handled in a later turn
        self.waiting: dict[int, Appointment] = {}
        self.ready: deque[int] = deque()  # waiting is over, to be answered in a later turn
        self.answers: deque[int] = deque()  # what this turn does
        self.accepts: deque[int] = deque()
        self.handles: deque[int] = deque()
        self.is_turning = False  # in a turn, or one is due
        self.turn_at = 0.0  # when the one that is due begins
        self.step: tuple[int, int] | None = None  # what takes time at the moment, and for whom
        self.end = 0.0
        self.left = 0.0
        self.event: Appointment | None = None

    def give(self, ticket: int) -> None:
        """Hand over a request. A dead worker's channel swallows it."""
        if self.is_alive:
            self.queue.append(ticket)
            self.rouse(ticket)

    def rouse(self, ticket: int, later_s: float = 0.0) -> bool:
        """Wake for a ticket, `later_s` after the first that does. Return whether it slept."""
        if self.is_turning or not self.is_alive:
            return False
        self.is_turning = True
        probability = uniform(self.stage.plan.costs.wake_seed, ticket)
        self.turn_at = self.env.now + quantile(self.wake_s, probability) + later_s
        if not self.is_hung:
            self._plan_turn()
        return True

    def begin_what_it_can(self) -> None:
        """Let a turn begin, unless one is under way or there is nothing to do."""
        if self.is_turning or self.is_hung or not self.is_alive:
            return
        if self.queue or self.accepted or self.ready:
            self.is_turning = True
            self.turn_at = self.env.now
            self._plan_turn()

    def _plan_turn(self) -> None:
        time = max(self.env.now, self.turn_at)
        self.event = self.env.at(time, p.TURN, self.index, 0, self._turn)

    def _turn(self) -> None:
        """Look once at what is ready; what comes later is for the next turn."""
        if self.at_turns and not self.queue:
            self.stage.master.looked(self.index)
        self.answers, self.ready = self.ready, self.answers
        self.accepts, self.queue = self.queue, self.accepts
        self.handles, self.accepted = self.accepted, self.handles
        self.look_s = self.turn_s
        self._next()

    def _next(self) -> None:
        """Go on with this turn until something takes time."""
        while self.is_alive:
            if self.answers:
                self.stage.master.completed(self.index, self.answers.popleft())
            elif self.accepts:
                ticket = self.accepts.popleft()
                cost, self.look_s = self.accept_s + self.look_s, 0.0
                if cost > 0.0:
                    return self._take_time(ACCEPT, ticket, cost)
                if self._accept(ticket):
                    return None
            elif self.handles:
                ticket = self.handles.popleft()
                if ticket in self.gone:
                    self.gone.remove(ticket)
                    continue
                work, wait = self._note_start(ticket)
                self.wait = wait
                return self._take_time(HANDLE, ticket, work)
            else:
                if self.at_turns and not (self.queue or self.accepted or self.ready):
                    self.stage.master.idle(self.index)
                self.is_turning = False
                self.begin_what_it_can()
                return None
        return None

    def _take_time(self, step: int, ticket: int, work: float) -> None:
        self.step = (step, ticket)
        self.left = work
        self.end = self.env.now
        self._plan_step()

    def _plan_step(self) -> None:
        assert self.step is not None
        step, ticket = self.step
        if self.left > 0.0:
            self.end = end_of_work(self.env.now, self.left, self.speed)
        kind = p.COMPLETION if step == HANDLE else p.TURN
        self.event = self.env.at(
            max(self.env.now, self.end), kind, self.index, ticket, self._step_done
        )

    def _step_done(self) -> None:
        assert self.step is not None
        step, ticket = self.step
        self.step = None
        if step != HANDLE and not self.accepts and not self.needs_ack:
            self.accepts, self.queue = self.queue, self.accepts
        if step == ACCEPT:
            if self._accept(ticket):
                return
        elif step == SETUP:
            self._keep(ticket)
        elif self.wait > 0.0:
            self.waiting[ticket] = self.env.at(
                self.env.now + self.wait, p.COMPLETION, self.index, ticket, self._wake, ticket
            )
        else:
            self.stage.master.completed(self.index, ticket)
        self._next()

    def _accept(self, ticket: int) -> bool:
        """Acknowledge a connection. Return whether to set it up takes time."""
        if not self.at_turns:
            self.stage.master.accepted(self.index)
        costs = self.stage.plan.costs
        if (
            costs.worker_setup > 0.0
            and ticket not in self.gone
            and uniform(costs.setup_seed, ticket) < costs.setup_share
        ):
            self._take_time(SETUP, ticket, costs.worker_setup)
            return True
        self._keep(ticket)
        return False

    def _keep(self, ticket: int) -> None:
        """Have a connection whose handler is to run, unless its client has gone."""
        if ticket in self.gone:
            self.gone.remove(ticket)
        else:
            self.accepted.append(ticket)

    def _wake(self, ticket: int) -> None:
        """Waiting is over; the answer needs a turn."""
        del self.waiting[ticket]
        self.ready.append(ticket)
        self.begin_what_it_can()

    def _pause(self) -> None:
        """Stop in the middle of a step. Timers run on; a turn that was due comes later."""
        if self.event is not None:
            self.event.call_off()
        if self.step is not None:
            now = self.env.now
            self.left = work_left(self.end, now, self.speed) if now < self.end else 0.0

    def _go_on(self) -> None:
        if self.step is not None:
            self._plan_step()
        elif self.is_turning:
            self._plan_turn()

    def _remove(self, ticket: int) -> bool:
        if self.step is not None and self.step[1] == ticket:
            return False  # a handler that blocks cannot be stopped
        if ticket in self.waiting:
            self.waiting.pop(ticket).call_off()
        elif ticket in self.ready:
            self.ready.remove(ticket)
        else:
            self.answers.remove(ticket)
        return True

    def _forget_all(self) -> list[int]:
        for event in [self.event, *self.waiting.values()]:
            if event is not None:
                event.call_off()
        tickets = [] if self.step is None else [self.step[1]]
        for line in (
            self.answers, self.accepts, self.handles, self.queue, self.accepted, self.ready,
            self.waiting,
        ):  # fmt: skip
            tickets.extend(line)
            line.clear()
        self.step = None
        self.event = None
        self.is_turning = False
        return tickets

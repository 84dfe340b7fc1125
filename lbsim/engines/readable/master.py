"""The master: accepts requests, asks the dispatcher, hands over.

It is a single server. Accepting (and deciding) is one job, handing over another; if both cost
nothing there is no queue and everything happens at once.
"""

from collections import deque
from typing import TYPE_CHECKING

from lbsim import dispatch
from lbsim.dispatch import BAD_CHOICE, CHOICE, NONE, Core
from lbsim.engines import plan as p
from lbsim.engines import record
from lbsim.engines.complaints import bad_choice
from lbsim.physics import handover_cost
from lbsim.policy import HOLD, SHED, Policy

if TYPE_CHECKING:
    from lbsim.engines.readable.engine import Stage

__all__ = ["Master"]

ACCEPT, HAND_OVER = range(2)


class Master:
    """The master process. All decisions are the dispatcher's; this is its time and its hands."""

    def __init__(self, stage: "Stage", policy: Policy, core: Core) -> None:
        self.stage = stage
        self.policy = policy
        self.core = core
        self.env = stage.env
        costs = stage.plan.costs
        self.accept_s = costs.master_accept
        self.dispatch_s = costs.master_dispatch
        self.per_byte_s = costs.master_per_byte
        self.is_free = self.accept_s == 0.0 and self.dispatch_s == 0.0 and self.per_byte_s == 0.0
        self.jobs: deque[tuple[int, int, int]] = deque()
        self.is_busy = False
        self.accepting: set[int] = set()  # tickets whose connection is not yet accepted
        self.handing: dict[int, int] = {}  # number of the handover that is under way, by ticket

    # --- what clients do -------------------------------------------------------------------

    def arrive(self, ticket: int) -> None:
        """A request reaches the master."""
        if self.is_free:
            self._decide(ticket)
        else:
            self.accepting.add(ticket)
            self.jobs.append((ACCEPT, ticket, NONE))
            self._work()

    def take_back(self, ticket: int, level: int) -> None:
        """A client has given up; what is taken back depends on where the request is."""
        if level == p.NOTHING:
            return
        if ticket in self.accepting:
            self.accepting.remove(ticket)
            return
        place = int(self.core.place[ticket])
        if place < 0:
            return
        if place < len(self.core.in_flight):
            if ticket in self.handing:
                del self.handing[ticket]
            elif not self.stage.workers[place].take_back(ticket, level):
                return
            self.stage.notes.ended(self.env.now, ticket, record.TAKEN_BACK)
        worker = int(dispatch.cancel(self.core, self.env.now, ticket))
        if worker != NONE:
            self.stage.supervisor.served(worker)
            found = dispatch.pull(self.core, self.policy, self.env.now, worker)
            self._follow(worker, found)
            self.stage.workers[worker].begin_what_it_can()

    # --- what workers do -------------------------------------------------------------------

    def accepted(self, worker: int) -> None:
        """A worker has taken what it was handed."""
        self._follow(worker, dispatch.accepted(self.core, self.policy, self.env.now, worker))

    def looked(self, worker: int) -> None:
        """A worker looks for a connection at the beginning of a turn."""
        self._follow(worker, dispatch.looked(self.core, self.policy, self.env.now, worker))

    def idle(self, worker: int) -> None:
        """A worker that looks for connections at turns has nothing to do."""
        self._follow(worker, dispatch.idle(self.core, self.policy, self.env.now, worker))

    def completed(self, worker: int, ticket: int) -> None:
        """A worker has answered."""
        wanted = self.stage.clients.answered(ticket)
        self.stage.notes.ended(self.env.now, ticket, record.ANSWERED if wanted else record.WASTED)
        pulled = dispatch.complete(self.core, self.policy, self.env.now, worker, ticket)
        self.stage.supervisor.served(worker)
        self._follow(worker, pulled)

    # --- what the supervisor does ----------------------------------------------------------

    def worker_up(self, worker: int) -> None:
        """A worker has booted."""
        self._follow(worker, dispatch.worker_up(self.core, self.policy, self.env.now, worker))

    def worker_down(self, worker: int) -> None:
        """The master learns that a worker is dead; what it had is dispatched again."""
        tickets = dispatch.worker_down(self.core, self.policy, self.env.now, worker)
        self._dispatch_again(tickets.tolist())

    def worker_leaving(self, worker: int) -> None:
        """A worker is to finish what it has."""
        tickets = dispatch.worker_leaving(self.core, self.policy, self.env.now, worker)
        self._dispatch_again(tickets.tolist())

    # --- private parts ---------------------------------------------------------------------

    def _dispatch_again(self, tickets: list[int]) -> None:
        for ticket in tickets:
            if ticket in self.stage.notes.page:
                self.stage.notes.ended(self.env.now, ticket, record.CRASHED)
            self.handing.pop(ticket, None)
            if self.stage.clients.is_served(ticket):
                self._act(ticket, dispatch.retry_due(self.core, self.policy, self.env.now, ticket))

    def _decide(self, ticket: int) -> None:
        self._act(ticket, dispatch.arrive(self.core, self.policy, self.env.now, ticket), True)

    def _act(self, ticket: int, answer: int, at_once: bool = False) -> None:
        """Do what the dispatcher says about a ticket."""
        if answer == BAD_CHOICE:
            raise bad_choice(self.policy, self.core, self.env.now, ticket)
        if answer == SHED:
            self.stage.clients.failed(ticket, record.SHED)
        elif answer == dispatch.LOST:
            self.stage.clients.failed(ticket, record.LOST)
        elif answer != HOLD:
            self._hand_over(int(answer), ticket, at_once)
        elif self.core.settings.at_turns and self.core.count[CHOICE] >= 0:
            self._rouse(ticket, int(self.core.count[CHOICE]))

    def _rouse(self, ticket: int, chosen: int) -> None:
        """Wake the worker for which a ticket is held, and maybe after it all others that sleep."""
        workers = self.stage.workers
        workers[chosen].rouse(ticket)
        herd_s = self.stage.plan.costs.herd
        later = 0
        for step in range(1, len(workers) if herd_s > 0.0 else 1):
            if workers[(chosen + step) % len(workers)].rouse(ticket, (later + 1) * herd_s):
                later += 1

    def _follow(self, worker: int, ticket: int) -> None:
        """Hand over the held ticket that a transition named, and pull until none is left."""
        while ticket != NONE:
            self._hand_over(worker, int(ticket))
            ticket = dispatch.pull(self.core, self.policy, self.env.now, worker)

    def _hand_over(self, worker: int, ticket: int, at_once: bool = False) -> None:
        self.stage.notes.handed(ticket, worker)
        if self.is_free:
            self._deliver(worker, ticket)
            return
        number = self.handing[ticket] = self.stage.notes.number[ticket]
        # A request that has just been accepted is handed over in the same breath; what is
        # pulled out of the queue, or dispatched again, waits until the master gets to it.
        add = self.jobs.appendleft if at_once else self.jobs.append
        add((HAND_OVER, ticket, number))
        self._work()

    def _deliver(self, worker: int, ticket: int) -> None:
        self.stage.notes.delivered(self.env.now, ticket)
        self.stage.workers[worker].give(ticket)

    def _work(self) -> None:
        """Begin the next job if there is one and the master is not busy."""
        if self.is_busy or not self.jobs:
            return
        kind, ticket, number = self.jobs.popleft()
        if kind == ACCEPT:
            cost = self.accept_s
        else:
            payload = self.stage.plan.payload[ticket // self.stage.plan.copies]
            cost = handover_cost(self.dispatch_s, self.per_byte_s, payload)
        self.is_busy = True
        self.env.at(self.env.now + cost, p.MASTER, 0, ticket, self._done, kind, ticket, number)

    def _done(self, kind: int, ticket: int, number: int) -> None:
        self.is_busy = False
        if kind == ACCEPT:
            if ticket in self.accepting:  # otherwise its client has closed the connection
                self.accepting.remove(ticket)
                self._decide(ticket)
        elif self.handing.get(ticket) == number:  # otherwise taken back, or its worker died
            del self.handing[ticket]
            self._deliver(int(self.core.place[ticket]), ticket)
        self._work()

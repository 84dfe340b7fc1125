"""The stage on which master, workers, clients and supervisor meet."""

import contextlib

from simpy.core import EmptySchedule

from lbsim import checked
from lbsim.engines.interrupt import Interrupt
from lbsim.engines.plan import EVENT_LOOP, FCFS, Plan, new_core, with_sessions
from lbsim.engines.progress import Progress
from lbsim.engines.readable.clients import Clients
from lbsim.engines.readable.event_loop import EventLoop
from lbsim.engines.readable.master import Master
from lbsim.engines.readable.notebook import Notebook
from lbsim.engines.readable.sharing import Sharing
from lbsim.engines.readable.supervisor import Supervisor
from lbsim.engines.readable.timeline import Timeline
from lbsim.engines.readable.workers import Sessions, Synchronous, Worker
from lbsim.engines.record import Record
from lbsim.policy import Policy

__all__ = ["Stage", "run"]


class Stage:
    """Everything that an actor may need to know of the others."""

    def __init__(self, plan: Plan, policy: Policy, progress: Progress) -> None:
        self.plan = plan
        self.env = Timeline()
        self.notes = Notebook(plan, progress)
        self.sessions = Sessions(plan)
        self.clients = Clients(self)
        self.master = Master(self, policy, new_core(plan, policy))
        self.workers: list[Worker] = [
            self._kind_of_worker()(self, index) for index in range(len(plan.workers.speed))
        ]
        self.supervisor = Supervisor(self)

    def _kind_of_worker(self) -> type[Worker]:
        if self.plan.discipline == FCFS:
            return Synchronous
        return EventLoop if self.plan.discipline == EVENT_LOOP else Sharing


def run(plan: Plan, policy: Policy) -> Record:
    """Simulate a plan under a policy.

    Parameters
    ----------
    plan : Plan
        From `lbsim.engines.plan.make_plan`.
    policy : Policy
        Not changed: the run uses a copy.

    Warns
    -----
    UserWarning
        After Ctrl-C: what has happened until then is in the record.

    Raises
    ------
    PolicyError
        The policy chose a worker that is not up, raised an error, or broke a type.
    """
    prepared = checked.fresh(policy, len(plan.workers.speed))
    with Progress(plan.n) as progress, Interrupt() as interrupt:
        stage = Stage(with_sessions(plan), prepared, progress)
        for worker in stage.workers:
            stage.supervisor.boot(worker)
        stage.clients.begin()
        stage.supervisor.begin()
        with contextlib.suppress(EmptySchedule):  # nothing will happen any more
            while not interrupt.wanted:
                stage.env.step()
    interrupt.warn(stage.notes.n_closed, plan.n)
    return stage.notes.record()

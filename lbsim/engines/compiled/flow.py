"""The general path in fixed memory: its requests come and go in pieces.

`lbsim.engines.compiled.general.window` moves the rows; here is which rows there are, and what
is told of them when they are over.
"""

import numpy as np

from lbsim.cluster import Cluster
from lbsim.dispatch import Requests
from lbsim.engines import record
from lbsim.engines.compiled.general import enlarged, layout
from lbsim.engines.compiled.general.window import moved, rows_in_use
from lbsim.engines.compiled.kernel import GeneralRun, kernel
from lbsim.engines.compiled.tally import Tally
from lbsim.engines.complaints import bad_choice
from lbsim.engines.plan import Plan
from lbsim.workload.columns import Columns

__all__ = ["Flow", "without_sessions"]

AHEAD = 64
"""So many requests are still to come when the next piece is added: what happens next must not
depend on an arrival that is not there."""

BUDGET = 1 << 18


def without_sessions(plan: Plan) -> Plan:
    """Return a plan in which nobody asks where a session was last; policies still see the keys."""
    return plan._replace(session=np.full(plan.n, -1, np.int64), n_sessions=1)


class Flow:
    """A run on the general path through which requests flow.

    Parameters
    ----------
    run : GeneralRun
        Of the first piece, compiled; nothing has happened.
    cluster : Cluster
    """

    def __init__(self, run: GeneralRun, cluster: Cluster) -> None:
        self.run = run
        self.cluster = cluster
        self.plan = run.plan
        self.state = run.state
        self.number = np.arange(self.plan.n)  # in the workload, of each row
        self.told = np.zeros(self.plan.n, np.bool_)
        self.next_number = self.plan.n
        self.tally = Tally(cluster.workers)

    @property
    def now(self) -> float:
        """Where the run is, in seconds."""
        return float(self.state.clock[0])

    @property
    def row(self) -> int:
        """Number of the last request that has come."""
        return int(self.number[max(int(self.state.count[layout.ROW]) - 1, 0)])

    def add(self, piece: Columns) -> None:
        """Let nearly all requests come that are here, then add more."""
        while (coming := len(self.plan.arrival) - int(self.state.count[layout.ROW])) > AHEAD:
            # An arrival is an event: so many cannot bring more than are here.
            self._advance(coming - 1)
        self._tell(self.state.outcome != record.UNFINISHED)
        rows = rows_in_use(self.state)
        size = len(piece.arrival)
        self.plan = self._joined(rows, piece)
        self.state = moved(self.state, self.plan, self.run.policy, rows)
        fresh = np.arange(self.next_number, self.next_number + size)
        self.number = np.concatenate([self.number[rows], fresh])
        self.told = np.concatenate([self.told[rows], np.zeros(size, np.bool_)])
        self.next_number += size

    def finish(self) -> None:
        """Let everything happen that is left."""
        while self._advance(BUDGET) != layout.FINISHED:
            pass
        self._tell(np.ones(self.plan.n, np.bool_))

    def stop(self) -> None:
        """Count what is over; the rest is not counted."""
        self._tell(self.state.outcome != record.UNFINISHED)

    def _advance(self, budget: int) -> int:
        status = int(kernel(self.state, self.run.value, budget))
        if status == layout.FULL:
            self.state = enlarged(self.state)
        elif status == layout.BAD_CHOICE:
            # Named by its number in the workload.
            row, copy = divmod(int(self.state.count[layout.FAILED]), self.plan.copies)
            ticket = int(self.number[row]) * self.plan.copies + copy
            raise bad_choice(self.run.policy, self.state.core, self.now, ticket)
        return status

    def _tell(self, over: np.ndarray) -> None:
        """Count the requests that are over and have not been counted."""
        rows = np.flatnonzero(over & ~self.told)
        self.told[rows] = True
        s = self.state
        outcome = s.outcome[rows]
        is_answered = outcome == record.OK
        page = np.where(is_answered, s.answered_by[rows], 0)
        worker = np.where(is_answered, s.pages.worker[page], 0)
        if self.cluster.wait_holds_worker:
            held = s.finished[rows] - s.pages.started[page]
        else:
            held = s.work[rows] / self.plan.workers.speed[worker]
        self.tally.add_mixed(
            self.number[rows], s.sent[rows], held, s.finished[rows], worker, outcome
        )

    def _joined(self, rows: np.ndarray, piece: Columns) -> Plan:
        """Return the plan of some of the rows, then those of a piece."""
        old = self.plan
        asked = (piece.key, piece.kind, piece.priority, piece.size, piece.cpu + piece.wait)
        requests = (
            np.concatenate([before[rows], after])
            for before, after in zip(old.requests, asked, strict=True)
        )
        plan = old._replace(
            n=len(rows) + len(piece.arrival),
            arrival=np.concatenate([old.arrival[rows], piece.arrival]),
            work=np.concatenate([old.work[rows], piece.cpu + self.cluster.overhead_s]),
            wait=np.concatenate([old.wait[rows], piece.wait]),
            payload=np.concatenate([old.payload[rows], piece.payload]),
            requests=Requests(*requests),
        )
        return without_sessions(plan)

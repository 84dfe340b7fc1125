"""Where the general path keeps everything: arrays, and the names of their columns.

Compiled code has no objects, so what the readable engine keeps in classes, deques, sets and
dictionaries is here in arrays: one row a ticket, a worker, a handover. What a run does not use
(`Master`, `Patience`, `Faults`, …) is None, and functions that take such a group as an argument
test it with ``is None``: Numba then leaves the branch out, so that it costs nothing.
"""

from typing import NamedTuple

import numpy as np

from lbsim.dispatch import Core
from lbsim.engines.plan import FaultTable
from lbsim.engines.record import Handovers, Happenings
from lbsim.queues import Queues

__all__ = ["Faults", "Loop", "Master", "Patience", "Sharing", "State", "Timers"]

# --- `State.count`: counters and cursors -----------------------------------------------------

SIZE = 0  # entries of the heap of events
HOLE = 1  # 1: the first entry of the heap has been taken out and its place is free
ROW = 2  # next request to come (open loop)
PAGES = 3  # handovers written down
AT_WORKERS = 4  # tickets that the dispatcher counts as in flight
HAPPENED = 5  # happenings written down
FAILED = 6  # ticket for which the policy made a choice that cannot be, or NONE
BEGUN = 7  # 1: workers have been booted and the first events are scheduled
JOB_FIRST = 8  # where the master's next job is, in its ring
JOBS = 9  # how many wait there
BUSY = 10  # 1: the master works on a job:
JOB_TICKET = 11
JOB_NUMBER = 12
FAULT_NEXT = 13  # position in the schedule of faults
RELOAD_FIRST = 14  # workers to reload: these positions of the list of all reloads
RELOAD_END = 15
LEAVING = 16  # the worker whose turn it is in a reload, or NONE
N_COUNTS = 17

# --- `State.ticket` and `State.moment`: a row a ticket ---------------------------------------

NEXT = 0  # neighbours in the line of a worker
PREVIOUS = 1
PAGE = 2  # the handover that is under way, or the last one
N_TICKET = 3

DUE = 0  # when its completion is expected; NaN if none is: an event that nobody expects is void
END = 1  # of computing, unless something changes; of waiting, at workers that share
LEFT = 2  # work left when last paused
WAIT = 3  # how long it waits after computing
N_MOMENT = 4

# --- `State.worker` and `State.pace`: a row a worker -----------------------------------------

# Lines of tickets at a worker: first and last.
QUEUE = 0  # handed over, not begun (an event loop: not accepted)
SERVING = 2  # in service (fcfs), waiting (ps, event loop)
ALIVE = 4
HUNG = 5
IN_SERVICE = 6  # how many are
CONCURRENCY = 7
READY = 8  # event loop: waiting is over, to be answered in a later turn
ACCEPTED = 10  # to be handled in a later turn
ANSWERS = 12  # what this turn does
ACCEPTS = 14
HANDLES = 16
TURNING = 18  # 1: in a turn, or one is due
STEP = 19  # what takes time at the moment,
STEP_TICKET = 20  # and for whom
LIVES = 21
FAILURES = 22  # crashes in a row
DEPARTING = 23  # ps: the ticket whose departure is planned, or NONE
N_WORKER = 24

NO_STEP, ACCEPT_STEP, SETUP_STEP, HANDLE_STEP = range(4)

SPEED = 0
VIRTUAL = 1  # ps: virtual time,
SINCE = 2  # and when it was brought up to date
STEP_END = 3  # event loop: as END and LEFT of a ticket, for the present step
STEP_LEFT = 4
STEP_WAIT = 5
TURN_DUE = 6  # as DUE of a ticket
BORN = 7
LOOK = 8  # event loop: what the first connection of this turn costs more than the others
TURN_AT = 9  # event loop: when the turn that is due begins
N_PACE = 10

# --- status of `advance` ---------------------------------------------------------------------

FINISHED = 0  # nothing will happen any more
GOING_ON = 1  # the budget is used up
FULL = 2  # an array must grow first
BAD_CHOICE = 3  # the policy chose a worker that cannot be, for ticket count[FAILED]


class Timers(NamedTuple):
    """Alarms, at most one a request, all with the same delay: a list in order of time.

    Attributes
    ----------
    time : ndarray of float64, shape (n_requests,)
    next, previous : ndarray of int64, shape (n_requests + 1,)
        The last row stands for both ends of the list.
    """

    time: np.ndarray
    next: np.ndarray
    previous: np.ndarray


class Patience(NamedTuple):
    """What clients do, as in `lbsim.engines.plan.Patience`, and what they are doing."""

    timeout: float
    tries: int
    hedge_after: float
    per_try: int
    backoff: float
    backoff_factor: float
    jitter: float
    take_back: int
    jitter_seed: int
    wanted: np.ndarray  # bool, of each ticket: somebody waits for it
    attempt: np.ndarray  # of each request: its present try, NONE if it is not open
    timeouts: Timers
    hedges: Timers


class Master(NamedTuple):
    """A master whose work takes time."""

    accept_s: float
    dispatch_s: float
    per_byte_s: float
    payload: np.ndarray
    job_ticket: np.ndarray  # a ring of jobs
    job_number: np.ndarray  # of the handover, NONE for a job of accepting
    accepting: np.ndarray  # bool, of each ticket: its connection is not yet accepted
    handing: np.ndarray  # of each ticket: the handover that is under way, or NONE


class Faults(NamedTuple):
    """The schedule of faults. What workers are up to is in `State.worker`."""

    table: FaultTable


class Sharing(NamedTuple):
    """Workers that share: for each a heap of what computes, by target in virtual time."""

    computing: Queues
    count: np.ndarray  # type: ignore[assignment]  # how many compute at each worker


class Loop(NamedTuple):
    """Workers with an event loop."""

    accept_s: float
    turn_s: float
    setup_s: float
    setup_share: float
    setup_seed: int
    wake: np.ndarray  # a spread
    wake_seed: int
    herd_s: float


class State(NamedTuple):
    """Everything that changes during a run, and what it is run with."""

    core: Core
    copies: int
    clients: int  # closed loop: how many clients; 0 in an open loop
    session_miss: float
    # What is asked, of each request.
    arrival: np.ndarray
    think: np.ndarray
    work: np.ndarray
    wait: np.ndarray
    session: np.ndarray
    home: np.ndarray  # of each session: the life of a worker that served it last, or NONE
    # What is going on.
    clock: np.ndarray
    count: np.ndarray  # type: ignore[assignment]  # not tuple.count, which nobody calls
    heap_time: np.ndarray
    heap_key: np.ndarray
    ticket: np.ndarray
    moment: np.ndarray
    gone: np.ndarray  # of each ticket: its client has given up while it waits at a worker
    worker: np.ndarray
    pace: np.ndarray
    # What is written down.
    sent: np.ndarray
    finished: np.ndarray
    outcome: np.ndarray
    answered_by: np.ndarray
    pages: Handovers
    happenings: Happenings
    # What only some runs have.
    patience: Patience | None
    master: Master | None
    faults: Faults | None
    sharing: Sharing | None
    loop: Loop | None

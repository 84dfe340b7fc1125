"""From a plan to the arrays of a run, and from these to a record."""

import math

import numpy as np

from lbsim.dispatch import Core
from lbsim.engines import plan as p
from lbsim.engines import record
from lbsim.engines.compiled.general import layout
from lbsim.engines.compiled.general.advance import room_needed
from lbsim.engines.compiled.general.layout import (
    Faults,
    Loop,
    Master,
    Patience,
    Sharing,
    State,
    Timers,
)
from lbsim.engines.plan import Plan, frozen
from lbsim.engines.record import Handovers, Happenings, Record
from lbsim.queues import NONE, make_queues

__all__ = ["blank_pages", "enlarged", "make_state", "record_of"]

SPARE = 64  # so that short runs do not grow at every step


def make_state(plan: Plan, core: Core) -> State:
    """Return the state of a run before anything has happened.

    What is always written before it is read is left empty: filling it would touch all of the
    memory of a long run once more, which takes as long as a good part of the run.
    """
    n = len(plan.workers.speed)
    tickets = plan.n * plan.copies
    clients = plan.clients if plan.closed else 0
    count = np.zeros(layout.N_COUNTS, np.int64)
    count[[layout.FAILED, layout.LEAVING]] = NONE
    return State(
        core=core,
        copies=plan.copies,
        clients=clients,
        session_miss=plan.costs.session_miss,
        arrival=frozen(plan.arrival[:0] if plan.closed else plan.arrival, np.float64),
        think=frozen(plan.think, np.float64),
        work=frozen(plan.work, np.float64),
        wait=frozen(plan.wait, np.float64),
        session=frozen(plan.session, np.int64),
        home=np.full(plan.n_sessions, NONE, np.int64),
        clock=np.zeros(1),
        count=count,
        heap_time=np.zeros(SPARE + 2 * n + clients),
        heap_key=np.zeros(SPARE + 2 * n + clients, np.int64),
        ticket=np.empty((tickets, layout.N_TICKET), np.int64),
        moment=np.empty((tickets, layout.N_MOMENT)),
        gone=np.zeros(tickets, np.bool_),
        worker=_worker_table(plan, n),
        pace=_pace_table(plan, n),
        sent=np.full(plan.n, math.nan),
        finished=np.full(plan.n, math.nan),
        outcome=np.full(plan.n, record.UNFINISHED, np.int8),
        answered_by=np.full(plan.n, NONE, np.int64),
        pages=blank_pages(plan.n + SPARE),
        happenings=_blank_happenings(plan, n),
        patience=_patience(plan, tickets),
        master=_master(plan, tickets),
        faults=Faults(_frozen_table(plan)) if len(plan.faults.time) else None,
        sharing=_sharing(n, tickets) if plan.discipline == p.PS else None,
        loop=_loop(plan.costs) if plan.discipline == p.EVENT_LOOP else None,
    )


def _loop(costs: p.Costs) -> Loop:
    return Loop(
        accept_s=costs.worker_accept,
        turn_s=costs.worker_turn,
        setup_s=costs.worker_setup,
        setup_share=costs.setup_share,
        setup_seed=costs.setup_seed,
        wake=frozen(costs.worker_wake, np.float64),
        wake_seed=costs.wake_seed,
        herd_s=costs.herd,
    )


def _worker_table(plan: Plan, n: int) -> np.ndarray:
    table = np.zeros((n, layout.N_WORKER), np.int64)
    for line in (
        layout.QUEUE, layout.SERVING, layout.READY, layout.ACCEPTED, layout.ANSWERS,
        layout.ACCEPTS, layout.HANDLES,
    ):  # fmt: skip
        table[:, line : line + 2] = NONE
    table[:, layout.DEPARTING] = NONE
    table[:, layout.CONCURRENCY] = plan.workers.concurrency
    return table


def _pace_table(plan: Plan, n: int) -> np.ndarray:
    table = np.zeros((n, layout.N_PACE))
    table[:, layout.SPEED] = plan.workers.speed
    table[:, layout.TURN_DUE] = math.nan
    return table


def blank_pages(size: int) -> Handovers:
    """Return room for handovers of which nothing is known."""
    return Handovers(
        ticket=np.empty(size, np.int64),
        worker=np.empty(size, np.int64),
        dispatched=np.empty(size),
        started=np.empty(size),
        ended=np.empty(size),
        ending=np.empty(size, np.int8),
        miss=np.empty(size, np.bool_),
    )


def _blank_happenings(plan: Plan, n: int) -> Happenings:
    # Every worker comes up once; a fault of the table brings at most three entries (a crash:
    # that it happens, is noticed, and that the worker is up), and so does a worker of a reload.
    size = n + 3 * (len(plan.faults.time) + len(plan.faults.reloads))
    return Happenings(
        time=np.zeros(size),
        what=np.zeros(size, np.int8),
        worker=np.zeros(size, np.int64),
        value=np.zeros(size),
    )


def _patience(plan: Plan, tickets: int) -> Patience | None:
    patience = plan.patience
    if math.isinf(patience.timeout) and math.isinf(patience.hedge_after) and patience.tries == 1:
        return None
    hedged = patience.hedge_after < math.inf
    return Patience(
        timeout=patience.timeout,
        tries=patience.tries,
        hedge_after=patience.hedge_after,
        per_try=2 if hedged else 1,
        backoff=patience.backoff,
        backoff_factor=patience.backoff_factor,
        jitter=patience.jitter,
        take_back=patience.take_back,
        jitter_seed=patience.jitter_seed,
        wanted=np.zeros(tickets, np.bool_),
        attempt=np.empty(plan.n, np.int64),
        timeouts=_timers(plan.n if patience.timeout < math.inf else 0),
        hedges=_timers(plan.n if hedged else 0),
    )


def _timers(n: int) -> Timers:
    timers = Timers(
        time=np.empty(n),
        next=np.empty(n + 1, np.int64),
        previous=np.empty(n + 1, np.int64),
    )
    timers.next[n] = timers.previous[n] = n
    return timers


def _master(plan: Plan, tickets: int) -> Master | None:
    costs = plan.costs
    if costs.master_accept == costs.master_dispatch == costs.master_per_byte == 0.0:
        return None
    return Master(
        accept_s=costs.master_accept,
        dispatch_s=costs.master_dispatch,
        per_byte_s=costs.master_per_byte,
        payload=frozen(plan.payload, np.float64),
        job_ticket=np.zeros(SPARE, np.int64),
        job_number=np.zeros(SPARE, np.int64),
        accepting=np.zeros(tickets, np.bool_),
        handing=np.empty(tickets, np.int64),
    )


def _frozen_table(plan: Plan) -> p.FaultTable:
    table = plan.faults
    return table._replace(
        time=frozen(table.time, np.float64),
        kind=frozen(table.kind, np.int64),
        worker=frozen(table.worker, np.int64),
        value=frozen(table.value, np.float64),
        reloads=frozen(table.reloads, np.int64),
    )


def _sharing(n: int, tickets: int) -> Sharing:
    computing = make_queues(n, tickets, ranked=True)
    computing.serial[:] = np.arange(tickets)
    return Sharing(computing=computing, count=np.zeros(n, np.int64))


# --- growing ---------------------------------------------------------------------------------


def enlarged(s: State) -> State:
    """Return the state with room for what may come; its arrays are at least doubled."""
    need = int(room_needed(s))
    pages = s.pages
    if s.count[layout.PAGES] + need > len(pages.ticket):
        size = 2 * len(pages.ticket) + need
        pages = Handovers(
            *(_grown(old, new) for old, new in zip(pages, blank_pages(size), strict=True))
        )
    heap_time, heap_key = s.heap_time, s.heap_key
    if s.count[layout.SIZE] + 2 * need > len(heap_time):
        size = 2 * len(heap_time) + 2 * need
        heap_time = _grown(heap_time, np.zeros(size))
        heap_key = _grown(heap_key, np.zeros(size, np.int64))
    master = s.master
    if master is not None and s.count[layout.JOBS] + need > len(master.job_ticket):
        master = _with_more_jobs(s, master, need)
    return s._replace(pages=pages, heap_time=heap_time, heap_key=heap_key, master=master)


def _grown(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    new[: len(old)] = old
    return new


def _with_more_jobs(s: State, master: Master, need: int) -> Master:
    """Straighten the ring of jobs into a larger one, whose size is a power of two."""
    size = len(master.job_ticket)
    first, jobs = int(s.count[layout.JOB_FIRST]), int(s.count[layout.JOBS])
    places = (first + np.arange(jobs)) & (size - 1)
    larger = 1 << (size + need).bit_length()
    s.count[layout.JOB_FIRST] = 0
    return master._replace(
        job_ticket=_grown(master.job_ticket[places], np.zeros(larger, np.int64)),
        job_number=_grown(master.job_number[places], np.zeros(larger, np.int64)),
    )


# --- the record ------------------------------------------------------------------------------


def record_of(s: State) -> Record:
    """Return what has been written down."""
    pages = int(s.count[layout.PAGES])
    happened = int(s.count[layout.HAPPENED])
    return record.in_order_of_tickets(
        s.sent,
        s.finished,
        s.outcome,
        s.answered_by,
        Handovers(*(column[:pages] for column in s.pages)),
        Happenings(*(column[:happened] for column in s.happenings)),
        s.copies,
    )

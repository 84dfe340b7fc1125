"""Which path a run takes, and the short ones from end to end."""

from typing import Any

import numpy as np
from numba import typeof

from lbsim import dispatch
from lbsim.engines import record
from lbsim.engines.compiled import few, levels, short, views, wheel
from lbsim.engines.compiled.fingerprint import Reach
from lbsim.engines.compiled.value import PolicyValue
from lbsim.engines.interrupt import Interrupt
from lbsim.engines.later import Later
from lbsim.engines.plan import FCFS, Plan, head_of
from lbsim.engines.progress import Progress
from lbsim.engines.record import Handovers, Happenings, Record
from lbsim.policy import UNLIMITED, Policy, least_loaded

__all__ = [
    "BLIND",
    "FEW",
    "INDEXED",
    "LAZY",
    "ShortRun",
    "boot",
    "columns_of",
    "record_of",
    "run_short",
    "short_path",
]

BLIND, LAZY, FEW, INDEXED = "blind", "lazy", "few", "indexed"

ROWS_AT_ONCE = 1 << 18
"""Between two calls of a kernel the user may interrupt, and progress is shown."""


def short_path(plan: Plan, policy: Policy, reach: Reach) -> str | None:
    """Say which short path a run may take, or None.

    What a policy must not look at is looked up by name here, so that no kernel is compiled in
    vain; the proof is that the kernel of the path can be compiled at all
    (`lbsim.engines.compiled.views`).
    """
    if not _is_plain(plan):
        return None
    kind = type(policy)
    if policy.needs_ack or policy.slots < UNLIMITED:
        return None
    if kind.on_complete is not Policy.on_complete or kind.on_ready is not Policy.on_ready:
        return None
    if reach.names & {"latency", "index"}:
        return None
    if least_loaded in reach.functions:
        return FEW if len(plan.workers.speed) <= few.MOST else INDEXED
    return LAZY if "in_flight" in reach.names else BLIND


def _is_plain(plan: Plan) -> bool:
    """Say whether a departure is known as soon as a request is dispatched."""
    costs = plan.costs
    return (
        plan.discipline == FCFS
        and plan.copies == 1
        and not plan.closed
        and bool((plan.workers.concurrency == 1).all())
        and bool((plan.workers.slots >= UNLIMITED).all())
        and costs.master_accept == costs.master_dispatch == costs.master_per_byte == 0.0
        and (costs.session_miss == 0.0 or bool((plan.requests.key < 0).all()))
        and len(plan.faults.time) == 0
        and plan.patience.timeout == plan.patience.hedge_after == np.inf
        and plan.info_every == plan.info_delay == 0.0
    )


class ShortRun:
    """A run on a short path, resumable row by row.

    Parameters
    ----------
    path : {"blind", "lazy", "few", "indexed"}
    plan : Plan
    policy : Policy
        Prepared; its hook `on_up` is called here, once for each worker.
    value : PolicyValue
        Of that policy, made after `boot`.
    rng : numpy.random.Generator
        The policy's.
    """

    def __init__(self, path: str, plan: Plan, value: PolicyValue, rng: np.random.Generator) -> None:
        n = len(plan.workers.speed)
        self.path = path
        self.value = value
        self.rng = rng
        self.at = np.zeros(1, np.int64)
        self.workers = short.Workers(
            up=np.arange(n),
            is_up=np.ones(n, np.bool_),
            slots=np.minimum(plan.workers.slots, UNLIMITED),
            weight=plan.workers.weight,
            speed=plan.workers.speed,
            idle_from=np.zeros(n),
        )
        if path == LAZY:
            self.pool = views.make_pool(n, max(1024, 4 * n))
        elif path == FEW:
            self.pool = views.make_pool(few.padded(n), max(1024, 4 * n))
            self.few = few.make_few(n)
        elif path == INDEXED:
            self.loads = np.zeros(n, np.int64)
            self.levels = levels.make_levels(n)
            self.departures = _wheel_for(plan, n)

    def advance(self, columns: short.Columns, rows: short.Rows, first: int, last: int) -> bool:
        """Serve rows `first` to `last` (exclusive). Return False if the policy left the path."""
        while True:
            kernel, arguments = self._kernel(columns, rows, first, last)
            status = kernel(*arguments)
            if status != short.FULL:
                return bool(status == short.DONE)
            first = int(self.at[0])
            if self.path in (LAZY, FEW):
                self.pool = views.larger(self.pool)
            else:
                self.departures = wheel.larger(self.departures)

    def compile(self, columns: short.Columns, rows: short.Rows) -> None:
        """Compile the kernel, or load it; raises whatever Numba does if it cannot."""
        kernel, arguments = self._kernel(columns, rows, 0, 0)
        kernel.compile(tuple(typeof(argument) for argument in arguments))

    def _kernel(
        self, columns: short.Columns, rows: short.Rows, first: int, last: int
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return the kernel of this path and its arguments."""
        common = (self.value, columns, self.workers, self.rng)
        if self.path == BLIND:
            return short.blind, (*common, rows, first, last, self.at)
        if self.path == LAZY:
            return short.lazy, (*common, self.pool, rows, first, last, self.at)
        if self.path == FEW:
            loads = self.pool.count[: len(self.workers.up)]
            return short.few, (*common, self.pool, loads, self.few, rows, first, last, self.at)
        index = (self.loads, self.levels, self.departures)
        return short.indexed, (*common, *index, rows, first, last, self.at)


def columns_of(plan: Plan, oracle: bool) -> short.Columns:
    """Return what a short path reads of each request."""
    requests = plan.requests
    service = requests.service if oracle else _unknown(requests.size)
    return short.read_only(
        plan.arrival, plan.work, plan.wait, requests.key, requests.kind, requests.priority,
        requests.size, service,
    )  # fmt: skip


def _unknown(size: np.ndarray) -> np.ndarray:
    """Return NaN for every request: the estimates themselves, where there are none."""
    return size if np.isnan(size).all() else np.full(len(size), np.nan)


def empty_rows(n: int) -> short.Rows:
    """Return room for the rows of `n` requests."""
    return short.Rows(np.empty(n, np.int64), np.empty(n), np.empty(n))


def run_short(
    run: ShortRun, plan: Plan, columns: short.Columns, rows: short.Rows, progress: Progress
) -> Record | None:
    """Run a whole plan on a short path. Return None if the policy left it."""
    n = plan.n
    last = 0
    with Interrupt() as interrupt:
        for first in range(0, n, ROWS_AT_ONCE):
            last = min(first + ROWS_AT_ONCE, n)
            if not run.advance(columns, rows, first, last):
                return None
            progress.done(last)
            if interrupt.wanted:
                break
    interrupt.warn(last, n)
    if last == n:
        return record_of(plan, rows)
    done = record_of(head_of(plan, last), short.Rows(*(column[:last] for column in rows)))
    return record.unfinished_from(done, n)


def record_of(plan: Plan, rows: short.Rows) -> Record:
    """Return the record of a run in which every request was answered at the first attempt.

    Arrays that are equal by nature are the same array.
    """
    n = plan.n
    number = np.arange(n)
    first_code = np.zeros(n, np.int8)  # of endings and of outcomes: "answered" and "ok"
    workers = len(plan.workers.speed)
    return Record(
        arrival=plan.arrival,
        finished=rows.finished,
        outcome=first_code,
        answer=number,
        handovers=Handovers(
            ticket=number,
            worker=rows.worker,
            dispatched=plan.arrival,
            started=rows.started,
            ended=rows.finished,
            ending=first_code,
            # It takes longer than all the rest, and few look at it.
            miss=Later(  # type: ignore[arg-type]
                record.session_misses, plan.requests.key, rows.worker, plan.arrival, rows.started
            ),
        ),
        happenings=Happenings(
            time=np.zeros(workers),
            what=np.full(workers, record.CAME_UP, np.int8),
            worker=np.arange(workers),
            value=np.zeros(workers),
        ),
    )


def boot(plan: Plan, policy: Policy) -> np.random.Generator:
    """Let a prepared policy hear that every worker is up; return its stream of chance."""
    rng = np.random.Generator(np.random.PCG64(plan.policy_seed))
    if type(policy).on_up is not Policy.on_up:
        one = np.zeros(1, np.int64)
        core = dispatch.make_core(
            policy,
            dispatch.Requests(one, one, one, np.zeros(1), np.zeros(1)),
            plan.workers.slots,
            plan.workers.weight,
            rng,
        )
        for worker in range(len(plan.workers.speed)):
            dispatch.worker_up(core, policy, 0.0, worker)
    return rng


def _wheel_for(plan: Plan, n_workers: int) -> wheel.Wheel:
    """Return a wheel whose turn is some service times long, with about one arrival a slot."""
    span = float(plan.arrival[-1] - plan.arrival[0]) if plan.n else 0.0
    width = 2.0 * span / max(plan.n, 1)
    if not width > 0.0:
        width = 1.0
    turn = 4.0 * float(np.mean(plan.work))
    slots = int(min(max(turn / width, 64.0), 1 << 20))
    begin = max(0.0, float(plan.arrival[0])) if plan.n else 0.0
    return wheel.make_wheel(1 << (slots - 1).bit_length(), width, max(1024, 2 * n_workers), begin)

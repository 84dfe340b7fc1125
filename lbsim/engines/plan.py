"""The plan of a run: workload, cluster and client as plain numbers, checked once.

Both engines read a plan and nothing else, so neither can understand an option differently.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lbsim.client import TAKE_BACK, Client
from lbsim.cluster import DISCIPLINES, Cluster
from lbsim.dispatch import Core, Requests, make_core
from lbsim.faults import Crash, Hang, Reload, SlowDown
from lbsim.policy import Policy

if TYPE_CHECKING:
    from lbsim.workload import Workload

__all__ = [
    "Costs",
    "FaultTable",
    "Patience",
    "Plan",
    "Workers",
    "frozen",
    "head_of",
    "make_plan",
    "new_core",
    "with_sessions",
]

# --- kinds of events, in their order at one instant ------------------------------------------

FAULT = 0  # crash, hang, slow-down, beginning of a reload; the master notices a crash
UP = 1  # a worker has booted
COMPLETION = 2  # work or waiting is over
TURN = 3  # an event loop begins a turn, or has accepted a connection
TIMEOUT = 4
RETRY = 5  # a client sends a retry or a hedge
MASTER = 6  # the master finishes a job
ARRIVAL = 7

# --- kinds of faults -----------------------------------------------------------------------

CRASH = 0
NOTICE = 1  # the master learns of a crash; never in a schedule, follows CRASH
HANG = 2
RESUME = 3
SPEED = 4
RELOAD = 5

# --- disciplines, and what is taken back ---------------------------------------------------

FCFS, PS, EVENT_LOOP = range(len(DISCIPLINES))
NOTHING, HELD, QUEUED, SERVICE = range(len(TAKE_BACK))


class Workers(NamedTuple):
    """Of each worker; arrays of shape (n_workers,)."""

    speed: np.ndarray
    concurrency: np.ndarray
    slots: np.ndarray
    weight: np.ndarray


class Costs(NamedTuple):
    """Times that the system itself takes, in seconds."""

    master_accept: float
    master_dispatch: float
    master_per_byte: float
    worker_accept: float
    worker_turn: float
    worker_setup: float
    setup_share: float
    setup_seed: int
    worker_wake: np.ndarray  # a spread
    wake_seed: int
    herd: float
    session_miss: float


class FaultTable(NamedTuple):
    """The schedule in order of time; arrays of shape (n_faults,), then the supervision."""

    time: np.ndarray
    kind: np.ndarray
    worker: np.ndarray  # for RELOAD: how many workers
    value: np.ndarray  # for SPEED: the new speed
    reloads: np.ndarray  # workers of all reloads, one after the other
    detect: float
    restart: float
    backoff: float
    backoff_limit: float
    healthy: float


class Patience(NamedTuple):
    """What clients do; times in seconds, infinite for never."""

    timeout: float
    tries: int
    hedge_after: float
    backoff: float
    backoff_factor: float
    jitter: float
    take_back: int
    jitter_seed: int


class Plan(NamedTuple):
    """Everything an engine needs.

    A ticket is one copy of a request: ticket ``row * copies + j``. Without hedging, copy j is
    try j; with it, try j is copies 2 j (sent first) and 2 j + 1 (the hedge).
    """

    n: int
    copies: int
    closed: bool
    arrival: np.ndarray
    work: np.ndarray  # computing, the overhead included
    wait: np.ndarray
    payload: np.ndarray
    session: np.ndarray  # dense numbers of the keys, -1 for none; filled by `with_sessions`
    n_sessions: int
    clients: int  # closed loop: row k * clients + c is request k of client c
    think: np.ndarray
    requests: Requests
    discipline: int
    workers: Workers
    costs: Costs
    faults: FaultTable
    patience: Patience
    max_attempts: int
    queue_limit: int
    info_every: float
    info_delay: float
    policy_seed: int


def make_plan(workload: "Workload", cluster: Cluster, client: Client, seed: int) -> Plan:
    """Turn a run's description into numbers.

    Parameters
    ----------
    workload, cluster, client
        Already valid: their constructors see to it.
    seed : int
        Of the policy's, the clients' and the workers' chance; the workload has its own.
    """
    n = len(workload)
    policy_seed, jitter_seed, *_ = _seeds(seed)
    *_, setup_seed, wake_seed = _seeds((seed, cluster.cost_seed))
    clients = workload.n_clients
    closed = clients > 0
    return Plan(
        n=n,
        copies=client.copies,
        closed=closed,
        arrival=workload.arrival,
        work=workload.cpu + cluster.overhead_s if cluster.overhead_s else workload.cpu,
        wait=workload.wait,
        payload=workload.payload,
        session=np.empty(0, np.int64),
        n_sessions=0,
        clients=clients,
        think=workload.think if closed else np.zeros(0),
        requests=Requests(
            key=workload.key,
            kind=workload.kind,
            priority=workload.priority,
            size=workload.size,
            service=workload.service,
        ),
        discipline=DISCIPLINES.index(cluster.discipline),
        workers=Workers(
            speed=np.array(cluster.speeds, np.float64),
            concurrency=np.array(cluster.concurrency, np.int64),
            slots=np.array(cluster.slots, np.int64),
            weight=np.array(cluster.weights, np.float64),
        ),
        costs=Costs(
            master_accept=cluster.master.accept_s,
            master_dispatch=cluster.master.dispatch_s,
            master_per_byte=cluster.master.per_byte_s,
            worker_accept=cluster.accept_s,
            worker_turn=cluster.turn_s,
            worker_setup=cluster.setup_s,
            setup_share=cluster.setup_share,
            setup_seed=setup_seed,
            worker_wake=np.array(cluster.wake_s, np.float64),
            wake_seed=wake_seed,
            herd=cluster.herd_s,
            session_miss=cluster.session_miss_s,
        ),
        faults=_fault_table(cluster),
        patience=Patience(
            timeout=math.inf if client.timeout is None else client.timeout,
            tries=1 + client.retries,
            hedge_after=math.inf if client.hedge_after is None else client.hedge_after,
            backoff=client.backoff,
            backoff_factor=client.backoff_factor,
            jitter=client.jitter,
            take_back=TAKE_BACK.index(client.take_back),
            jitter_seed=jitter_seed,
        ),
        max_attempts=cluster.max_attempts,
        queue_limit=-1 if cluster.queue_limit is None else cluster.queue_limit,
        info_every=cluster.info_every_s,
        info_delay=cluster.info_delay_s,
        policy_seed=policy_seed,
    )


def _seeds(entropy: int | tuple[int, ...]) -> list[int]:
    return [
        int(s.generate_state(1, np.uint64)[0] >> np.uint64(1))
        for s in np.random.SeedSequence(entropy).spawn(4)
    ]


def head_of(plan: Plan, n: int) -> Plan:
    """Return the same plan for the first `n` requests only."""
    n = min(n, plan.n)
    return plan._replace(
        n=n,
        arrival=plan.arrival[:n],
        work=plan.work[:n],
        wait=plan.wait[:n],
        payload=plan.payload[:n],
        session=plan.session[:n],
        think=plan.think[:n],
        requests=Requests(*(column[:n] for column in plan.requests)),
    )


def with_sessions(plan: Plan) -> Plan:
    """Return the plan with the keys of its requests numbered densely."""
    if plan.n_sessions > 0:
        return plan
    key = plan.requests.key
    if len(key) == 0 or key.max() < 0:
        return plan._replace(session=np.full(plan.n, -1, np.int64))
    keys, session = np.unique(key, return_inverse=True)
    session = np.where(key < 0, -1, session).astype(np.int64)
    return plan._replace(session=session, n_sessions=len(keys))


def new_core(plan: Plan, policy: Policy) -> Core:
    """Return a fresh dispatcher for one run of `plan` under a prepared policy."""
    requests = plan.requests
    if not policy.oracle:
        unknown = np.full(len(requests.key), np.nan)
        requests = requests._replace(service=unknown)
    return make_core(
        policy,
        Requests(*(frozen(column) for column in requests)),
        plan.workers.slots,
        plan.workers.weight,
        np.random.Generator(np.random.PCG64(plan.policy_seed)),
        copies=plan.copies,
        max_attempts=plan.max_attempts,
        queue_limit=plan.queue_limit,
        info_every=plan.info_every,
        info_delay=plan.info_delay,
    )


def frozen(array: np.ndarray, kind: Any = None) -> np.ndarray:
    """Return a read-only, contiguous view of an array, or of a copy if it must be.

    To a compiler, an array that can be written to and one that cannot are different types: a
    kernel that was compiled for one would be compiled again for the other.
    """
    view = np.ascontiguousarray(array, kind).view()
    view.flags.writeable = False
    return view


def _fault_table(cluster: Cluster) -> FaultTable:
    faults = cluster.faults
    rows: list[tuple[float, int, int, float]] = []
    reloads: list[int] = []
    for fault in sorted(faults.schedule, key=lambda fault: fault.at):
        match fault:
            case Crash(worker, at):
                rows.append((at, CRASH, worker, 0.0))
            case Hang(worker, at, duration):
                rows.append((at, HANG, worker, 0.0))
                rows.append((at + duration, RESUME, worker, 0.0))
            case SlowDown(worker, at, duration, factor):
                speed = cluster.speeds[worker]
                rows.append((at, SPEED, worker, speed * factor))
                if duration < math.inf:
                    rows.append((at + duration, SPEED, worker, speed))
            case Reload(at, workers):
                chosen = range(cluster.workers) if workers is None else workers
                rows.append((at, RELOAD, len(chosen), 0.0))
                reloads.extend(chosen)
    rows.sort(key=lambda row: row[0])
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return FaultTable(
        time=np.array(columns[0], np.float64),
        kind=np.array(columns[1], np.int64),
        worker=np.array(columns[2], np.int64),
        value=np.array(columns[3], np.float64),
        reloads=np.array(reloads, np.int64),
        detect=faults.detect_s,
        restart=faults.restart_s,
        backoff=faults.backoff,
        backoff_limit=faults.backoff_limit_s,
        healthy=faults.healthy_s,
    )

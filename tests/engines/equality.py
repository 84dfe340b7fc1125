"""What the equality tests share: how engines are compared, and what is tried."""

import math

import numpy as np
from hypothesis import strategies as st

import lbsim
from lbsim import (
    Client,
    ClosedLoop,
    Cluster,
    Crash,
    Faults,
    Hang,
    Master,
    Reload,
    SlowDown,
    Workload,
)
from lbsim.engines import readable
from lbsim.engines.plan import make_plan
from tests.conftest import every_policy

POLICIES = every_policy()


def same(a, b, where=""):
    """Assert that two records (or parts of records) are equal to the last bit."""
    for name in a._fields:
        x, y = getattr(a, name), getattr(b, name)
        if hasattr(x, "_fields"):
            same(x, y, f"{name}.")
        else:
            assert x.dtype == y.dtype, f"{where}{name}: {x.dtype} and {y.dtype}"
            np.testing.assert_array_equal(x, y, err_msg=where + name)


def compare(engine, workload, policy, cluster, client=None, seed=0):
    """Assert that an engine, ``engine(plan, policy)``, gives what the readable one gives."""
    plan = make_plan(workload, cluster, client or Client(), seed)
    expected = readable.run(plan, policy)
    same(expected, engine(plan, policy))
    return expected


def workload(n=120, workers=4, load=0.9, ties=False, waits=True, seed=1):
    """Requests with every column. With `ties`, all times are whole numbers."""
    rng = np.random.default_rng(seed)
    arrival = np.sort(rng.random(n)) * n / (workers * load)
    service = rng.exponential(1.0, n)
    wait = rng.exponential(1.0, n) * (rng.random(n) < 0.5) if waits else np.zeros(n)
    if ties:
        arrival = np.arange(n) // workers * 1.0
        service = np.ones(n)
        wait = np.arange(n) % 2.0 if waits else wait
    return Workload.from_arrays(
        arrival,
        service,
        wait=wait,
        key=rng.integers(-1, 12, n),
        kind=rng.integers(0, 3, n),
        priority=rng.integers(0, 3, n),
        size=np.where(rng.random(n) < 0.2, np.nan, service),
        payload=np.floor(rng.exponential(3.0, n)),
    )


def closed_loop(ties=False):
    """Clients that think between their requests."""
    return Workload.synthetic(
        120,
        arrivals=ClosedLoop(6, think=1.0 if ties else lbsim.Exponential(1.0)),
        service=1.0 if ties else lbsim.Exponential(1.0),
        sessions=5,
        seed=3,
    )


# What goes wrong at all kinds of workers; times on the grid of the ties.
TROUBLE = Faults(
    Crash(0, 3.0),
    Crash(1, 3.0),
    Hang(2, 4.0, 3.0),
    SlowDown(1, 6.0, 8.0, 0.5),
    SlowDown(2, 5.0, 9.0, 2.0),
    Crash(2, 6.0),
    Crash(0, 6.0),
    Reload(12.0),
    Hang(0, 13.0, 2.0),
    Crash(3, 13.0),
    Reload(20.0, (3, 3, 0)),
    detect_s=1.0,
    restart_s=2.0,
)
IMPATIENT = Client(timeout=2.0, retries=2, backoff=1.0, jitter=0.5, take_back="held")
HEDGING = Client(timeout=6.0, retries=1, hedge_after=2.0, take_back="service")
BUSY_MASTER = Master(accept_s=0.125, dispatch_s=0.125, per_byte_s=0.0625)

FEATURES = {
    "plain": ({}, None),
    "speeds and servers": ({"speeds": (0.5, 1.0, 2.0, 1.0), "concurrency": (1, 2, 1, 3)}, None),
    "slots and a full queue": ({"slots": (1, 2, 1, 3), "queue_limit": 5}, None),
    "sessions": ({"session_miss_s": 0.5, "overhead_s": 0.25}, None),
    "sharing": ({"discipline": "ps", "concurrency": 3}, None),
    "event loop": ({"discipline": "event_loop", "accept_s": 0.25, "turn_s": 0.5}, None),
    "event loop that sets up": (
        {"discipline": "event_loop", "setup_s": 0.5, "setup_share": 0.5, "master": BUSY_MASTER},
        None,
    ),
    "event loop that sleeps": (
        {"discipline": "event_loop", "wake_s": (0.0, 0.25, 1.0), "herd_s": 0.25},
        None,
    ),
    "sleeping event loop, busy master, trouble": (
        {
            "discipline": "event_loop",
            "wake_s": 0.5,
            "herd_s": 0.5,
            "master": BUSY_MASTER,
            "faults": TROUBLE,
        },
        IMPATIENT,
    ),
    "busy master": ({"master": BUSY_MASTER}, None),
    "busy master, sharing": ({"master": BUSY_MASTER, "discipline": "ps", "slots": 2}, None),
    "busy master, event loop": ({"master": BUSY_MASTER, "discipline": "event_loop"}, None),
    "trouble": ({"faults": TROUBLE, "concurrency": 2}, None),
    "trouble, sharing": ({"faults": TROUBLE, "discipline": "ps", "session_miss_s": 1.0}, None),
    "trouble, event loop": ({"faults": TROUBLE, "discipline": "event_loop"}, None),
    "trouble, busy master": ({"faults": TROUBLE, "master": BUSY_MASTER, "max_attempts": 2}, None),
    "impatient clients": ({}, IMPATIENT),
    "impatient clients, trouble": ({"faults": TROUBLE, "max_attempts": 1}, IMPATIENT),
    "hedging": ({}, HEDGING),
    "hedging, sharing": ({"discipline": "ps", "concurrency": 2}, HEDGING),
    "hedging, event loop, trouble": (
        {"discipline": "event_loop", "faults": TROUBLE, "setup_s": 0.25, "setup_share": 0.5},
        HEDGING,
    ),
    "everything": (
        {
            "faults": TROUBLE,
            "master": BUSY_MASTER,
            "slots": 3,
            "queue_limit": 20,
            "session_miss_s": 1.0,
            "speeds": (1.0, 2.0, 1.0, 0.5),
        },
        Client(timeout=4.0, retries=2, hedge_after=1.0, jitter=0.5, take_back="queued"),
    ),
    "a board of loads": ({"info_every_s": 2.0}, None),
    "old loads": ({"info_delay_s": 1.5, "faults": TROUBLE}, None),
}


# --- combinations that hypothesis draws ------------------------------------------------------

TIMES = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5])
SPANS = st.sampled_from([0.5, 1.0, 2.0, 5.0])


@st.composite
def faults(draw, workers, until):
    """A schedule of faults in which nothing overlaps that must not."""
    at = st.integers(0, 2 * int(until)).map(lambda half: half / 2)
    worker = st.integers(0, workers - 1)
    schedule = [Crash(draw(worker), draw(at)) for _ in range(draw(st.integers(0, 4)))]
    schedule += [Hang(w, draw(at), draw(SPANS)) for w in range(workers) if draw(st.booleans())]
    schedule += [
        SlowDown(w, draw(at), draw(SPANS | st.just(math.inf)), draw(st.sampled_from([0.25, 2.0])))
        for w in range(workers)
        if draw(st.booleans())
    ]
    if draw(st.booleans()):
        schedule.append(Reload(draw(at), draw(st.none() | st.just((0, workers - 1)))))
    return Faults(
        *schedule,
        detect_s=draw(TIMES),
        restart_s=draw(TIMES | st.just(math.inf)),
        healthy_s=draw(TIMES),
    )


@st.composite
def clusters(draw, workers, until, discipline=None, always=()):
    """Any cluster, or any of a discipline that always has some options."""
    if discipline is None:
        discipline = draw(st.sampled_from(["fcfs", "ps", "event_loop"]))
    schedules = faults(workers, until)
    masters = st.builds(Master, TIMES, TIMES, TIMES)
    options = {
        "speeds": st.sampled_from([0.5, 1.0, 2.0]),
        "slots": st.integers(1, 4),
        "session_miss_s": SPANS,
        "overhead_s": SPANS,
        "queue_limit": st.integers(0, 6),
        "max_attempts": st.integers(1, 4),
        "master": masters.filter(lambda m: not m.is_free) if "master" in always else masters,
        "faults": schedules.filter(lambda f: f.schedule) if "faults" in always else schedules,
    }
    if discipline == "event_loop":
        options["accept_s"] = options["turn_s"] = options["setup_s"] = TIMES
        options["setup_share"] = st.sampled_from([0.0, 0.5, 1.0])
        options["wake_s"] = TIMES | st.just((0.0, 0.5, 2.0))
        options["herd_s"] = TIMES
    else:
        options["concurrency"] = st.integers(1, 3)
    options[draw(st.sampled_from(["info_every_s", "info_delay_s"]))] = SPANS
    chosen = draw(st.sets(st.sampled_from(sorted(options)))).union(always)
    values = {name: draw(options[name]) for name in sorted(chosen)}
    return Cluster(workers, discipline=discipline, **values)


CLIENTS = st.builds(
    Client,
    timeout=st.none() | SPANS,
    retries=st.integers(0, 2),
    backoff=TIMES,
    jitter=st.sampled_from([0.0, 0.5]),
    hedge_after=st.none() | SPANS,
    take_back=st.sampled_from(["nothing", "held", "queued", "service"]),
)


@st.composite
def cases(draw):
    """A workload, a policy, a cluster and a client."""
    workers = draw(st.sampled_from([1, 2, 3, 5]))
    n = draw(st.sampled_from([10, 40, 100]))
    load = draw(st.sampled_from([0.5, 0.9, 1.5]))
    ties = draw(st.booleans())
    policy = draw(st.sampled_from(POLICIES))
    requests = (
        closed_loop(ties)
        if draw(st.integers(0, 4)) == 0
        else workload(n, workers, load, ties, draw(st.booleans()), seed=draw(st.integers(0, 99)))
    )
    cluster = draw(clusters(workers, n / (workers * load)))
    return requests, policy, cluster, draw(CLIENTS)

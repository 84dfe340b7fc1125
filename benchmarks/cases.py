"""The cases: what is run, against whom, and which mark it should reach."""

import importlib.util
import inspect
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import models
import native
import numpy as np
from harness import Contest, Line, millions

import lbsim
from lbsim import policies

__all__ = ["CASES", "Options"]

SEED = 1
SERVICE = lbsim.Exponential(mean=0.010)


@dataclass
class Options:
    """What the command line says."""

    quick: bool
    programs: native.Programs
    notes: list[str]

    @property
    def rounds(self) -> int:
        """Turns of each contest."""
        return 1 if self.quick else 7

    def size(self, requests: int) -> int:
        """Return how many requests a contender gets."""
        return min(requests, 2_000) if self.quick else requests

    @property
    def has_c(self) -> bool:
        """True if there is a compiler; says so once if not."""
        self.note("C programs: skipped, there is no `cc`", self.programs.compiler is None)
        return self.programs.compiler is not None

    def note(self, text: str, condition: bool = True) -> None:
        """Keep a remark for the end, once."""
        if condition and text not in self.notes:
            self.notes.append(text)


def workload_for(cluster: lbsim.Cluster, n: int, **more: object) -> lbsim.Workload:
    """Return the workload of all cases, already drawn: Poisson, exponential, load 0.9."""
    workload = lbsim.Workload.synthetic(
        n, service=SERVICE, load=0.9, cluster=cluster, seed=SEED, **more
    )
    assert len(workload.columns.arrival) == len(workload.service) == n
    return workload


def check_equal(case: str, run: lbsim.Run, rows: native.Rows) -> None:
    """Stop if the C program and the lab differ in any bit of any row."""
    answered = run.outcome == 0
    for name, ours, theirs in (
        ("worker", np.where(answered, run.worker, -1), rows.worker),
        ("start", np.where(answered, run.started, np.nan), rows.started),
        ("finish", run.finished, rows.finished),
        ("outcome", run.outcome, rows.outcome),
    ):
        if not np.array_equal(ours, theirs, equal_nan=name in ("start", "finish")):
            wrong = np.flatnonzero(~((ours == theirs) | ((ours != ours) & (theirs != theirs))))
            raise AssertionError(
                f"{case}: {name} of request {wrong[0]} is {ours[wrong[0]]!r} in the lab and "
                f"{theirs[wrong[0]]!r} in C ({len(wrong)} rows differ)"
            )


def check_mean(case: str, ours: float, theirs: float) -> None:
    """Stop if two samples of the same law are further apart than chance allows."""
    if not 0.5 < ours / theirs < 2.0:
        raise AssertionError(f"{case}: mean latency {ours:g} s in the lab, {theirs:g} s elsewhere")


# --- plain workers -------------------------------------------------------------------------


def plain(options: Options) -> list[Line]:
    """16 plain workers: rotation, join the shortest queue, power of two choices."""
    cluster = lbsim.Cluster(16)
    found = []
    for label, policy, c_name, heap_name, rule, marks in (
        ("rotation", policies.RoundRobin(), "rotation", "heap_rotation", "rotation", {}),
        ("JSQ", policies.LeastConnections(), "join_shortest", "heap_shortest", "shortest", MARKS),
        ("P2C", policies.PowerOfD(2), "power_of_two", "heap_power_of_two", "power of two", MARKS),
    ):
        case = f"{label}, 16 workers, rows"
        big, small, tiny = (workload_for(cluster, options.size(n)) for n in (10**6, 20_000, 4_000))
        contest = _contest(options, case, big, policy, cluster)
        if options.has_c:
            for name, source, function in (
                ("C, no event heap", "heap_free", c_name),
                ("C, event heap", "event_heap", heap_name),
            ):
                call, rows = native.plain(options.programs, source, function, big, cluster, SEED)
                _add(contest, name, len(big), call)
                call()
                check_equal(case, _simulate(big, policy, cluster), rows)
        _add(contest, "readable", len(small), _call(small, policy, cluster, "readable"))
        _add(contest, "SimPy", len(small), _model(models.simpy_model, rule, small, cluster))
        ours = _simulate(small, policy, cluster).latency.mean()
        check_mean(case, ours, contest.contenders["SimPy"]().mean())
        if rule == "power of two":
            options.note("Ciw: no P2C, which it does not have")
        elif importlib.util.find_spec("ciw") is None:
            options.note("Ciw: skipped, it is not installed (pip install ciw)")
        else:
            _add(contest, "Ciw", len(tiny), _model(models.ciw_model, rule, tiny, cluster))
            ours = _simulate(tiny, policy, cluster).latency.mean()
            check_mean(case, ours, contest.contenders["Ciw"]().mean())
        contest.run()
        found += contest.lines(marks)
        if label == "rotation":
            found.append(contest.against_rate(60e6))
    return found


MARKS = {"C, no event heap": 0.5, "SimPy": 150.0, "Ciw": 1000.0}


def blind(options: Options) -> list[Line]:
    """Random and hashing, 16 plain workers: no load is looked at."""
    cluster = lbsim.Cluster(16)
    found = []
    for policy, more in (
        (policies.Random(), {}),
        (policies.KeyHash(), {"sessions": 10_000}),
        (policies.Maglev(), {"sessions": 10_000}),
    ):
        workload = workload_for(cluster, options.size(10**6), **more)
        name = type(policy).__name__
        contest = _contest(options, f"{name}, 16 workers, rows", workload, policy, cluster)
        contest.run()
        found.append(contest.against_rate(60e6))
    return found


def summary(options: Options) -> list[Line]:
    """The same requests without rows: the summary alone, the drawing not included."""
    if "keep" not in inspect.signature(lbsim.simulate).parameters:
        options.note('summary: skipped, there is no simulate(..., keep="summary") yet')
        return []
    cluster = lbsim.Cluster(16)
    found = []
    for policy in (policies.RoundRobin(), policies.LeastConnections(), policies.PowerOfD(2)):
        name = type(policy).__name__
        workload = workload_for(cluster, options.size(10**6))
        contest = Contest(f"{name}, 16 workers, summary", {}, {}, options.rounds)
        _add(contest, "summary", len(workload), _call(workload, policy, cluster, keep="summary"))
        _add(contest, "lbsim with rows", len(workload), _call(workload, policy, cluster))
        contest.run()
        found += contest.lines({})
    return found


# --- everything on -------------------------------------------------------------------------


def features(options: Options) -> list[Line]:
    """Faults, slots, priorities, timeouts, retries and a master that costs time."""
    workload, cluster, client, policy = everything(options.size(10_000))
    run = _simulate(workload, policy, cluster, client=client)
    if run.source == "compiled":
        workload, cluster, client, policy = everything(options.size(500_000))
    else:
        options.note("every feature on: the compiled engine has no path for it")
    case = "every feature on"
    contest = Contest(case, {}, {}, options.rounds)
    _add(contest, "lbsim", len(workload), _call(workload, policy, cluster, client=client))
    if options.has_c:
        call, rows = native.features(options.programs, workload, cluster, client)
        _add(contest, "C, event heap", len(workload), call)
        call()
        check_equal(case, _simulate(workload, policy, cluster, client=client), rows)
    small, cluster, client, policy = everything(options.size(10_000))
    _add(
        contest,
        "readable",
        len(small),
        _call(small, policy, cluster, "readable", client=client),
    )
    contest.run()
    return contest.lines({"C, event heap": 0.5})


def everything(
    n: int,
) -> tuple[lbsim.Workload, lbsim.Cluster, lbsim.Client, lbsim.Policy]:
    """Return the scenario with every feature on: `n` requests, a crash in about 2,000."""
    length = n * SERVICE.mean / (16 * 0.8)
    crashes = lbsim.random_crashes(16, mean_time_between=25.0, until=length, seed=SEED)
    cluster = lbsim.Cluster(
        16,
        slots=2,
        master=lbsim.Master(accept_s=50e-6, dispatch_s=50e-6),
        faults=lbsim.Faults(*crashes, detect_s=0.02, restart_s=0.1),
    )
    workload = lbsim.Workload.synthetic(
        n,
        service=SERVICE,
        load=0.8,
        cluster=cluster,
        priorities=(0.2, 0.5, 0.3),
        seed=SEED,
    )
    client = lbsim.Client(timeout=0.1, retries=1, backoff=0.01)
    return workload, cluster, client, policies.CentralQueue(order="priority", slots=2)


# --- many workers --------------------------------------------------------------------------


def many(options: Options) -> list[Line]:
    """LeastConnections among 1,000 and 100,000 workers."""
    found = []
    policy = policies.LeastConnections()
    for workers, marks in ((1_000, {"C, indexed": 0.5}), (100_000, {})):
        cluster = lbsim.Cluster(workers)
        workload = workload_for(cluster, options.size(10**6))
        case = f"JSQ, {workers:,} workers, rows"
        contest = _contest(options, case, workload, policy, cluster)
        if options.has_c:
            call, rows = native.plain(
                options.programs, "indexed", "indexed_shortest", workload, cluster, SEED
            )
            _add(contest, "C, indexed", len(workload), call)
            call()
            check_equal(case, _simulate(workload, policy, cluster), rows)
        contest.run()
        found += contest.lines(marks)
        if workers == 100_000:
            found.append(contest.against_rate(2e6))
    return found


# --- what a user waits for -----------------------------------------------------------------


def what_if(options: Options) -> list[Line]:
    """A question of 100,000 requests, the drawing included, in a warm process."""
    n = options.size(100_000)
    cluster = lbsim.Cluster(16)

    def ask() -> object:
        workload = lbsim.Workload.synthetic(
            n, service=SERVICE, load=0.9, cluster=cluster, seed=SEED
        )
        return lbsim.simulate(workload, policies.LeastConnections(), cluster, engine=engine())

    ask()
    times = []
    for _ in range(1 if options.quick else 21):
        begin, used = time.perf_counter(), time.process_time()
        ask()
        times.append((time.perf_counter() - begin, time.process_time() - used))
    seconds, used = (statistics.median(column) for column in zip(*times, strict=True))
    case = f"what if: {n:,} requests, drawing included, warm"
    return [_seconds(case, seconds, used, 0.025, "≤ 25 ms")]


FIRST = """
import lbsim
cluster = lbsim.Cluster(16)
workload = lbsim.Workload.synthetic(
    10_000, service=lbsim.Exponential(0.010), load=0.9, cluster=cluster, seed=1)
print(lbsim.simulate(workload, lbsim.policies.LeastConnections(), cluster, engine="ENGINE"))
"""


def start(options: Options) -> list[Line]:
    """From the start of a new process to its first result, without and with a cache."""
    code = FIRST.replace("ENGINE", engine())
    cold, warm = [], []
    for _ in range(1 if options.quick else 3):
        with tempfile.TemporaryDirectory(prefix="lbsim-cache-") as cache:
            environment = os.environ | {"LBSIM_CACHE_DIR": cache, "NUMBA_CACHE_DIR": cache}
            for times in (cold, warm):
                times.append(_child([sys.executable, "-c", code], environment)[:2])
    return [
        _seconds("first result in a new process, cache empty", *min(cold), 5.0, "≤ 5 s"),
        _seconds("first result in a new process, cache warm", *min(warm), 1.0, "≤ 1 s"),
    ]


def _child(command: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Run a process. Return its seconds, its seconds on a processor, and what it printed."""
    used = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    return seconds, sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - used, done.stdout


STREAM = """
import json, sys, time
import lbsim
n = int(sys.argv[1])
cluster = lbsim.Cluster(16)
workload = lbsim.Workload.synthetic(
    n, service=lbsim.BoundedPareto(alpha=1.5, mean=0.010, maximum=1.0), load=0.9,
    cluster=cluster, seed=1)
begin, used = time.perf_counter(), time.process_time()
summary = lbsim.simulate(
    workload, lbsim.policies.PowerOfD(2), cluster, engine="ENGINE", keep="summary")
seconds, used = time.perf_counter() - begin, time.process_time() - used
# Not ru_maxrss: that of a child begins with what its parent had.
with open("/proc/self/status") as status:
    kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps({
    "seconds": seconds, "used": used, "megabytes": kilobytes / 1024, "n": len(summary)}))
"""


def stream(options: Options, requests: int = 10**8) -> list[Line]:
    """A long run in a process of its own: P2C, bounded Pareto, drawing included, all cores."""
    if "keep" not in inspect.signature(lbsim.simulate).parameters:
        options.note('stream: skipped, there is no simulate(..., keep="summary") yet')
        return []
    n = options.size(requests)
    code = STREAM.replace("ENGINE", engine())
    found = json.loads(_child([sys.executable, "-c", code, str(n)], dict(os.environ))[2])
    assert found["n"] == n
    case = f"{n:,} requests, summary, P2C, bounded Pareto, drawing included"
    rate = n / found["seconds"]
    memory = found["megabytes"]
    return [
        Line(
            case,
            "–",
            f"{found['seconds']:.3g} s, {millions(rate)}",
            f"{found['used']:.3g} s of both processors",
            None,
            f"≥ {millions(1e9 / 120)}",
            rate >= 1e9 / 120,
        ),
        Line(
            f"{case}: resident memory at most",
            "–",
            f"{memory:.0f} MB",
            "",
            None,
            "≤ 400 MB",
            memory <= 400.0,
        ),
    ]


CASES: dict[str, Callable[[Options], list[Line]]] = {
    "plain": plain,
    "blind": blind,
    "summary": summary,
    "features": features,
    "many": many,
    "what-if": what_if,
    "start": start,
    "stream": stream,
}


# --- parts ---------------------------------------------------------------------------------


def engine() -> str:
    """Return the engine that stands for the lab: the compiled one, where there is one."""
    is_there = importlib.util.find_spec("lbsim.engines.compiled") is not None
    return "compiled" if is_there else "readable"


def _simulate(
    workload: lbsim.Workload,
    policy: lbsim.Policy,
    cluster: lbsim.Cluster,
    which: str | None = None,
    **more: object,
) -> lbsim.Run:
    return lbsim.simulate(workload, policy, cluster, engine=which or engine(), seed=SEED, **more)


def _call(
    workload: lbsim.Workload,
    policy: lbsim.Policy,
    cluster: lbsim.Cluster,
    which: str | None = None,
    **more: object,
) -> Callable[[], lbsim.Run]:
    return lambda: _simulate(workload, policy, cluster, which, **more)


def _model(
    model: Callable[..., np.ndarray], rule: str, workload: lbsim.Workload, cluster: lbsim.Cluster
) -> Callable[[], np.ndarray]:
    return lambda: model(rule, workload.arrival, workload.service, cluster.workers)


def _contest(
    options: Options,
    case: str,
    workload: lbsim.Workload,
    policy: lbsim.Policy,
    cluster: lbsim.Cluster,
) -> Contest:
    contest = Contest(case, {}, {}, options.rounds)
    _add(contest, "lbsim", len(workload), _call(workload, policy, cluster))
    return contest


def _add(contest: Contest, name: str, n: int, call: Callable[[], object]) -> None:
    contest.requests[name] = n
    contest.contenders[name] = call


def _seconds(case: str, seconds: float, used: float, limit: float, mark: str) -> Line:
    shown, of_them = (f"{s * 1e3:.3g} ms" if s < 1.0 else f"{s:.3g} s" for s in (seconds, used))
    return Line(case, "–", shown, f"{of_them} of a processor", None, mark, seconds <= limit)

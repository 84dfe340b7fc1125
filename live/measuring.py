"""Replay a workload for real: the same requests, the same policy, forked workers."""

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from lbsim import checks
from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.engines.plan import make_plan
from lbsim.errors import InputError
from lbsim.policy import Policy
from live.child import Job
from live.client import Replay, Task, replay
from live.crew import Crew, carry_out, private_directory
from live.homes import Homes
from live.machine import Disturbance, Watch, facts
from live.measured import MeasuredRun, record_of, record_of_client
from live.options import MODES, check_policy
from live.speed import Speed, sleeper, spinner

if TYPE_CHECKING:
    from lbsim.workload import Workload

__all__ = ["BUSY", "Running", "measure", "measure_against", "server"]

BUSY = ("sleep", "spin")

Progress = Callable[[int], None]


def measure(
    workload: "Workload",
    policy: Policy,
    cluster: Cluster | None = None,
    *,
    workers: int | None = None,
    mode: str = "pass",
    seed: int = 0,
    client: Client | None = None,
    busy: str = "sleep",
    key_from: str = "query",
    app: Any = None,
    processes: int | None = None,
    grace_s: float = 60.0,
    progress: Progress = lambda _: None,
) -> MeasuredRun:
    """Send a workload's requests to a real server at their own times.

    A master is started in a fresh interpreter (so this works from a notebook, with a policy
    class defined in a cell), forks its workers, and asks the policy for each request. A load
    generator in processes of its own sends the requests, open loop unless the workload is closed,
    one connection a request. All listen on the loopback address only.

    Parameters
    ----------
    workload : Workload
        The same object that `lbsim.simulate` takes.
    policy : Policy
        Not changed: the master uses a copy. Not an oracle.
    cluster : Cluster, optional
        Workers, speeds, slots, weights, faults and retry rule, carried out for real: a `Crash`
        is SIGKILL, a `Hang` SIGSTOP and SIGCONT, a `Reload` SIGHUP. A request whose session is
        elsewhere really waits for `session_miss_s`. Costs (`master`,
        `overhead_s` and others) and restart times are the machine's own here. Discipline "fcfs":
        waiting blocks the worker as computing does; "event_loop": it is awaited.
    workers : int, optional
        Or only how many; they are event loops.
    mode : {"pass", "message", "shared", "reuseport"}
        "pass": the master passes the connection. "message": it passes the request itself, so that
        payload costs. "shared", "reuseport": the kernel chooses the worker, and the policy is
        only what it is believed to do.
    seed : int, default 0
        Of the policy's chance: the same seed, the same choices as in the simulator.
    client : Client, optional
        Timeouts, retries, hedging, really done.
    busy : {"sleep", "spin"}
        What computing is. "sleep": the worker sleeps to a deadline, so that many workers fit on
        few cores. "spin": it uses a core.
    key_from : {"query", "header", "cookie"}
        Where requests carry their session key.
    app : str or ASGI application, optional
        ``"package.module:app"``, or an object. Default: the lab's, which works and waits for as
        long as each request asks.
    processes : int, optional
        Processes of the load generator.
    grace_s : float, default 60
        How long to wait for answers when nothing else happens any more.
    progress : callable, optional
        Is told several times a second how many requests are over.

    Returns
    -------
    MeasuredRun
        A `Run` with ``source == "measured"``: every statistic, plot and report takes it. Stopped
        by Ctrl-C, it holds what was done.

    Raises
    ------
    InputError
        The policy is an oracle, or something asked for cannot be done for real.
    PolicyError
        The policy broke its contract, in the master.
    """
    cluster = _cluster(cluster, workers)
    _check(workload, policy, cluster, mode, busy)
    client = Client() if client is None else client
    plan = make_plan(workload, cluster, client, seed)
    with server(
        policy, cluster, mode=mode, seed=plan.policy_seed, busy=busy, app=app, keys=workload.key
    ) as running:
        task = Task.of(
            _as_sent(workload, cluster),
            running.crew.address,
            client,
            key_from=key_from,
            miss_s=cluster.session_miss_s,
            jitter_seed=plan.patience.jitter_seed,
            grace_s=grace_s,
        )
        with carry_out(running.crew, cluster.faults.schedule) as zero:

            def started(start: float) -> None:
                running.origin.write_text(repr(start), encoding="ascii")
                zero.append(start)

            seen, weather = _watched(task, processes, progress, started)
        stamps, happenings = running.stop(seen.start)
    record, stamps = record_of(seen, stamps, happenings, plan.copies)
    return MeasuredRun(
        workload, policy, cluster, client, seed, "measured", plan.copies, record,
        seen, stamps, *weather, facts(),
    )  # fmt: skip


def measure_against(
    workload: "Workload",
    url: str,
    policy: Policy,
    cluster: Cluster,
    *,
    pids: Sequence[int] = (),
    client: Client | None = None,
    key_from: str = "query",
    keep_alive: bool = False,
    processes: int | None = None,
    grace_s: float = 60.0,
    progress: Progress = lambda _: None,
) -> MeasuredRun:
    """Send a workload's requests to any server that speaks HTTP/1.1.

    Requests are ``GET /work?id=..&cpu_ms=..&wait_ms=..``; the server must do that work. If it
    answers with ``X-Worker`` (a process id), ``X-Accepted-Ns``, ``X-Looked-Ns``, ``X-Started-Ns``
    and ``X-Served-Ns`` (CLOCK_MONOTONIC), the run knows workers and service times.

    Parameters
    ----------
    workload : Workload
    url : str
        As ``http://127.0.0.1:8080``; with a path, requests go there instead of ``/work``.
    policy : Policy
        What the server is believed to do; only a name here.
    cluster : Cluster
        What it is believed to be.
    pids : sequence of int, optional
        The workers' processes in the order of their numbers; by default as they appear.
    client, key_from, processes, grace_s, progress
        As for `measure`.
    keep_alive : bool, default False
        Whether connections are used again.

    Returns
    -------
    MeasuredRun
    """
    address, path = _address_of(url)
    client = Client() if client is None else client
    plan = make_plan(workload, cluster, client, 0)
    task = Task.of(
        workload, address, client, path=path, key_from=key_from,
        jitter_seed=plan.patience.jitter_seed, keep_alive=keep_alive, grace_s=grace_s,
    )  # fmt: skip
    seen, weather = _watched(task, processes, progress, pids=pids or None)
    order = tuple(pids) or _appearing(seen)
    record = record_of_client(seen, order, plan.copies)
    return MeasuredRun(
        workload, policy, cluster, client, 0, "measured", plan.copies, record,
        seen, None, *weather, facts(),
    )  # fmt: skip


@dataclass(frozen=True)
class Running:
    """A server that runs for a measurement.

    Attributes
    ----------
    crew : Crew
    origin : Path
        Where time 0 must be written before the first request, if workers change their speed.
    trace : Path
    """

    crew: Crew
    origin: Path
    trace: Path

    def stop(self, start: float) -> tuple[np.ndarray, np.ndarray]:
        """Stop it, and return its trace: handovers, and what happened to workers.

        Times count from `start`. What went wrong in the master is raised here.
        """
        asked = time.monotonic() - start
        self.crew.stop()
        stamps, happenings = read_trace(self.trace, start)
        return stamps, happenings[happenings["time"] < asked]  # that all left then is no news


@contextmanager
def server(
    policy: Policy,
    cluster: Cluster,
    *,
    mode: str = "pass",
    seed: int = 0,
    busy: str = "sleep",
    app: Any = None,
    keys: np.ndarray | None = None,
) -> Iterator[Running]:
    """Run a server with a cluster's workers until the block is left.

    Parameters
    ----------
    policy, cluster, mode, busy, app
        As for `measure`.
    seed : int
        Of the policy's generator itself.
    keys : ndarray of int64, optional
        Session keys that requests will have; only these have a home.
    """
    with private_directory() as place:
        trace, origin = place / "trace", place / "origin"
        homes = Homes(place / "homes", np.zeros(0, np.int64) if keys is None else keys)
        load = app if isinstance(app, str) else partial(_load, app, cluster, busy, origin, homes)
        options: dict[str, Any] = {
            "workers": cluster.workers,
            "mode": mode,
            "key": "number:key",
            "max_attempts": cluster.max_attempts,
            "slots": cluster.slots,
            "weights": cluster.weights,
            "queue_limit": cluster.queue_limit,
            "seed": seed,
            "trace": str(trace),
        }
        with Crew(place, Job(policy, load, options), cluster.workers) as crew:
            yield Running(crew, origin, trace)


# --- private parts ---------------------------------------------------------------------------


def _cluster(cluster: Cluster | None, workers: int | None) -> Cluster:
    if (cluster is None) == (workers is None):
        raise InputError("measure needs either cluster= or workers=; give one of them")
    if cluster is not None:
        return cluster
    return Cluster(checks.count("measure", "workers", workers), discipline="event_loop")


def _check(workload: "Workload", policy: Policy, cluster: Cluster, mode: str, busy: str) -> None:
    if not isinstance(policy, Policy):
        raise InputError(f"policy = {policy!r} is not a policy object; give a subclass's instance")
    check_policy(policy)
    if mode not in MODES:
        raise InputError(f"mode = {mode!r} is not known; give one of {', '.join(MODES)}")
    if busy not in BUSY:
        raise InputError(f"busy = {busy!r} is not known; give one of {', '.join(BUSY)}")
    if len(workload) == 0:
        raise InputError("the workload has 0 requests; a run needs at least 1")
    if cluster.discipline == "ps":
        raise InputError(
            "cluster: discipline 'ps' (threads that share a core) cannot be measured: the real "
            "workers are single-threaded; give discipline='event_loop' or 'fcfs'"
        )
    if cluster.discipline == "fcfs" and set(cluster.concurrency) != {1}:
        raise InputError(
            f"cluster: concurrency = {cluster.concurrency!r} cannot be measured: a real worker "
            "serves one blocking request at a time; give more workers"
        )
    for name in ("info_delay_s", "info_every_s"):
        if getattr(cluster, name):
            raise InputError(
                f"cluster: {name} = {getattr(cluster, name)!r} cannot be measured: the real "
                "master's knowledge is as old as it is; leave it out"
            )


def _watched(
    task: Task,
    processes: int | None,
    progress: Progress,
    started: Callable[[float], None] = lambda _: None,
    pids: Sequence[int] | None = (),
) -> tuple[Replay, tuple[Disturbance, np.ndarray]]:
    """Send the requests; return what the clients saw, and what else the machine did meanwhile.

    `pids` are of a server that this process has not begun, None if they are not known.
    """
    watch = Watch(pids)

    def look_and_say(done: int) -> None:
        watch.note()
        progress(done)

    seen = replay(task, processes, started, look_and_say)
    return seen, (watch.look(), watch.theft(seen.due))


def _as_sent(workload: "Workload", cluster: Cluster) -> "Workload":
    """Return what the workers are asked for: where waiting blocks, it is asked for as work."""
    if not cluster.wait_holds_worker or not workload.wait.any():
        return workload
    rows = workload.columns
    return replace(
        workload, recipe=None, rows=rows._replace(cpu=rows.cpu + rows.wait, wait=rows.wait * 0.0)
    )


def _load(app: Any, cluster: Cluster, busy: str, origin: Path, homes: Homes) -> Any:
    """Make the application, in a worker."""
    if app is not None:
        return app
    from live.apps import make

    worker = int(os.environ["LIVE_WORKER"])
    if busy == "spin":
        # A stopped process computes nothing by itself.
        block = spinner(Speed.of(cluster, worker, hangs=False), origin)
    else:
        block = sleeper(Speed.of(cluster, worker), origin)
    return make(block=block, store=homes.open)


def read_trace(path: Path, start: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the master's notes with times from time 0."""
    from live.trace import read, read_happenings

    stamps, happenings = read(str(path)), read_happenings(str(path))
    for rows in (stamps, happenings):
        for name in rows.dtype.names or ():
            if rows.dtype[name] == np.float64 and name not in ("miss", "value"):
                rows[name] -= start
    return stamps, happenings


def _address_of(url: str) -> tuple[tuple[str, int], str]:
    import socket

    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise InputError(f"url = {url!r} is not of the form http://HOST:PORT; give such a URL")
    try:
        address = socket.gethostbyname(parts.hostname)
        port = parts.port or 80
        socket.create_connection((address, port), timeout=5).close()
    except (OSError, ValueError) as error:
        raise InputError(f"{url}: no server answers ({error}); start it first") from error
    return (address, port), parts.path if re.search(r"[^/]", parts.path) else "/work"


def _appearing(seen: Replay) -> tuple[int, ...]:
    """Return the process ids that answers name, in order of appearance."""
    return tuple(dict.fromkeys(pid for pid in seen.worker.tolist() if pid))

"""The C programs: compiled into a temporary directory, called on the lab's own arrays."""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import lbsim
from lbsim.client import Client
from lbsim.engines.plan import make_plan

__all__ = ["Programs", "Rows", "features", "plain"]

SOURCES = Path(__file__).parent / "c"
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-shared", "-fPIC")


class Rows(NamedTuple):
    """What a C program fills: one row a request."""

    worker: np.ndarray
    started: np.ndarray
    finished: np.ndarray
    outcome: np.ndarray


class Programs:
    """The C programs of this directory. Use it as a context: it cleans up after itself."""

    def __init__(self) -> None:
        self.compiler = shutil.which("cc")
        self._directory = tempfile.TemporaryDirectory(prefix="lbsim-c-")
        self._libraries: dict[str, ctypes.CDLL] = {}

    def __enter__(self) -> "Programs":
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.cleanup()

    def function(self, source: str, name: str) -> Callable[..., int]:
        """Return a function of ``c/<source>.c``, compiled at its first use."""
        if source not in self._libraries:
            assert self.compiler is not None
            library = Path(self._directory.name) / f"{source}.so"
            command = [self.compiler, *FLAGS, str(SOURCES / f"{source}.c"), "-o", str(library)]
            subprocess.run([*command, "-lm"], check=True)
            self._libraries[source] = ctypes.CDLL(str(library))
        function = self._libraries[source][name]
        function.restype = ctypes.c_int64
        return function


def plain(
    programs: Programs,
    source: str,
    name: str,
    workload: lbsim.Workload,
    cluster: lbsim.Cluster,
    seed: int,
) -> tuple[Callable[[], object], Rows]:
    """Return a call of a C program for plain workers, and the rows that it fills.

    The rows are allocated beforehand and the arrays are in memory: what is timed is the loop.
    It draws what the lab's policy would draw with the same seed.
    """
    plan = make_plan(workload, cluster, Client(), seed)
    rows = _empty(len(workload))
    arrival = np.ascontiguousarray(workload.arrival)
    service = np.ascontiguousarray(workload.service)
    state = np.random.PCG64(plan.policy_seed).state["state"]
    words = np.array(
        [half for number in (state["state"], state["inc"]) for half in divmod(number, 2**64)],
        np.uint64,
    )
    function = programs.function(source, name)
    arguments = [
        ctypes.c_int64(len(workload)),
        ctypes.c_int64(cluster.workers),
        *map(_pointer, (arrival, service, words, rows.worker, rows.started, rows.finished)),
    ]

    def call() -> object:
        if function(*arguments) != 0:
            raise RuntimeError(f"{name}: a worker had more requests than its ring can hold")
        return arrival, service, words, rows  # kept alive as long as the call

    return call, rows


class _Settings(ctypes.Structure):
    """As in features.c."""

    _fields_ = (
        *(
            (name, ctypes.c_double)
            for name in (
                "accept_s",
                "dispatch_s",
                "timeout_s",
                "backoff_s",
                "detect_s",
                "restart_s",
                "restart_factor",
                "restart_limit_s",
                "healthy_s",
            )
        ),
        *((name, ctypes.c_int64) for name in ("slots", "tries", "max_attempts", "n_faults")),
    )


def features(
    programs: Programs, workload: lbsim.Workload, cluster: lbsim.Cluster, client: lbsim.Client
) -> tuple[Callable[[], object], Rows]:
    """Return a call of the C program with every feature on, and the rows that it fills."""
    plan = make_plan(workload, cluster, client, 0)
    rows = _empty(plan.n)
    settings = _Settings(
        plan.costs.master_accept,
        plan.costs.master_dispatch,
        plan.patience.timeout,
        plan.patience.backoff,
        plan.faults.detect,
        plan.faults.restart,
        plan.faults.backoff,
        plan.faults.backoff_limit,
        plan.faults.healthy,
        int(plan.workers.slots[0]),
        plan.patience.tries,
        plan.max_attempts,
        len(plan.faults.time),
    )
    arrays = [
        np.ascontiguousarray(column)
        for column in (
            plan.arrival,
            plan.work,
            plan.requests.priority,
            plan.faults.time,
            plan.faults.worker,
        )
    ]
    function = programs.function("features", "features")
    arguments = [
        ctypes.byref(settings),
        ctypes.c_int64(plan.n),
        ctypes.c_int64(cluster.workers),
        *map(_pointer, (*arrays, *rows)),
    ]

    def call() -> object:
        function(*arguments)
        return settings, arrays, rows  # kept alive as long as the call

    return call, rows


def _empty(n: int) -> Rows:
    return Rows(np.zeros(n, np.int64), np.zeros(n), np.zeros(n), np.zeros(n, np.int8))


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)

"""A master that runs for a measurement, as its parent sees it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lbsim.errors import InputError, PolicyError
from lbsim.faults import Crash, Hang, Reload
from live.child import Job

__all__ = ["Crew", "carry_out", "private_directory"]

BOOT_S = 60.0
STOP_S = 60.0


class Crew:
    """A master in a fresh interpreter, and its workers.

    Parameters
    ----------
    place : Path
        A directory that only this user can read.
    job : Job
    workers : int

    Attributes
    ----------
    address : (str, int)
    pids : dict of int to int
        The present process of each worker.
    """

    def __init__(self, place: Path, job: Job, workers: int) -> None:
        import cloudpickle

        (place / "job").write_bytes(cloudpickle.dumps(job))
        self.workers = workers
        self.pids: dict[int, int] = {}
        self.address = ("", 0)
        self.error: Exception | None = None
        self._up: set[int] = set()
        self._news = threading.Condition()
        self._is_over = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "live.child", str(place), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # a terminal's Ctrl-C is ours to pass on
        )
        self._stderr = ""
        self._readers = [
            threading.Thread(target=self._follow, daemon=True),
            threading.Thread(target=self._hear, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        try:
            self._wait_until(lambda: len(self._up) == self.workers, "all workers are up", BOOT_S)
        except BaseException:
            self._end(signal.SIGKILL)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(signal.SIGTERM)

    def stop(self) -> None:
        """Let the master finish, so that its trace is complete; raise what went wrong in it."""
        self._end(signal.SIGTERM)
        if self.error is not None:
            raise self.error
        if self._process.returncode not in (0, -signal.SIGTERM):
            raise RuntimeError(
                f"the master ended with status {self._process.returncode}:\n{self._stderr[-4000:]}"
            )

    def signal_worker(self, worker: int, number: int) -> None:
        """Send a signal to the present process of a worker, if there is one."""
        # Dead already: as in the simulator, nothing changes.
        with contextlib.suppress(KeyError, ProcessLookupError):
            os.kill(self.pids[worker], number)

    def replace_worker(self, worker: int) -> float:
        """Kill a worker, and return how many seconds it took until its successor was up."""
        with self._news:
            self._up.discard(worker)
        killed = time.monotonic()
        self.signal_worker(worker, signal.SIGKILL)
        self._wait_until(lambda: worker in self._up, f"worker {worker} is up again", BOOT_S)
        return time.monotonic() - killed

    def reload(self) -> None:
        """Ask the master for a rolling reload."""
        self._process.send_signal(signal.SIGHUP)

    @property
    def master_pid(self) -> int:
        """The master's process."""
        return self._process.pid

    # --- private parts -----------------------------------------------------------------------

    def _follow(self) -> None:
        """Read the master's log, line by line."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # an application's own output
            with self._news:
                self._take(event)
                self._news.notify_all()
        with self._news:
            self._is_over = True
            self._news.notify_all()

    def _take(self, event: dict[str, Any]) -> None:
        match event.get("event"):
            case "listening":
                self.address = (event["host"], event["port"])
            case "spawned":
                self.pids[event["worker"]] = event["pid"]
            case "up":
                self._up.add(event["worker"])
            case "exited":
                if self.pids.get(event["worker"]) == event["pid"]:
                    del self.pids[event["worker"]]
            case "error":
                kind = PolicyError if event["kind"] == "PolicyError" else InputError
                self.error = kind(event["text"])

    def _hear(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._stderr = (self._stderr + line)[-100_000:]

    def _wait_until(self, condition: Any, what: str, patience: float) -> None:
        with self._news:
            self._news.wait_for(lambda: condition() or self._is_over, patience)
            if condition():
                return
        if self._is_over:
            self._process.wait()
            for reader in self._readers:
                reader.join(1.0)
            raise self.error or RuntimeError(f"the master did not start:\n{self._stderr[-4000:]}")
        raise RuntimeError(f"not so after {patience:g} s: {what}")

    def _end(self, number: int) -> None:
        if self._process.poll() is None:
            # A worker that is stopped cannot finish what it has.
            for worker in range(self.workers):
                self.signal_worker(worker, signal.SIGCONT)
            self._process.send_signal(number)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for reader in self._readers:
            reader.join(5.0)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def carry_out(crew: Crew, schedule: tuple[Any, ...]) -> Iterator[list[float]]:
    """Make faults happen for real while the block runs, counted from a time 0 told later.

    A crash is SIGKILL, a hang SIGSTOP and SIGCONT, a reload SIGHUP to the master. A slow worker
    is the application's business (`live.speed`). The block appends time 0 to the list it gets.
    """
    plan: list[tuple[float, int, int]] = []
    for fault in schedule:
        if isinstance(fault, Crash):
            plan.append((fault.at, fault.worker, signal.SIGKILL))
        elif isinstance(fault, Hang):
            plan.append((fault.at, fault.worker, signal.SIGSTOP))
            plan.append((fault.at + fault.duration, fault.worker, signal.SIGCONT))
        elif isinstance(fault, Reload):
            if fault.workers is not None and set(fault.workers) != set(range(crew.workers)):
                raise InputError(
                    f"{fault!r}: a real reload takes all workers in turn; give Reload(at=...)"
                )
            plan.append((fault.at, -1, signal.SIGHUP))
    plan.sort()
    origin: list[float] = []
    is_over = threading.Event()

    def work() -> None:
        while not origin:
            if is_over.wait(0.005):
                return
        for at, worker, number in plan:
            if is_over.wait(max(0.0, origin[0] + at - time.monotonic())):
                return
            if worker < 0:
                crew.reload()
            else:
                crew.signal_worker(worker, number)

    thread = threading.Thread(target=work, daemon=True)
    if plan:
        thread.start()
    try:
        yield origin
    finally:
        is_over.set()
        if plan:
            thread.join()


@contextmanager
def private_directory() -> Iterator[Path]:
    """Make a directory that only this user can read, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="lbsim-live-") as name:
        yield Path(name)

"""Run Node.js's own cluster beside ours, if there is a ``node``."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import NamedTuple

from lbsim import checks
from lbsim.errors import InputError
from lbsim.workload import ClosedLoop, Deterministic, Workload
from live.client import Task, replay

__all__ = ["SCHEDULINGS", "WARM", "Peer", "node_cluster"]

SCHEDULINGS = ("rr", "none")
"""Node's ``SCHED_RR`` (its default on Linux) and ``SCHED_NONE``."""

WARM = 4000
"""About how many requests each worker serves before it is measured. V8 compiles what runs often,
step by step: after 1,500 of these a request is on its way a fifth shorter, and what it costs a busy
worker falls by a further twelfth until there were 6,000."""
AT_ONCE = 8
"""Clients for each worker that send them."""


class Peer(NamedTuple):
    """A server that runs.

    Attributes
    ----------
    address : (str, int)
    pids : tuple of int
        Of its workers.
    version : str
    master : int
        The process id of its primary.
    """

    address: tuple[str, int]
    pids: tuple[int, ...]
    version: str
    master: int

    @property
    def url(self) -> str:
        """Where it is, for `live.measuring.measure_against`."""
        host, port = self.address
        return f"http://{host}:{port}"


@contextmanager
def node_cluster(workers: int, scheduling: str = "rr", warm: int = WARM) -> Iterator[Peer]:
    """Run ``node_cluster.js`` until the block is left.

    Parameters
    ----------
    workers : int
    scheduling : {"rr", "none"}
    warm : int, default 4000
        How many requests a worker to send before the block is entered.
    """
    workers = checks.count("node_cluster", "workers", workers)
    if scheduling not in SCHEDULINGS:
        raise InputError(
            f"scheduling = {scheduling!r} is not one of Node's; give one of "
            f"{', '.join(SCHEDULINGS)}"
        )
    program = shutil.which("node")
    if program is None:
        raise InputError("there is no program node; install Node.js, or leave this curve out")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    with (
        as_file(files("live.peers") / "node_cluster.js") as script,
        subprocess.Popen(
            [program, str(script), str(workers), scheduling],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise InputError(f"node {version.stdout.strip()} could not start {script.name}")
            started = json.loads(line)
            peer = Peer(
                ("127.0.0.1", started["port"]),
                tuple(started["pids"]),
                version.stdout.strip(),
                process.pid,
            )
            if warm:
                trivial = Workload.synthetic(
                    warm * workers,
                    arrivals=ClosedLoop(AT_ONCE * workers, Deterministic(0.0)),
                    service=1e-5,
                )
                replay(Task.of(trivial, peer.address))
            yield peer
        finally:
            process.terminate()

"""The processor time of a master that is never woken for a single request."""

from pathlib import Path

import numpy as np

from lbsim import policies
from lbsim.cluster import Cluster
from lbsim.workload import Workload
from live.client import Task, replay
from live.measuring import server

__all__ = ["busy_master", "flood_of", "master_time"]

FLOOD_WORKERS = 2
FLOOD_RATE = 20_000.0  # requests a second: more than anybody can take
PAYLOAD = 50_000.0  # bytes; less than the master holds of a body


def busy_master(seconds: float, mode: str) -> tuple[float, float, float]:
    """Return the master's seconds to accept and decide, for everything, and for a byte more."""
    small, accept_s = _flooded(flood_of(seconds / 2, 0.0), mode)
    large, _ = _flooded(flood_of(seconds / 2, PAYLOAD), mode)
    return min(accept_s, small), small, max(0.0, (large - small) / PAYLOAD)


def _flooded(flood: Workload, mode: str) -> tuple[float, float]:
    """Return our master's processor time a request, and the part until it had decided."""
    cluster = Cluster(FLOOD_WORKERS, discipline="event_loop")
    with server(policies.LeastConnections(), cluster, mode=mode) as running:
        spent, start = master_time(flood, running.crew.address, running.crew.master_pid)
        stamps, _ = running.stop(start)
    return spent, float(np.median(stamps["decided"] - stamps["accept"]))


def flood_of(seconds: float, payload: float) -> Workload:
    """Return trivial requests, so many that they come for about so long."""
    n = max(500, int(2000 * seconds))
    return Workload.from_arrays(
        np.arange(n) / FLOOD_RATE, np.zeros(n), payload=np.full(n, payload), name="flood"
    )


def master_time(flood: Workload, address: tuple[str, int], pid: int) -> tuple[float, float]:
    """Return a master's processor time a request, and when the flood began."""
    before = _processor_time(pid)
    seen = replay(Task.of(flood, address))
    return (_processor_time(pid) - before) / len(flood), seen.start


def _processor_time(pid: int) -> float:
    """Return the seconds that a process has been on a processor, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) * 1e-9

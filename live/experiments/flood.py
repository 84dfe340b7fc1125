"""The processor time of a master that is never woken for a single request."""

from typing import NamedTuple

import numpy as np

from lbsim import policies
from lbsim.cluster import Cluster
from lbsim.workload import Workload
from live.client import Task, replay
from live.machine import processor_time
from live.measuring import server

__all__ = ["Master", "busy_master", "flood_of", "master_time"]

FLOOD_WORKERS = 2
FLOOD_RATE = 20_000.0  # requests a second: more than anybody can take
PAYLOAD = 50_000.0  # bytes; less than the master holds of a body


class Master(NamedTuple):
    """What a master tells that is flooded, in seconds.

    Attributes
    ----------
    accept_s, whole_s, per_byte_s : float
        Its processor time to accept and decide, for everything, and for a byte more.
    restart_s : float
        From a worker's death until its successor is up; after the flood.
    """

    accept_s: float
    whole_s: float
    per_byte_s: float
    restart_s: float


def busy_master(seconds: float, mode: str) -> Master:
    """Flood our master with small requests, then with large ones; then kill its workers."""
    cluster = Cluster(FLOOD_WORKERS, discipline="event_loop")
    with server(policies.LeastConnections(), cluster, mode=mode) as running:
        flooded = running.crew.address, running.crew.master_pid
        small, _ = master_time(flood_of(seconds / 2, 0.0), *flooded)
        large, later = master_time(flood_of(seconds / 2, PAYLOAD), *flooded)
        restarts = [running.crew.replace_worker(worker) for worker in range(FLOOD_WORKERS)]
        stamps, _ = running.stop(later)
    stamps = stamps[stamps["accept"] < 0.0]  # of the small ones
    accept_s = float(np.median(stamps["decided"] - stamps["accept"]))
    return Master(
        min(accept_s, small), small, max(0.0, (large - small) / PAYLOAD), float(np.mean(restarts))
    )


def flood_of(seconds: float, payload: float) -> Workload:
    """Return trivial requests, so many that they come for about so long."""
    n = max(500, int(2000 * seconds))
    return Workload.from_arrays(
        np.arange(n) / FLOOD_RATE, np.zeros(n), payload=np.full(n, payload), name="flood"
    )


def master_time(flood: Workload, address: tuple[str, int], pid: int) -> tuple[float, float]:
    """Return a master's processor time a request, and when the flood began."""
    before = processor_time(pid)
    seen = replay(Task.of(flood, address))
    return (processor_time(pid) - before) / len(flood), seen.start

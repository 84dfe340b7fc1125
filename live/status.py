"""The master's state as plain data: what `live top`, /status and /metrics are made of."""

import os
import time
from typing import TYPE_CHECKING, Any

from lbsim.policy import UNLIMITED
from live import memory
from live.desk import Desk
from live.slot import RETIRED, STATES, UP

if TYPE_CHECKING:
    from live.master import Master
    from live.slot import Worker

__all__ = ["snapshot"]


def snapshot(master: "Master") -> dict[str, Any]:
    """Return everything worth watching; all of it fits into JSON.

    Counters (``answered``, ``seconds``, ``buckets``, ``cpu_s``, ``busy_s``, ``restarts``,
    ``counts``) only grow while their process lives: take differences. What only a dispatching
    master knows (``policy``, ``in_flight``) is None where the kernel chooses the worker. Times are
    in seconds, memory is in bytes, and the keys of ``buckets`` are those of `lbsim.stats.buckets`
    for microseconds.
    """
    crew, desk = master.crew, master.desk
    is_kernel_s = master.options.is_kernel_s
    return {
        "time": time.time(),
        "uptime_s": time.monotonic() - master.born,
        "pid": os.getpid(),
        "address": list(master.address),
        "mode": master.options.mode,
        "policy": None if is_kernel_s else repr(master.policy),
        "state": "draining" if master.is_draining else "serving",
        "workers": [_worker(master, w) for w in crew.workers if w.state != RETIRED],
        "up": sum(w.state == UP for w in crew.workers),
        "restarts": crew.restarts,
        "held": desk.n_held if isinstance(desk, Desk) else 0,
        "in_flight": sum(map(int, desk.core.in_flight)) if isinstance(desk, Desk) else None,
        "connections": master.front.n_open,
        "cpu_s": time.process_time(),
        "resident": _resident(),
        "counts": dict(master.counts),
    }


def _worker(master: "Master", w: "Worker") -> dict[str, Any]:
    tally, now = master.desk.journal.tally, time.monotonic()
    core = master.desk.core if isinstance(master.desk, Desk) else None
    slots = UNLIMITED if core is None else int(core.slots[w.index])
    return {
        "worker": w.index,
        "pid": w.pid,
        "state": STATES[w.state],
        "age_s": now - w.born if w.is_alive else 0.0,
        "restarts": max(0, w.lives - 1),
        "in_flight": None if core is None else int(core.in_flight[w.index]),
        "slots": slots if slots < UNLIMITED else None,
        "answered": tally.answered[w.index],
        "seconds": tally.seconds[w.index],
        "buckets": tally.sparse(w.index),
        # What it last said of itself, and how long ago.
        "connections": int(w.health.connections),
        "lag_s": w.health.lag_s,
        "cpu_s": w.health.cpu_s,
        "busy_s": w.health.busy_s,
        "resident": int(w.health.resident),
        "silent_s": now - w.beat if w.is_alive else 0.0,
        "reported": w.health.at,
    }


def _resident() -> int:
    with open(memory.STATM, "rb") as file:
        return memory.resident(file.fileno())

"""Arithmetic of time, work and speed: the only owner of these formulas.

Both engines call these functions, one interpreted and one compiled, and must agree to the
last bit; so a formula is written once, in scalar arithmetic whose order of operations is
fixed. Times are in seconds, work is in seconds at speed 1.
"""

from collections.abc import Sequence

import numpy as np

__all__ = [
    "departure",
    "end_of_work",
    "handover_cost",
    "patience",
    "quantile",
    "restart_delay",
    "virtual_time",
    "work_left",
]


def end_of_work(now: float, work: float, speed: float) -> float:
    """Return when `work` is done if it is begun now and nothing changes."""
    return now + work / speed


def work_left(end: float, now: float, speed: float) -> float:
    """Return the work still to do at `now`, of what would have been done at `end`."""
    return (end - now) * speed


def virtual_time(virtual: float, since: float, now: float, speed: float, sharing: int) -> float:
    """Advance the virtual time of a processor-sharing worker.

    Virtual time is the work that every request present has received since the worker came up:
    it grows at rate `speed` divided by the number of requests that share (Kleinrock 1976,
    Queueing Systems volume 2, section 4.4).
    """
    return virtual + (now - since) * speed / sharing


def departure(virtual: float, target: float, now: float, speed: float, sharing: int) -> float:
    """Return when virtual time reaches `target` if nobody comes or goes."""
    return now + (target - virtual) * sharing / speed


def handover_cost(dispatch_s: float, per_byte_s: float, payload: float) -> float:
    """Return the master's time to hand one request over."""
    return dispatch_s + per_byte_s * payload


def quantile(spread: Sequence[float] | np.ndarray, probability: float) -> float:
    """Return a quantile of a spread (`lbsim.spread`), linear between those that are known."""
    place = probability * (len(spread) - 1)
    below = min(int(place), len(spread) - 1)
    above = min(below + 1, len(spread) - 1)
    return spread[below] + (place - below) * (spread[above] - spread[below])


def restart_delay(first: float, factor: float, limit: float, failures: int) -> float:
    """Return the delay before a restart: exponential in the failures in a row, bounded."""
    delay = first
    for _ in range(failures):
        if delay >= limit:
            break
        delay *= factor
    return min(delay, limit)


def patience(first: float, factor: float, jitter: float, attempt: int, u: float) -> float:
    """Return how long a client waits before retry number `attempt` (from 1).

    `u` is uniform on [0, 1); the delay is spread evenly over ±`jitter` of itself.
    """
    delay = first
    for _ in range(attempt - 1):
        delay *= factor
    return delay * (1.0 + jitter * (2.0 * u - 1.0))

"""What a hypervisor takes away: processors, for a while, from whoever is to wake on them.

The kernel counts how much was taken in each half second of a run (`live.machine.Watch.theft`), not
from whom. So a simulated run draws it: how likely it is that a processor is away is known at each
time, and how long it stays away is about the time that the host's kernel gives a process at once.
"""

import numpy as np

__all__ = ["SLICE_S", "WAKES", "apart", "together"]

SLICE_S = 3e-3
"""How long a processor that a hypervisor has given to somebody else is away on the average: what
Linux gives a process at once where there are many processors (kernel/sched/fair.c, base slice: 0.75
ms times 1 + log2 of the processors, of which it counts up to 8)."""

WAKES = 2
"""Who must wake for a request on its way to a worker (client, master) and for its answer (worker,
client)."""

SETTLED = 10
"""Slices after which a processor is as likely to be away as at any time."""


def apart(theft: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw how long each request waits for a processor, each for itself.

    The rest of a slice is as long as a whole one, since they are exponential.

    Parameters
    ----------
    theft : ndarray of float64, shape (n,)
        How likely it is for each request that its processor is away.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (n,)
        In seconds.
    """
    is_away = rng.random(len(theft)) < theft
    return np.where(is_away, rng.exponential(SLICE_S, len(theft)), 0.0)


def together(times: np.ndarray, theft: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw how long each request is held up where none overtakes another.

    What holds up one holds up all that come meanwhile, until it is over, and no longer. Were each
    request's wait drawn by itself, those behind would wait for what is theirs and for what is not:
    at 800 requests a second three times as long.

    Slices begin at random and may overlap. So that there is one for a share `theft` of the time,
    -log(1 - theft) begin in the time that one lasts: an M/M/infinity queue with somebody in it.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        When they come: ascending, in seconds.
    theft : ndarray of float64, shape (n,)
        How likely it is at each of them that something is away.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (n,)
        In seconds.
    """
    since = times[0] - SETTLED * SLICE_S
    rates = -np.log1p(-np.minimum(theft, 1.0 - 1e-9)) / SLICE_S
    begun = np.append(0.0, np.cumsum(rates * np.diff(times, prepend=since)))
    orders = np.sort(rng.uniform(0.0, begun[-1], rng.poisson(begun[-1])))
    if len(orders) == 0:
        return np.zeros(len(times))
    begins = np.interp(orders, begun, np.append(since, times))
    ends = np.maximum.accumulate(begins + rng.exponential(SLICE_S, len(begins)))
    # Where one begins before those before it have ended, nothing moves until it has ended too.
    lasts = np.flatnonzero(np.append(begins[1:] > ends[:-1], True))
    over = ends[lasts][np.searchsorted(lasts, np.arange(len(ends)))]
    latest = np.searchsorted(begins, times, "right") - 1
    return np.where(latest >= 0, np.maximum(0.0, over[latest] - times), 0.0)

"""What the experiments share: how a workload is run, and how what came out is looked at."""

from collections.abc import Callable

import numpy as np

from lbsim.cluster import Cluster
from lbsim.engines.record import Handovers
from lbsim.errors import InputError
from lbsim.policy import Policy
from lbsim.spread import mean
from lbsim.theft import SLICE_S
from lbsim.workload import Workload
from live.measured import MeasuredRun
from live.measuring import measure

__all__ = [
    "COLD",
    "SURELY_S",
    "WORKS",
    "Runner",
    "accepted_by_worker",
    "by_worker",
    "connected",
    "decided_by_master",
    "decided_unseen",
    "gaps_of",
    "measured",
    "spread_of",
    "taken_by_worker",
    "undisturbed",
    "without",
]

WORKS = (0.002, 0.005, 0.010, 0.020)  # seconds, mixed at random
COLD = 100  # the first requests after a server's start, which take it longer, are not looked at
SURELY_S = 0.002  # after which a request is surely at the master, and a worker surely idle
QUANTILES = 101  # kept of each spread
ATTEMPTS = 3  # at each of these experiments, if others take the processors

Runner = Callable[[Workload], MeasuredRun]


def measured(policy: Policy, workers: int, mode: str) -> Runner:
    """Return what measures a workload with our own server."""
    cluster = Cluster(workers, discipline="event_loop")
    return undisturbed(lambda workload: measure(workload, policy, cluster, mode=mode))


def undisturbed(run: Runner) -> Runner:
    """Return what runs a workload again if the machine was not ours alone meanwhile."""

    def until_quiet(workload: Workload) -> MeasuredRun:
        for _ in range(ATTEMPTS):
            found = run(workload)
            if found.disturbance.is_quiet:
                break
        return found

    return until_quiet


def gaps_of(rate: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return gaps of a Poisson process, of which a short experiment gets the usual ones.

    The law's quantiles in random order: so it has the rate that it is meant to have, where drawn
    gaps of some hundred requests would be off by some hundredths.
    """
    return rng.permutation(-np.log1p(-(np.arange(n) + 0.5) / n)) / rate


def by_worker(rows: Handovers) -> list[np.ndarray]:
    """Return the rows of each worker, in the order in which it began them."""
    order = np.argsort(rows.started, kind="stable")
    return [order[rows.worker[order] == worker] for worker in np.unique(rows.worker)]


def accepted_by_worker(found: MeasuredRun) -> np.ndarray:
    """Return when a worker had accepted each request's connection, by its own stamps."""
    if found.stamps is None:  # it tells the client
        return found.replay.accepted - found.replay.start
    accepted = np.full(len(found), np.nan)
    accepted[found.record.handovers.ticket] = found.stamps["accepted"]
    return accepted


def taken_by_worker(found: MeasuredRun) -> np.ndarray:
    """Return when a worker that accepts itself looked for the next, or else began the handler."""
    looked = found.replay.looked - found.replay.start
    return np.where(np.isnan(looked), found.started, looked)


def decided_by_master(found: MeasuredRun) -> np.ndarray:
    """Return when our master had decided who gets each request."""
    decided = np.full(len(found), np.nan)
    if found.stamps is not None:
        decided[found.record.handovers.ticket] = found.stamps["decided"]
    return decided


def connected(found: MeasuredRun) -> np.ndarray:
    """Return when each request reached the listening socket, where workers accept themselves."""
    return found.replay.made - found.replay.start


def decided_unseen(found: MeasuredRun, master_s: float) -> np.ndarray:
    """Return when a master had about decided who gets each request, of which there is no stamp.

    Between the connection and the worker's acceptance of it the master had to wake, to work for
    so long, and the worker had to wake: about as long as the master, for all that is known.
    """
    return (connected(found) + accepted_by_worker(found) + master_s) / 2.0


def without(values: np.ndarray, theft: np.ndarray, wakes: int = 1) -> np.ndarray:
    """Return times without what a hypervisor added to them.

    On the average that is a slice for each of those who had to wake, as often as a processor was
    away (`theft`, see `live.machine.Watch.theft`). Thefts are rare and long, so that they are in
    the largest times: these are cut to one value, so that the mean is what it would be. Never
    below the median, which they leave alone.
    """
    known = ~np.isnan(values)
    ascending = np.sort(values[known])
    n = len(ascending)
    if n == 0:
        return values
    theft_s = wakes * SLICE_S * float(np.mean(theft))
    # Cut to the i-th value, so much goes off the sum.
    off = np.cumsum(ascending[::-1])[::-1] - ascending * np.arange(n, 0, -1)
    ceiling = np.interp(-theft_s * n, -off, ascending)
    return np.where(known, np.minimum(values, max(ceiling, np.median(ascending))), values)


def spread_of(values: np.ndarray) -> tuple[float, ...]:
    """Return evenly spaced quantiles of what is known, from the smallest to the largest.

    In place of the largest what gives the spread, which is linear between its quantiles, the mean
    of the values: the few beyond the last but one are not spread evenly up to the largest.

    Raises
    ------
    InputError
        Nothing is known.
    """
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise InputError(
            "calibration: no request found a worker in the state that was to be measured: it takes "
            "too long for each; give more workers, or use a faster machine"
        )
    spread = np.quantile(values, np.linspace(0.0, 1.0, QUANTILES))
    too_much = 2.0 * (QUANTILES - 1) * (mean(spread) - float(values.mean()))
    spread[-1] = max(spread[-2], spread[-1] - too_much)
    return tuple(spread.tolist())

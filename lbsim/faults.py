"""Faults: what goes wrong with workers, and when.

A schedule of faults is part of the cluster, so that every policy meets the same ones. What
the master *knows* comes later than what happens: a crash is noticed after `detect_s`, a hang
or a slow worker never by itself.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lbsim import checks
from lbsim.errors import InputError

__all__ = ["Crash", "Fault", "Faults", "Hang", "Reload", "SlowDown", "random_crashes"]


@dataclass(frozen=True)
class Crash:
    """A worker dies: what it was doing is lost with it, and it is restarted.

    A worker that hangs and is replaced by a heartbeat's limit is, for its requests, a crash
    whose ``detect_s`` is that limit.

    Parameters
    ----------
    worker : int
    at : float
        When, in seconds. A crash of a worker that is already dead changes nothing.
    """

    worker: int
    at: float


@dataclass(frozen=True)
class Hang:
    """A worker stands still (as after SIGSTOP), then goes on as if nothing had been.

    Parameters
    ----------
    worker : int
    at, duration : float
        Seconds.
    """

    worker: int
    at: float
    duration: float


@dataclass(frozen=True)
class SlowDown:
    """A worker computes more slowly for a while; requests in service feel it at once.

    Parameters
    ----------
    worker : int
    at, duration : float
        Seconds; the duration may be ``math.inf``.
    factor : float
        Speed during the slow-down / speed before; above 1 is a speed-up.
    """

    worker: int
    at: float
    duration: float
    factor: float


@dataclass(frozen=True)
class Reload:
    """A planned, rolling reload: one worker after the other.

    A worker takes no new requests, finishes what it has, restarts, and when it is up the next
    one's turn has come.

    Parameters
    ----------
    at : float
        When it begins, in seconds.
    workers : sequence of int, optional
        Which, in this order; all by default.
    """

    at: float
    workers: tuple[int, ...] | None = None


Fault = Crash | Hang | SlowDown | Reload


@dataclass(frozen=True, init=False)
class Faults:
    """A schedule of faults and how the supervisor deals with them.

    Parameters
    ----------
    *schedule : Crash, Hang, SlowDown or Reload
        In any order.
    detect_s : float, default 0
        Time from a crash until the master knows, in seconds. Until then it still sends
        requests there, and they wait.
    restart_s : float, default 0.1
        Time from there (in a reload: from the moment the worker is empty) until the worker is
        up again, in seconds; ``math.inf`` for never.
    backoff : float, default 2
        Each further crash of a worker that lived less than `healthy_s` multiplies `restart_s`
        by this,
    backoff_limit_s : float, default 10
        up to this many seconds (or `restart_s`, if that is more).
    healthy_s : float, default 1
        Life time in seconds after which a crash counts as the first again.

    Examples
    --------
    >>> Faults(Crash(worker=2, at=10.0), Reload(at=30.0), detect_s=0.01)
    Faults(Crash(worker=2, at=10.0), Reload(at=30.0, workers=None), detect_s=0.01)
    """

    schedule: tuple[Fault, ...]
    detect_s: float
    restart_s: float
    backoff: float
    backoff_limit_s: float
    healthy_s: float

    def __init__(
        self,
        *schedule: Fault,
        detect_s: float = 0.0,
        restart_s: float = 0.1,
        backoff: float = 2.0,
        backoff_limit_s: float = 10.0,
        healthy_s: float = 1.0,
    ) -> None:
        for fault in schedule:
            if not isinstance(fault, Fault):
                raise InputError(
                    f"fault = {fault!r} is not a fault; give Crash, Hang, SlowDown or Reload"
                )
            _check_times(fault)
        _check_overlaps([f for f in schedule if isinstance(f, Hang)])
        _check_overlaps([f for f in schedule if isinstance(f, SlowDown)])
        restart = (
            math.inf
            if restart_s == math.inf
            else checks.not_negative("Faults", "restart_s", restart_s)
        )
        values = {
            "schedule": tuple(schedule),
            "detect_s": checks.not_negative("Faults", "detect_s", detect_s),
            "restart_s": restart,
            "backoff": checks.positive("Faults", "backoff", backoff),
            "backoff_limit_s": max(
                restart, checks.not_negative("Faults", "backoff_limit_s", backoff_limit_s)
            ),
            "healthy_s": checks.not_negative("Faults", "healthy_s", healthy_s),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        shown = [repr(fault) for fault in self.schedule]
        default = Faults()
        shown += (
            [
                f"{name}={getattr(self, name)!r}"
                for name in ("detect_s", "restart_s", "backoff", "backoff_limit_s", "healthy_s")
                if getattr(self, name) != getattr(default, name)
            ]
            if self.schedule
            else []
        )
        return f"Faults({', '.join(shown)})"

    def check_workers(self, n_workers: int) -> None:
        """Raise InputError if a fault names a worker that is not there."""
        for fault in self.schedule:
            for worker in _workers_of(fault):
                if not 0 <= worker < n_workers:
                    raise InputError(
                        f"{fault!r}: worker {worker} does not exist; the cluster has workers "
                        f"0 to {n_workers - 1}"
                    )


def random_crashes(
    n_workers: int, mean_time_between: float, until: float, seed: int
) -> tuple[Crash, ...]:
    """Draw crashes of every worker as independent Poisson processes.

    Parameters
    ----------
    n_workers : int
    mean_time_between : float
        Mean time between crashes of one worker, in seconds.
    until : float
        End of the schedule, in seconds.
    seed : int

    Examples
    --------
    >>> len(random_crashes(4, mean_time_between=100.0, until=1000.0, seed=1))
    35
    """
    mean = checks.positive("random_crashes", "mean_time_between", mean_time_between)
    rng = np.random.default_rng(seed)
    crashes = []
    for worker in range(n_workers):
        at = rng.exponential(mean)
        while at < until:
            crashes.append(Crash(worker, at))
            at += rng.exponential(mean)
    return tuple(sorted(crashes, key=lambda crash: (crash.at, crash.worker)))


def _workers_of(fault: Fault) -> Iterator[int]:
    if isinstance(fault, Reload):
        yield from fault.workers or ()
    else:
        yield fault.worker


def _check_times(fault: Fault) -> None:
    name = type(fault).__name__
    checks.not_negative(name, "at", fault.at)
    if isinstance(fault, Hang):
        checks.positive(name, "duration", fault.duration)
    if isinstance(fault, SlowDown):
        if fault.duration != math.inf:
            checks.positive(name, "duration", fault.duration)
        checks.positive(name, "factor", fault.factor)


def _check_overlaps(faults: Sequence[Hang | SlowDown]) -> None:
    """One worker's hangs (or slow-downs) must follow each other."""
    ordered = sorted(faults, key=lambda fault: (fault.worker, fault.at))
    for earlier, later in itertools.pairwise(ordered):
        if earlier.worker == later.worker and later.at <= earlier.at + earlier.duration:
            raise InputError(
                f"{earlier!r} is not over when {later!r} begins; faults of one kind at one "
                "worker must not overlap: shorten the first or move the second"
            )

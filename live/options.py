"""What a live server can be told."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lbsim.errors import InputError
from lbsim.policy import UNLIMITED, Policy
from live import head

__all__ = ["MODES", "Options", "check", "check_policy"]

MODES = ("pass", "message", "shared", "reuseport")
"""How requests get to workers; see `Options`."""


@dataclass(frozen=True)
class Options:
    """What a live server can be told.

    Attributes
    ----------
    mode : {"pass", "message", "shared", "reuseport"}
        ``pass``: the master passes the socket. ``message``: the master passes the request itself,
        and the answer comes back the same way, so that their sizes cost. ``shared``: workers
        accept from one listening socket. ``reuseport``: each has one of its own. In the last two
        the kernel chooses the worker: the policy is not asked, and nothing is dispatched again.
    exclusive : bool
        In mode ``shared``, wake one worker for a connection (EPOLLEXCLUSIVE), not all.
    most_workers : int or None
        Up to so many workers can be added while it runs; None: as many as at the start.
    slots, weights : number, sequence or None
        Of each worker, as in `lbsim.Cluster`.
    key : str
        Where a request's session key comes from: ``none``, ``ip``, ``cookie:NAME``,
        ``header:NAME``, ``query:NAME`` or ``number:NAME``.
    max_attempts : int
        Handovers of one request before it is answered 502; those whose worker died before it had
        begun the request do not count.
    queue_limit : int or None
        Requests that may be held; one more is answered 503. None: no limit.
    retry_all : bool
        Also replay methods that are not idempotent.
    backlog : int
        Connections that the kernel keeps while nobody accepts.
    memory_limit : float or None
        A worker with more bytes of resident memory is replaced; None: no limit.
    hang_s : float or None
        A worker silent for so long is killed and replaced; None: never.
    head_s : float
        A client has so long to send its request's head.
    drain_s : float
        After so long a worker that leaves, or a server that stops, waits for no request.
    trace : str or None
        A file for one record a handover (`live.trace`).
    seed : int
        Of the policy's generator.
    admin : str or None
        HOST:PORT at which `live.admin` answers, besides its Unix socket.
    """

    mode: str = "pass"
    exclusive: bool = False
    most_workers: int | None = None
    slots: int | Sequence[int] | None = None
    weights: float | Sequence[float] | None = None
    key: str = "none"
    max_attempts: int = 3
    queue_limit: int | None = None
    retry_all: bool = False
    backlog: int = 2048
    memory_limit: float | None = None
    hang_s: float | None = None
    head_s: float = 30.0
    drain_s: float = 30.0
    trace: str | None = None
    seed: int = 0
    admin: str | None = None

    def __post_init__(self) -> None:
        head.key_source(self.key)
        if self.mode not in MODES:
            raise InputError(f"mode = {self.mode!r} is not known; give one of {', '.join(MODES)}")
        if self.max_attempts < 1:
            raise InputError(f"max_attempts = {self.max_attempts} is below 1; give 1 for no retry")
        for name in ("memory_limit", "hang_s", "head_s", "drain_s"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise InputError(f"{name} = {value} is not above 0 and finite; give such a number")
        if self.hang_s is not None and self.hang_s < 1.0:
            raise InputError(
                f"hang_s = {self.hang_s} is below 1 s, twice a worker's heartbeat; give more, "
                "and more than the longest work that may block a worker"
            )

    @property
    def is_kernel_s(self) -> bool:
        """Whether the kernel chooses the worker."""
        return self.mode in ("shared", "reuseport")

    def slots_of(self, n: int) -> np.ndarray:
        """Return the slots of each of `n` workers."""
        return _each("slots", UNLIMITED if self.slots is None else self.slots, n).astype(np.int64)

    def weights_of(self, n: int) -> np.ndarray:
        """Return the weight of each of `n` workers."""
        return _each("weights", 1.0 if self.weights is None else self.weights, n)


def _each(name: str, given: float | Sequence[float], n: int) -> np.ndarray:
    values = np.asarray(given, np.float64)
    if values.ndim == 0:
        values = np.full(n, values)
    if values.shape != (n,) or not np.all(values > 0):
        raise InputError(
            f"{name} = {given} is not one number above 0, or one for each of {n} workers"
        )
    return values


def check_policy(policy: Policy) -> None:
    """Refuse a policy that can only be simulated."""
    if policy.oracle:
        raise InputError(
            f"{policy!r} needs the true service times, which no real master knows; simulate it "
            "(lbsim compare), or choose a policy that is not an oracle"
        )
    if policy.at_turns:
        raise InputError(
            f"{policy!r} is what another server's workers do that accept for themselves, and our "
            "master cannot run it; simulate it, or give SharedAccept(), which our own workers "
            "follow with mode='shared', and beside which the lab measures Node's SCHED_NONE"
        )


def check(policy: Policy, workers: int, most: int) -> None:
    """Refuse what cannot be run."""
    if not sys.platform.startswith("linux"):
        raise InputError(
            f"platform = {sys.platform} has no epoll, pidfd and SCM_RIGHTS as Linux has them; "
            "run the master on Linux (simulation works everywhere)"
        )
    check_policy(policy)
    if not 1 <= workers <= most <= 1024:
        raise InputError(
            f"workers = {workers}, most_workers = {most}: give 1 <= workers <= most_workers <= 1024"
        )

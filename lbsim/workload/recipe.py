"""A recipe: how a synthetic workload is drawn.

Each component (arrivals, service times, keys, …) has a random stream of its own, so adding one
changes no other; and each is drawn in blocks of `BLOCK` requests, so that a workload drawn piece
by piece equals the same workload drawn at once, bit for bit.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lbsim import checks
from lbsim.hashing import hash64_array
from lbsim.workload.arrivals import BLOCK, Arrivals, ClosedLoop
from lbsim.workload.columns import Columns, constant
from lbsim.workload.given import as_law
from lbsim.workload.laws import Deterministic, Law

__all__ = ["Kind", "Recipe", "Sessions"]

# Numbers of the random streams; new components get new numbers, old ones keep theirs.
ARRIVALS, KINDS, KEYS, PRIORITIES, SIZES, PAYLOADS, THINKING = range(7)
SERVICE, WAIT = 100, 10_000  # plus the number of the kind


@dataclass(frozen=True)
class Sessions:
    """Sessions (or clients) and how unequal they are.

    Parameters
    ----------
    count : int
        How many there are.
    zipf : float, default 1
        The k-th most popular session sends in proportion to k^-zipf; 0 makes all equal.
    """

    count: int
    zipf: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", checks.count("Sessions", "count", self.count))
        object.__setattr__(self, "zipf", checks.not_negative("Sessions", "zipf", self.zipf))

    def shares(self) -> np.ndarray:
        """Return the probability of each session, most popular first; shape (count,)."""
        popularity = np.arange(1, self.count + 1, dtype=np.float64) ** -self.zipf
        return popularity / popularity.sum()


@dataclass(frozen=True, init=False)
class Kind:
    """One kind of request: its share and what it asks of a worker.

    Parameters
    ----------
    share : float
        Of all requests; the shares of all kinds add up to 1.
    service : Law, number or scipy.stats frozen distribution
        Computing time, in seconds.
    wait : Law, number or scipy.stats frozen distribution, default 0
        Waiting time (I/O), in seconds.
    priority : int, default 0
        0 is the most urgent.
    """

    share: float
    service: Law
    wait: Law
    priority: int

    def __init__(self, share: float, service: Any, wait: Any = 0.0, priority: int = 0) -> None:
        object.__setattr__(self, "share", checks.share("Kind", "share", share))
        object.__setattr__(self, "service", as_law(service))
        object.__setattr__(self, "wait", as_law(wait))
        object.__setattr__(self, "priority", checks.count("Kind", "priority", priority, least=0))

    def scaled(self, factor: float) -> "Kind":
        """Return the kind with all its times multiplied by `factor`."""
        return Kind(
            self.share, self.service.scaled(factor), self.wait.scaled(factor), self.priority
        )


@dataclass(frozen=True)
class Recipe:
    """How to draw a workload; made by `lbsim.workload.synthetic.recipe_of`, which checks it."""

    n: int
    arrivals: Arrivals | ClosedLoop
    rate: float  # requests per second; not used by a closed loop
    kinds: Mapping[str, Kind]
    sessions: Sessions | None
    priorities: tuple[float, ...] | None  # None: each kind has its own
    size_error: float | None
    payload: Law
    seed: int
    replication: int = 0  # another number gives other, independent random numbers

    def blocks(self) -> Iterator[Columns]:
        """Yield the columns in pieces of `BLOCK` requests, the last one shorter.

        What is the same for all requests is one array that the pieces share: in a long run,
        writing it again and again would take longer than drawing the rest.
        """
        unknown = constant(np.nan, np.float64)
        drawn = zip(self._arrivals(), self._keys(), self._marks(), self._extras(), strict=False)
        pieces = itertools.islice(drawn, -(-self.n // BLOCK))
        for i, (times, keys, marks, extras) in enumerate(pieces):
            first = i * BLOCK
            rows = min(BLOCK, self.n - first)
            arrival, client, think = times
            cpu, wait, kind, priority = marks
            error, payload = extras
            size = unknown if error is None else (cpu + wait) * error
            columns = Columns(
                arrival, cpu, wait, keys, kind, priority, size, payload, client, think
            )
            yield columns.take(slice(rows))

    def stretched(self, factor: float, keep: str) -> "Recipe":
        """Return the recipe at 1 / `factor` of its load, as `Columns.stretched` does rows."""
        if keep == "service":
            return replace(self, rate=self.rate / factor)
        return replace(self, kinds={n: kind.scaled(1 / factor) for n, kind in self.kinds.items()})

    def lines(self) -> list[str]:
        """Say in a few lines how it draws."""
        speed = "" if isinstance(self.arrivals, ClosedLoop) else f" at {self.rate:.6g} /s"
        lines = [f"arrivals: {self.arrivals!r}{speed}"]
        for name, kind in self.kinds.items():
            label = "" if len(self.kinds) == 1 else f"{100 * kind.share:.3g} % {name}, "
            wait = f", wait: {kind.wait!r}" if kind.wait.mean > 0.0 else ""
            lines.append(f"{label}service: {kind.service!r}{wait}")
        if self.sessions is not None:
            lines.append(f"sessions: {self.sessions!r}")
        if self.size_error is not None:
            lines.append(f"size estimates: error {self.size_error:g}")
        again = f", replication {self.replication}" if self.replication else ""
        return [*lines, f"seed: {self.seed}{again}"]

    def _stream(self, component: int) -> np.random.Generator:
        seed = np.random.SeedSequence(self.seed, spawn_key=(self.replication, component))
        return np.random.default_rng(seed)

    def _arrivals(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield arrival, client and think."""
        if isinstance(self.arrivals, ClosedLoop):
            rng = self._stream(THINKING)
            for first in itertools.count(0, BLOCK):
                client = np.arange(first, first + BLOCK, dtype=np.int64) % self.arrivals.clients
                yield np.full(BLOCK, np.nan), client, self.arrivals.think.draw(rng, BLOCK)
        else:
            nobody, never = constant(-1, np.int64), constant(0.0, np.float64)
            for times in self.arrivals.stream(self._stream(ARRIVALS), self.rate):
                yield times, nobody, never

    def _keys(self) -> Iterator[np.ndarray]:
        if self.sessions is None:
            yield from itertools.repeat(constant(-1, np.int64))
            return
        rng = self._stream(KEYS)
        edges = np.cumsum(self.sessions.shares())[:-1]
        while True:
            rank = np.searchsorted(edges, rng.random(BLOCK), side="right")
            # Keys 0, 1, 2, … would share themselves out evenly under any modulo.
            yield hash64_array(rank.astype(np.int64), self.seed)

    def _marks(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Yield cpu, wait, kind and priority."""
        kinds = list(self.kinds.values())
        which, urgency = self._stream(KINDS), self._stream(PRIORITIES)
        computing = [
            _draws(kind.service, self._stream(SERVICE + i)) for i, kind in enumerate(kinds)
        ]
        waiting = [_draws(kind.wait, self._stream(WAIT + i)) for i, kind in enumerate(kinds)]
        kind_edges = np.cumsum([kind.share for kind in kinds])[:-1]
        own = np.array([kind.priority for kind in kinds], np.int64)
        edges = None if self.priorities is None else np.cumsum(self.priorities)[:-1]
        number, priority = constant(0, np.int64), constant(int(own[0]), np.int64)
        while True:
            if len(kinds) == 1:
                cpu, wait = next(computing[0]), next(waiting[0])
            else:
                number = np.searchsorted(kind_edges, which.random(BLOCK), side="right")
                cpu, wait = np.empty(BLOCK), np.empty(BLOCK)
                for i in range(len(kinds)):
                    mine = number == i
                    cpu[mine] = next(computing[i])[mine]
                    wait[mine] = next(waiting[i])[mine]
                priority = own[number]
            if edges is not None:
                priority = np.searchsorted(edges, urgency.random(BLOCK), side="right")
            yield (
                cpu,
                wait,
                number.astype(np.int64, copy=False),
                priority.astype(np.int64, copy=False),
            )

    def _extras(self) -> Iterator[tuple[np.ndarray | None, np.ndarray]]:
        """Yield estimate / service time, None if there is no estimate, and the payload."""
        sizes = self._stream(SIZES)
        for payload in _draws(self.payload, self._stream(PAYLOADS)):
            if self.size_error is None:
                yield None, payload
            else:
                yield np.exp(self.size_error * sizes.standard_normal(BLOCK)), payload


def _draws(law: Law, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield blocks of a law's draws; of a constant, the same block again and again."""
    if isinstance(law, Deterministic):
        yield from itertools.repeat(constant(law.mean, np.float64))
    while True:
        yield law.draw(rng, BLOCK)

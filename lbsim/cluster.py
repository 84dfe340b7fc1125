"""The cluster: a master and its workers, as physics.

What is described here is what policies work *on*; nothing here decides who gets a request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbsim import checks
from lbsim.errors import InputError
from lbsim.faults import Fault, Faults
from lbsim.policy import UNLIMITED

__all__ = ["DISCIPLINES", "Cluster", "Master"]

DISCIPLINES = ("fcfs", "ps", "event_loop")


@dataclass(frozen=True)
class Master:
    """The master's own time: a single server that everything passes through.

    Parameters
    ----------
    accept_s : float, default 0
        Seconds to accept a connection, look at its head and decide.
    dispatch_s : float, default 0
        Seconds to hand a request to a worker.
    per_byte_s : float, default 0
        Seconds more for each byte of the request, where the payload crosses the master.
    """

    accept_s: float = 0.0
    dispatch_s: float = 0.0
    per_byte_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("accept_s", "dispatch_s", "per_byte_s"):
            checks.not_negative("Master", name, getattr(self, name))

    @property
    def is_free(self) -> bool:
        """True if the master takes no time at all."""
        return self == Master()


@dataclass(frozen=True, init=False)
class Cluster:
    """A master and `workers` workers.

    Parameters
    ----------
    workers : int
        How many.
    speeds : float or sequence of float, default 1
        Seconds of work that each worker does in a second.
    slots : int or sequence of int, optional
        How many requests may sit at a worker, queued ones included. No limit by default.
    concurrency : int or sequence of int, optional
        How many requests a worker serves at once. Default: 1 for "fcfs" (more means as many
        servers, each at the worker's speed), no limit for "ps" (further ones queue there);
        not applicable to "event_loop".
    discipline : {"fcfs", "ps", "event_loop"}
        "fcfs": a synchronous worker; the time a request waits (for a database, say) holds it
        as the computing does. "ps": computing is shared equally by all requests present,
        waiting costs nobody else anything. "event_loop": one thread that runs handlers one
        after the other; waiting does not hold it, but the answer needs a turn of the loop.
    faults : Faults or sequence of faults, optional
        See `lbsim.faults`.
    master : Master, optional
        The master's own time; none by default.
    weights : sequence of float, optional
        What the master believes about capacities (`ClusterView.weight`); the speeds (times
        concurrency, where they are many servers) by default.
    overhead_s : float, default 0
        Computing that every request costs its worker beyond its own, in seconds. A
        workload's `load` does not count it.
    accept_s : float, default 0
        Time an event loop needs to accept a connection that was handed to it, in seconds.
    turn_s : float, default 0
        Time that a turn of an event loop takes besides if it finds such connections, however
        many: to wake, and to take them off its channel together. In seconds.
    setup_s : float, default 0
        Time an event loop needs to set a connection up *after* it has acknowledged it, in
        seconds. What the master sends meanwhile is accepted before that connection's handler runs.
    setup_share : float, default 1
        Which share of connections needs it; for each it is drawn whether it does.
    wake_s : float or sequence of float, default 0
        Time an event loop with nothing to do needs to wake when something comes, in seconds; or
        quantiles of it at evenly spaced probabilities, the smallest and the largest included, from
        which it is drawn for each request.
    herd_s : float, default 0
        Where event loops take for themselves (`Policy.at_turns`): all that have nothing to do wake
        for each connection, and each looks for it so much later than the one before, in seconds.
        0: only the one wakes that the policy chooses.
    cost_seed : int, default 0
        Another draw of what of these costs is drawn (`setup_share`, `wake_s`), under the same
        seed of a run.
    session_miss_s : float, default 0
        Waiting that a request costs when its session is at another worker (or died with its
        own), in seconds: the session must be fetched. A session's first request costs nothing.
    max_attempts : int, default 3
        How many workers a request may be handed to before a worker's death loses it. 1: the
        requests of a dead worker are lost.
    queue_limit : int, optional
        How many requests the master holds; one more is refused. No limit by default.
    info_delay_s : float, default 0
        How old the policy's knowledge of ``in_flight`` is, in seconds.
    info_every_s : float, default 0
        Or: how often that knowledge is renewed for all workers at once, in seconds.

    Attributes
    ----------
    capacity : float
        Seconds of work that the cluster does in a second at most.
    """

    workers: int
    speeds: tuple[float, ...]
    slots: tuple[int, ...]
    concurrency: tuple[int, ...]
    discipline: str
    faults: Faults
    master: Master
    weights: tuple[float, ...]
    overhead_s: float
    accept_s: float
    turn_s: float
    setup_s: float
    setup_share: float
    wake_s: tuple[float, ...]
    herd_s: float
    cost_seed: int
    session_miss_s: float
    max_attempts: int
    queue_limit: int | None
    info_delay_s: float
    info_every_s: float
    capacity: float

    def __init__(
        self,
        workers: int,
        *,
        speeds: float | Sequence[float] = 1.0,
        slots: int | Sequence[int] | None = None,
        concurrency: int | Sequence[int] | None = None,
        discipline: str = "fcfs",
        faults: Faults | Sequence[Fault] = (),
        master: Master | None = None,
        weights: Sequence[float] | None = None,
        overhead_s: float = 0.0,
        accept_s: float = 0.0,
        turn_s: float = 0.0,
        setup_s: float = 0.0,
        setup_share: float = 1.0,
        wake_s: float | Sequence[float] = 0.0,
        herd_s: float = 0.0,
        cost_seed: int = 0,
        session_miss_s: float = 0.0,
        max_attempts: int = 3,
        queue_limit: int | None = None,
        info_delay_s: float = 0.0,
        info_every_s: float = 0.0,
    ) -> None:
        n = checks.count("Cluster", "workers", workers)
        if discipline not in DISCIPLINES:
            raise InputError(
                f"Cluster: discipline = {discipline!r} is not known; "
                f"give one of {', '.join(DISCIPLINES)}"
            )
        if discipline == "event_loop" and concurrency is not None:
            raise InputError(
                f"Cluster: concurrency = {concurrency!r} does not apply to an event loop, which "
                "runs one handler at a time; bound what it holds with slots="
            )
        wake = _spread("wake_s", wake_s)
        of_loops = {
            "accept_s": accept_s, "turn_s": turn_s, "setup_s": setup_s, "wake_s": max(wake),
            "herd_s": herd_s,
        }  # fmt: skip
        for name, cost in of_loops.items():
            if cost and discipline != "event_loop":
                raise InputError(
                    f"Cluster: {name} = {cost!r} is a cost of an event loop's turn; use "
                    f"overhead_s= with discipline {discipline!r}"
                )
        if info_delay_s and info_every_s:
            raise InputError(
                f"Cluster: info_delay_s = {info_delay_s!r} and info_every_s = {info_every_s!r} "
                "cannot both make the load information old; give one"
            )
        if not isinstance(faults, Faults):
            faults = Faults(*faults)
        faults.check_workers(n)
        speed = _each(n, "speeds", speeds, checks.positive)
        served = (1 if discipline == "fcfs" else UNLIMITED) if concurrency is None else concurrency
        servers = _each(n, "concurrency", served, checks.count)
        capacities = [
            s * (c if discipline == "fcfs" else 1) for s, c in zip(speed, servers, strict=True)
        ]
        values = {
            "workers": n,
            "speeds": speed,
            "slots": _each(n, "slots", UNLIMITED if slots is None else slots, checks.count),
            "concurrency": servers,
            "discipline": discipline,
            "faults": faults,
            "master": Master() if master is None else master,
            "weights": _each(
                n, "weights", capacities if weights is None else weights, checks.positive
            ),
            "overhead_s": checks.not_negative("Cluster", "overhead_s", overhead_s),
            "accept_s": checks.not_negative("Cluster", "accept_s", accept_s),
            "turn_s": checks.not_negative("Cluster", "turn_s", turn_s),
            "setup_s": checks.not_negative("Cluster", "setup_s", setup_s),
            "setup_share": checks.share("Cluster", "setup_share", setup_share),
            "wake_s": wake,
            "herd_s": checks.not_negative("Cluster", "herd_s", herd_s),
            "cost_seed": checks.count("Cluster", "cost_seed", cost_seed, least=0),
            "session_miss_s": checks.not_negative("Cluster", "session_miss_s", session_miss_s),
            "max_attempts": checks.count("Cluster", "max_attempts", max_attempts),
            "queue_limit": None
            if queue_limit is None
            else checks.count("Cluster", "queue_limit", queue_limit, least=0),
            "info_delay_s": checks.not_negative("Cluster", "info_delay_s", info_delay_s),
            "info_every_s": checks.not_negative("Cluster", "info_every_s", info_every_s),
            "capacity": float(sum(capacities)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def calibrated(cls, path: str | Path, workers: int, **options: Any) -> "Cluster":
        """Return a cluster with the costs that were measured on some machine.

        Parameters
        ----------
        path : str or Path
            A file that ``python -m live calibrate`` has written.
        workers : int
        **options
            As for `Cluster`; `master`, the costs of its workers and the restart time come from
            the file. The discipline is "event_loop" if not given.

        See Also
        --------
        lbsim.calibration.Calibration : also predicts, with the jitter that was measured.
        """
        from lbsim.calibration import Calibration

        return Calibration.load(path).apply(cls(workers, **{"discipline": "event_loop", **options}))

    def changed(self, **changes: Any) -> "Cluster":
        """Return the same cluster with other values of some parameters."""
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del given["capacity"]  # it follows from the others
        if self.discipline == "event_loop":
            del given["concurrency"]
        return Cluster(**{**given, **changes})

    @property
    def wait_holds_worker(self) -> bool:
        """True if a request that waits (I/O) keeps its worker from serving another one."""
        return self.discipline == "fcfs"

    def __repr__(self) -> str:
        default = Cluster(self.workers, discipline=self.discipline)
        shown = [f"workers={self.workers}"]
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if name in ("workers", "capacity") or (
                value == getattr(default, name) and name != "discipline"
            ):
                continue
            if name == "discipline" and value == "fcfs":
                continue
            if isinstance(value, tuple) and len(set(value)) == 1:
                value = value[0]
            text = repr(value)
            if name == "wake_s" and isinstance(value, tuple) and len(value) > 3:
                text = f"({value[0]:g}, …, {value[-1]:g})"
            shown.append(f"{name}={text}")
        return f"Cluster({', '.join(shown)})"


def _each(n: int, name: str, value: Any, check: Any) -> tuple[Any, ...]:
    """Return one checked value for every worker, given one for all or one for each."""
    if isinstance(value, int | float):
        return (check("Cluster", name, value),) * n
    values = tuple(check("Cluster", name, v) for v in value)
    if len(values) != n:
        raise InputError(
            f"Cluster: {name} has {len(values)} values for {n} workers; "
            "give one for all workers or one for each"
        )
    return values


def _spread(name: str, value: float | Sequence[float]) -> tuple[float, ...]:
    """Return checked quantiles, given them or one number."""
    values = (value,) if isinstance(value, int | float) else tuple(value)
    spread = tuple(checks.not_negative("Cluster", name, v) for v in values)
    if not spread or list(spread) != sorted(spread):
        raise InputError(
            f"Cluster: {name} = {value!r} is not an ascending list of quantiles; give one, or one "
            "number"
        )
    return spread

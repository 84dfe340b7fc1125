"""Workloads: which requests come, when, and what they ask of a worker."""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lbsim import checks
from lbsim.errors import InputError
from lbsim.workload.arrivals import Arrivals, ClosedLoop, Poisson
from lbsim.workload.columns import Columns, FloatArray, IntArray, from_given, join
from lbsim.workload.given import as_law
from lbsim.workload.recipe import Kind, Recipe, Sessions, check_kinds, one_kind

if TYPE_CHECKING:
    import pandas as pd

    from lbsim.cluster import Cluster

__all__ = ["Workload"]


@dataclass(frozen=True, eq=False, repr=False)
class Workload:
    """A sequence of requests, the same for every policy and every engine.

    Made by `synthetic`, `from_arrays`, `from_trace` or `load`. Nothing of a synthetic workload
    is drawn before a column is read.

    Attributes
    ----------
    name : str
    kind_names : tuple of str
        Names of the kinds 0, 1, …; empty if they have none.
    parameters : dict
        What it was made from, the seed included.
    notes : tuple of str
        What was changed while it was read.
    resampled : bool
        True if it is a bootstrap resample of a trace.
    """

    name: str
    source: Recipe | Columns
    kind_names: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    resampled: bool = False

    # --- where workloads come from -----------------------------------------------------------

    @classmethod
    def synthetic(
        cls,
        n: int,
        *,
        arrivals: Arrivals | ClosedLoop | None = None,
        service: Any = None,
        load: float | None = None,
        rate: float | None = None,
        cluster: "Cluster | None" = None,
        wait: Any = 0.0,
        kinds: Mapping[str, Kind] | None = None,
        sessions: Sessions | int | None = None,
        priorities: Sequence[float] | None = None,
        size_error: float | None = None,
        payload: Any = 0.0,
        seed: int = 0,
        allow_overload: bool = False,
        name: str = "synthetic",
    ) -> Self:
        """Describe a random workload.

        Parameters
        ----------
        n : int
            Requests.
        arrivals : Arrivals or ClosedLoop, default `Poisson`
            When they come.
        service : Law, number or scipy.stats frozen distribution
            Computing time of a request, in seconds at speed 1. Or give `kinds`.
        load : float, optional
            Offered load per worker, rho: the arrival rate is ``load`` times the cluster's
            capacity (the sum of its workers' speeds) divided by the mean time that a request
            holds a worker: computing, and waiting too where a worker does one thing at a time
            (``discipline="fcfs"``). The means are the laws', not the sample's.
        rate : float, optional
            Or: requests per second.
        cluster : Cluster, optional
            Needed for `load`.
        wait : Law, number or scipy.stats frozen distribution, default 0
            Waiting (I/O) after the computing, in seconds.
        kinds : mapping of str to Kind, optional
            Kinds of requests with their shares, in place of `service` and `wait`.
        sessions : Sessions or int, optional
            Keys; a number means that many sessions with Zipf popularity.
        priorities : sequence of float, optional
            Shares of the priorities 0, 1, …, drawn independently of the kind.
        size_error : float, optional
            The client's estimate is the true service time times a lognormal error with this
            standard deviation of the logarithm; 0 is exact. None: no estimates.
        payload : Law, number or scipy.stats frozen distribution, default 0
            Bytes of a request.
        seed : int, default 0
        allow_overload : bool, default False
            Allow a load of 1 or more.
        name : str

        Raises
        ------
        InputError
            With the value, the rule and the remedy.

        Examples
        --------
        >>> import lbsim
        >>> workload = Workload.synthetic(1000, service=lbsim.Exponential(0.010), load=0.8,
        ...                               cluster=lbsim.Cluster(4), seed=1)
        >>> round(workload.parameters["rate"], 6)
        320.0
        """
        n = checks.count("Workload.synthetic", "n", n)
        arrivals = Poisson() if arrivals is None else arrivals
        if (service is None) == (kinds is None):
            raise InputError("give service= or kinds=, one of the two")
        every = one_kind(service, wait) if kinds is None else check_kinds(kinds)
        if isinstance(arrivals, ClosedLoop):
            if load is not None or rate is not None:
                raise InputError(
                    f"load = {load!r} and rate = {rate!r} do not apply to a closed loop, where "
                    "the answers set the pace; give clients and think time in ClosedLoop(...)"
                )
            rate = 0.0
        else:
            rate = _rate(load, rate, every, cluster, allow_overload)
        if isinstance(sessions, int):
            sessions = Sessions(sessions)
        recipe = Recipe(
            n=n,
            arrivals=arrivals,
            rate=rate,
            kinds=every,
            sessions=sessions,
            priorities=None
            if priorities is None
            else checks.shares("Workload.synthetic", "priorities", priorities),
            size_error=None
            if size_error is None
            else checks.not_negative("Workload.synthetic", "size_error", size_error),
            payload=as_law(payload),
            seed=checks.count("Workload.synthetic", "seed", seed, least=0),
        )
        parameters = {
            "n": n,
            "arrivals": repr(arrivals),
            "rate": rate,
            "load": load,
            "kinds": {kind: repr(value) for kind, value in every.items()},
            "sessions": repr(sessions),
            "priorities": priorities if priorities is None else list(priorities),
            "size_error": size_error,
            "payload": repr(as_law(payload)),
            "seed": seed,
        }
        return cls(name, recipe, () if kinds is None else tuple(every), parameters)

    @classmethod
    def from_arrays(
        cls,
        arrival: Any,
        service: Any,
        *,
        wait: Any = None,
        key: Any = None,
        kind: Any = None,
        priority: Any = None,
        size: Any = None,
        payload: Any = None,
        name: str = "arrays",
    ) -> Self:
        """Make a workload of given values.

        Parameters
        ----------
        arrival, service : array_like of float, shape (n,)
            Seconds; arrivals that are not in order are sorted, with a note.
        wait : array_like of float, optional
            Waiting (I/O) after the computing, in seconds.
        key : array_like of int or str, optional
            Session or client; strings are hashed.
        kind : array_like of int or str, optional
        priority : array_like of int, optional
            0 is the most urgent.
        size : array_like of float, optional
            The client's own estimate, NaN if none.
        payload : array_like of float, optional
            Bytes.
        name : str

        Raises
        ------
        InputError
            A time is negative or not a number, or lengths differ.

        Examples
        --------
        >>> workload = Workload.from_arrays([0.0, 0.2, 0.1], [1.0, 1.0, 2.0])
        >>> workload.service.tolist(), workload.notes
        ([1.0, 2.0, 1.0], ('arrivals were not in order (1 steps back); sorted',))
        """
        columns, kind_names, notes = from_given(
            arrival, service, wait, key, kind, priority, size, payload
        )
        return cls(name, columns, kind_names, {"source": name}, notes)

    @classmethod
    def from_trace(
        cls,
        path: str | Path,
        format: str | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        skip_bad: bool = False,
    ) -> Self:
        """Read a trace or an access log; see `lbsim.workload.traces.read` for the formats.

        Parameters
        ----------
        path : str or Path
            Compressed with gzip or not.
        format : {"csv", "parquet", "swf", "nginx", "apache"}, optional
            By name and content if not given.
        columns : mapping of str to str, optional
            CSV and Parquet: which of the file's columns is ``arrival``, ``service``, …
        skip_bad : bool, default False
            Leave out rows that cannot be read (with a note) instead of refusing the file.
        """
        from lbsim.workload.traces import read

        found, kind_names, notes = read(Path(path), format, dict(columns or {}), skip_bad)
        name = Path(path).name
        return cls(name, found, kind_names, {"source": name}, notes)

    @classmethod
    def load(cls, path: str | Path) -> "Workload":
        """Read a workload that `save` has written."""
        from lbsim.workload.files import load

        return load(Path(path))

    def save(self, path: str | Path) -> None:
        """Write the workload, with its parameters and notes, to one Parquet file.

        The file appears complete or not at all.
        """
        from lbsim.workload.files import save

        save(self, Path(path))

    # --- columns -----------------------------------------------------------------------------

    @cached_property
    def columns(self) -> Columns:
        """All columns, read-only."""
        columns = self.source if isinstance(self.source, Columns) else join([*self.source.blocks()])
        for column in columns:
            column.flags.writeable = False
        return columns

    def chunks(self) -> Iterator[Columns]:
        """Yield the columns piece by piece; equal to `columns` when joined.

        Of a synthetic workload only one piece (65,536 requests) is in memory at a time.
        """
        if isinstance(self.source, Recipe):
            yield from self.source.blocks()
        else:
            yield self.source

    @property
    def arrival(self) -> FloatArray:
        """When each client wants to send, in seconds, ascending; NaN in a closed loop."""
        return self.columns.arrival

    @property
    def cpu(self) -> FloatArray:
        """Computing, in seconds at speed 1."""
        return self.columns.cpu

    @property
    def wait(self) -> FloatArray:
        """Waiting after the computing, in seconds."""
        return self.columns.wait

    @cached_property
    def service(self) -> FloatArray:
        """Computing plus waiting, in seconds."""
        return self.cpu + self.wait

    @property
    def key(self) -> IntArray:
        """Session or client, -1 if none."""
        return self.columns.key

    @property
    def kind(self) -> IntArray:
        """Number of the kind of request."""
        return self.columns.kind

    @property
    def priority(self) -> IntArray:
        """Priority; 0 is the most urgent."""
        return self.columns.priority

    @property
    def size(self) -> FloatArray:
        """The client's own estimate of the service time, NaN if none."""
        return self.columns.size

    @property
    def payload(self) -> FloatArray:
        """Bytes of the request."""
        return self.columns.payload

    @property
    def client(self) -> IntArray:
        """Closed loop: who sends it (row k * clients + c is client c's request k); else -1."""
        return self.columns.client

    @property
    def think(self) -> FloatArray:
        """Closed loop: how long its client thinks before sending it, in seconds."""
        return self.columns.think

    def __len__(self) -> int:
        return self.source.n if isinstance(self.source, Recipe) else len(self.source.arrival)

    # --- variations --------------------------------------------------------------------------

    def replicate(self, i: int) -> "Workload":
        """Return another sample of the same workload; number 0 is this one.

        A synthetic workload is drawn again. A trace is resampled in moving blocks of n^(2/3)
        requests, gaps and service times together (Künsch 1989), which keeps bursts and
        dependence up to that length; a trend over the whole trace is broken up.
        """
        if i == 0:
            return self
        if isinstance(self.source, Recipe):
            return self._with(self.source.replicate(i))
        columns = self.columns
        n = len(self)
        length = max(1, round(n ** (2 / 3)))
        rng = np.random.default_rng(np.random.SeedSequence(n, spawn_key=(i,)))
        starts = rng.integers(0, n, -(-n // length))
        rows = ((starts[:, None] + np.arange(length)) % n).ravel()[:n]
        gaps = np.diff(columns.arrival, prepend=columns.arrival[:1])
        resampled = columns.take(rows)
        arrival = columns.arrival[0] + np.cumsum(gaps[rows])
        return self._with(resampled._replace(arrival=arrival), resampled=True)

    def scaled(
        self,
        load: float,
        cluster: "Cluster",
        *,
        keep: str = "service",
        allow_overload: bool = False,
    ) -> "Workload":
        """Return the workload at another load, by stretching its time axis.

        Parameters
        ----------
        load : float
            Offered load per worker; of given rows, from their first to their last arrival.
        cluster : Cluster
        keep : {"service", "arrival"}
            What stays as it is: the service times (the gaps are stretched) or the arrivals (the
            service times are stretched).
        allow_overload : bool, default False
            Allow a load of 1 or more.
        """
        _check_load(load, allow_overload)
        factor = self.offered_load(cluster) / load
        note = f"rescaled to load {load:g}: {keep} kept, "
        if keep == "service":
            note += f"gaps times {factor:.6g}"
            if isinstance(self.source, Recipe):
                from dataclasses import replace

                recipe = replace(self.source, rate=self.source.rate / factor)
                return self._with(recipe, notes=(*self.notes, note))
            first = self.arrival[0]
            columns = self.columns._replace(arrival=first + (self.arrival - first) * factor)
        elif keep == "arrival":
            note += f"service times times {1 / factor:.6g}"
            columns = self.columns._replace(
                cpu=self.cpu / factor, wait=self.wait / factor, size=self.size / factor
            )
        else:
            raise InputError(f"keep = {keep!r} is not known; give 'service' or 'arrival'")
        return self._with(columns, notes=(*self.notes, note))

    def offered_load(self, cluster: "Cluster") -> float:
        """Return the offered load per worker: work per second / the cluster's capacity."""
        if isinstance(self.source, Recipe) and not isinstance(self.source.arrivals, ClosedLoop):
            return self.source.rate * _mean_hold(self.source.kinds, cluster) / cluster.capacity
        held = self.service if cluster.wait_holds_worker else self.cpu
        span = float(self.arrival[-1] - self.arrival[0])
        if not span > 0.0:
            raise InputError(
                f"{self.name}: all {len(self)} requests arrive at {self.arrival[0]:g} s, so there "
                "is no rate and no load; give arrivals that differ"
            )
        # The last gap ends with the last arrival, so n - 1 requests belong to the span.
        return float(held[:-1].sum()) / span / cluster.capacity

    def head(self, n: int) -> "Workload":
        """Return the first `n` requests."""
        if isinstance(self.source, Recipe):
            from dataclasses import replace

            return self._with(replace(self.source, n=min(n, len(self))))
        return self._with(self.columns.take(slice(n)))

    def window(self, begin: float, end: float) -> "Workload":
        """Return the requests that arrive in [begin, end), in seconds."""
        first, last = np.searchsorted(self.arrival, [begin, end])
        return self._with(self.columns.take(slice(first, last)))

    def _with(
        self,
        source: Recipe | Columns,
        *,
        notes: tuple[str, ...] | None = None,
        resampled: bool | None = None,
    ) -> "Workload":
        return Workload(
            self.name,
            source,
            self.kind_names,
            self.parameters,
            self.notes if notes is None else notes,
            self.resampled if resampled is None else resampled,
        )

    # --- text --------------------------------------------------------------------------------

    @property
    def is_synthetic(self) -> bool:
        """True if it can be drawn again."""
        return isinstance(self.source, Recipe)

    def frame(self) -> "pd.DataFrame":
        """Return one row per request; times in seconds."""
        import pandas as pd

        return pd.DataFrame(self.columns._asdict() | {"service": self.service})

    def __repr__(self) -> str:
        text = f"Workload {self.name!r}: {len(self)} requests"
        for key in ("arrivals", "kinds", "sessions", "seed"):
            value = self.parameters.get(key)
            if value not in (None, "None"):
                text += f"\n  {key}: {value}"
        if self.parameters.get("rate"):
            text += f"\n  rate: {self.parameters['rate']:.6g} /s"
        return text + "".join(f"\n  note: {note}" for note in self.notes)

    def _repr_html_(self) -> str:
        first, *rest = repr(self).splitlines()
        items = "".join(f"<li>{html.escape(line.strip())}</li>" for line in rest)
        return f"<b>{html.escape(first)}</b><ul>{items}</ul>"


def _rate(
    load: float | None,
    rate: float | None,
    kinds: Mapping[str, Kind],
    cluster: "Cluster | None",
    allow_overload: bool,
) -> float:
    """Return the arrival rate that a load asks for, or the given one."""
    if (load is None) == (rate is None):
        raise InputError(
            f"load = {load!r} and rate = {rate!r}: give one of the two, load= (with cluster=) or "
            "rate= in requests per second"
        )
    if rate is not None:
        return checks.positive("Workload.synthetic", "rate", rate)
    assert load is not None
    if cluster is None:
        raise InputError(
            f"load = {load!r} needs to know how much the workers can do; give cluster=, or rate= "
            "in requests per second"
        )
    _check_load(load, allow_overload)
    return load * cluster.capacity / _mean_hold(kinds, cluster)


def _check_load(load: float, allow_overload: bool) -> None:
    checks.positive("Workload", "load", load)
    if load >= 1.0 and not allow_overload:
        raise InputError(
            f"load = {load:g} is not below 1: the queue grows without bound; lower the arrival "
            "rate, add workers, or pass allow_overload=True"
        )


def _mean_hold(kinds: Mapping[str, Kind], cluster: "Cluster") -> float:
    """Return the mean time that a request holds a worker, in seconds at speed 1."""
    mean = 0.0
    for name, kind in kinds.items():
        held = kind.service.mean + (kind.wait.mean if cluster.wait_holds_worker else 0.0)
        if not held < float("inf"):
            raise InputError(
                f"the mean of {kind.service!r} ({name}) is infinite, so no arrival rate gives a "
                "finite load; give rate=, or use BoundedPareto"
            )
        mean += kind.share * held
    return checks.positive("Workload.synthetic", "mean service time", mean)

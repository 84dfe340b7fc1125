"""Workloads: which requests come, when, and what they ask of a worker."""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lbsim import checks
from lbsim.errors import InputError
from lbsim.workload.arrivals import BLOCK, ClosedLoop
from lbsim.workload.columns import Columns, IntArray, from_given, join, recut
from lbsim.workload.laws import FloatArray
from lbsim.workload.offered import check_load, mean_hold, measured_load
from lbsim.workload.portable import to_data
from lbsim.workload.recipe import Kind, Recipe, Sessions
from lbsim.workload.resample import resample
from lbsim.workload.synthetic import recipe_of

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
    recipe : Recipe or None
        How it is drawn; None for given rows.
    rows : Columns or None
        The rows, where they were given or read; None if they are still to be drawn.
    kind_names : tuple of str
        Names of the kinds 0, 1, …; empty if they have none.
    parameters : dict
        What it was made from, the seed included; JSON can hold it.
    notes : tuple of str
        What was changed on the way.
    resampled : bool
        True if it is a bootstrap resample of a trace.
    """

    name: str
    recipe: Recipe | None
    rows: Columns | None
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
        arrivals: Any = None,
        service: Any = None,
        load: float | None = None,
        rate: float | None = None,
        cluster: "Cluster | None" = None,
        wait: Any = None,
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
        arrivals : Arrivals, ClosedLoop, Law or frozen distribution, default `Poisson`
            When they come; a law is that of independent gaps (its mean is set by the rate).
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
        recipe = recipe_of(
            n,
            arrivals=arrivals,
            service=service,
            load=load,
            rate=rate,
            cluster=cluster,
            wait=wait,
            kinds=kinds,
            sessions=sessions,
            priorities=priorities,
            size_error=size_error,
            payload=payload,
            seed=seed,
            allow_overload=allow_overload,
        )
        parameters = {**to_data(recipe), "load": None if load is None else float(load)}
        return cls(name, recipe, None, () if kinds is None else tuple(kinds), parameters)

    @classmethod
    def from_arrays(
        cls,
        arrival: Any,
        service: Any,
        key: Any = None,
        kind: Any = None,
        priority: Any = None,
        size: Any = None,
        *,
        wait: Any = None,
        payload: Any = None,
        name: str = "arrays",
    ) -> Self:
        """Make a workload of given values.

        Parameters
        ----------
        arrival, service : array_like of float, shape (n,)
            Seconds; arrivals that are not in order are sorted, with a note.
        key : array_like of int or str, optional
            Session or client; strings are hashed.
        kind : array_like of int or str, optional
        priority : array_like of int, optional
            0 is the most urgent.
        size : array_like of float, optional
            The client's own estimate, NaN if none.
        wait : array_like of float, optional
            Waiting (I/O) after the computing, in seconds.
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
        ([1.0, 2.0, 1.0], ('arrivals were not in order (they stepped back once): sorted',))
        """
        columns, kind_names, notes = from_given(
            arrival, service, wait, key, kind, priority, size, payload
        )
        return cls(name, None, columns, kind_names, {"source": name}, notes)

    @classmethod
    def from_trace(
        cls,
        path: str | Path,
        format: str | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        seconds_per: Mapping[str, float] | None = None,
        time_unit: str | None = None,
        resolution: float | None = None,
        skip_bad: bool = False,
        name: str | None = None,
    ) -> Self:
        """Read a trace or an access log.

        `lbsim.workload.traces` says what each format must look like, `lbsim.workload.fields`
        which names of columns are understood.

        Parameters
        ----------
        path : str or Path
            Compressed with gzip or not.
        format : {"csv", "parquet", "swf", "nginx", "apache"}, optional
            By name and content if not given.
        columns : mapping of str to str, optional
            Which of the file's columns is ``arrival``, ``service``, ``wait``, ``key``, ``kind``,
            ``priority``, ``size`` or ``payload``, as in ``{"service": "elapsed_ms"}``; for a log
            ``{"kind": "path"}`` takes the first part of the path in place of the method.
        seconds_per : mapping of str to float, optional
            A model of the service time, for a trace that has sizes but no durations: seconds for
            one unit of each column, summed, as in ``{"generated_tokens": 0.02}``.
        time_unit : {"s", "ms", "us", "ns"}, optional
            Of times in columns whose names do not say it, and of a log's durations. Default:
            seconds; microseconds for Apache (``%D``).
        resolution : float, optional
            Spread requests with the same stamp evenly over so many seconds, in the order of the
            file. Default: 1 for a log with stamps in whole seconds, else they are left alone.
        skip_bad : bool, default False
            Leave out rows that cannot be read (with a note) instead of refusing the file.
        name : str, optional
            The file's name if not given.

        Raises
        ------
        InputError
            The file is missing, empty, cut off, or has rows that cannot be read.
        """
        from lbsim.workload.traces import read

        path = Path(path)
        rows, kind_names, notes = read(
            path, format, columns or {}, seconds_per or {}, time_unit, resolution, skip_bad
        )
        options = {
            "source": path.name,
            "columns": dict(columns or {}),
            "seconds_per": dict(seconds_per or {}),
            "time_unit": time_unit,
            "resolution": resolution,
        }
        return cls(path.name if name is None else name, None, rows, kind_names, options, notes)

    @classmethod
    def load(cls, path: str | Path) -> "Workload":
        """Read a workload that `save` has written."""
        from lbsim.workload.files import load

        return load(Path(path))

    def save(self, path: str | Path) -> None:
        """Write the rows, parameters, seed and notes to one Parquet file.

        The file appears complete or not at all. `load` gives back the same rows, and a synthetic
        workload that can be drawn again.
        """
        from lbsim.workload.files import save

        save(self, Path(path))

    # --- columns -----------------------------------------------------------------------------

    @cached_property
    def columns(self) -> Columns:
        """All columns, read-only."""
        if self.rows is not None:
            return self.rows.frozen()
        assert self.recipe is not None
        return join([*self.recipe.blocks()]).frozen()

    def chunks(self, size: int = BLOCK) -> Iterator[Columns]:
        """Yield the columns in pieces of `size` requests, read-only; the last one is shorter.

        Joined they equal `columns`, bit for bit. Of a synthetic workload whose columns were not
        read before, only a piece (and a block of 65,536) is in memory at a time.
        """
        size = checks.count("Workload.chunks", "size", size)
        if self.recipe is None or self.rows is not None or "columns" in self.__dict__:
            for first in range(0, len(self), size):
                yield self.columns.take(slice(first, first + size))
        else:
            yield from recut(self.recipe.blocks(), size)

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
        service = self.cpu + self.wait
        service.flags.writeable = False
        return service

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

    @property
    def n_clients(self) -> int:
        """Closed loop: how many clients send the requests; else 0."""
        return int(self.client.max()) + 1 if len(self) else 0

    @property
    def is_closed(self) -> bool:
        """Whether clients wait for an answer, think, and send the next: a closed loop."""
        return self.n_clients > 0

    def __len__(self) -> int:
        if self.recipe is not None:
            return self.recipe.n
        return len(self.columns.arrival)

    # --- variations --------------------------------------------------------------------------

    def replicate(self, i: int) -> "Workload":
        """Return another sample of the same workload; number 0 is this one.

        A synthetic workload is drawn again, from random streams of its seed and `i`. A trace is
        resampled in moving blocks (`lbsim.workload.resample`) and `resampled` is then True.
        """
        i = checks.count("Workload.replicate", "i", i, least=0)
        if i == 0:
            return self
        if self.recipe is not None:
            return self._redrawn(replace(self.recipe, replication=i))
        return replace(self, rows=resample(self.columns, i), resampled=True)

    def scaled(
        self,
        load: float,
        cluster: "Cluster",
        *,
        keep: str = "service",
        allow_overload: bool = False,
    ) -> "Workload":
        """Return the workload at another load.

        Parameters
        ----------
        load : float
            Offered load per worker; of given rows, from their first to their last arrival.
        cluster : Cluster
        keep : {"service", "arrival"}
            What stays as it is: the service times (the gaps are stretched, all by one factor),
            or the arrivals (service times and estimates of them are stretched, which suits a
            trace whose jobs take hours).
        allow_overload : bool, default False
            Allow a load of 1 or more.
        """
        if keep not in ("service", "arrival"):
            raise InputError(f"keep = {keep!r} is not known; give 'service' or 'arrival'")
        load = check_load(load, allow_overload)
        factor = self.offered_load(cluster) / load
        changed = (
            f"gaps times {factor:.6g}" if keep == "service" else f"work times {1 / factor:.6g}"
        )
        note = f"rescaled to load {load:g}: {keep} kept, {changed}"
        if self.recipe is not None:
            return self._redrawn(self.recipe.stretched(factor, keep), load=load, note=note)
        return replace(self, rows=self.columns.stretched(factor, keep), notes=(*self.notes, note))

    def offered_load(self, cluster: "Cluster") -> float:
        """Return the offered load per worker: of the laws if synthetic, else of the rows."""
        if self.recipe is not None and not isinstance(self.recipe.arrivals, ClosedLoop):
            return self.recipe.rate * mean_hold(self.recipe.kinds, cluster) / cluster.capacity
        return measured_load(self.name, self.columns, cluster)

    def head(self, n: int) -> "Workload":
        """Return the first `n` requests, or all if there are fewer."""
        n = min(checks.count("Workload.head", "n", n), len(self))
        if self.recipe is not None:
            return self._redrawn(replace(self.recipe, n=n))
        return replace(self, rows=self.columns.take(slice(n)))

    def window(self, begin: float, end: float) -> "Workload":
        """Return the requests that arrive in [begin, end), in seconds; their times stay."""
        first, last = np.searchsorted(self.arrival, [begin, end])
        if first >= last or np.isnan(self.arrival[first]):
            raise InputError(
                f"no request of {self.name} arrives in [{begin:g}, {end:g}) s; they arrive from "
                f"{self.arrival[0]:g} to {self.arrival[-1]:g} s"
            )
        return replace(
            self,
            recipe=None,
            rows=self.columns.take(slice(first, last)),
            notes=(*self.notes, f"only arrivals in [{begin:g}, {end:g}) s"),
        )

    def _redrawn(self, recipe: Recipe, *, load: float | None = None, note: str = "") -> "Workload":
        load = self.parameters["load"] if load is None else load
        return replace(
            self,
            recipe=recipe,
            rows=None,
            parameters={**to_data(recipe), "load": load},
            notes=(*self.notes, note) if note else self.notes,
        )

    # --- text --------------------------------------------------------------------------------

    @property
    def is_synthetic(self) -> bool:
        """True if it can be drawn again."""
        return self.recipe is not None

    def frame(self) -> "pd.DataFrame":
        """Return one row per request; times in seconds."""
        import pandas as pd

        return pd.DataFrame(self.columns._asdict() | {"service": self.service})

    def __repr__(self) -> str:
        lines = [f"Workload {self.name!r}: {len(self):,} requests"]
        if self.recipe is not None:
            lines += self.recipe.lines()
        else:
            first, last = self.arrival[0], self.arrival[-1]
            lines.append(f"arrivals: from {first:g} to {last:g} s")
            lines.append(f"service: mean {self.service.mean():.4g} s")
        if self.resampled:
            lines.append("resampled in moving blocks")
        return "\n  ".join(lines + [f"note: {note}" for note in self.notes])

    def _repr_html_(self) -> str:
        first, *rest = repr(self).splitlines()
        items = "".join(f"<li>{html.escape(line.strip())}</li>" for line in rest)
        return f"<b>{html.escape(first)}</b><ul>{items}</ul>"

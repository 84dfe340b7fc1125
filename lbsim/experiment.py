"""Experiments: several policies on the same requests, many times."""

import html
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lbsim import checks
from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.engines.progress import Progress, silent
from lbsim.errors import InputError
from lbsim.measures import MEASURES, Measure
from lbsim.policy import Policy
from lbsim.replications import Replication, run_all
from lbsim.run import Run
from lbsim.stats.intervals import Interval, replication_interval
from lbsim.stats.paired import PairedDifference, paired_differences
from lbsim.stats.ranking import rank
from lbsim.stats.resampled import resampled_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from lbsim.workload import Workload

__all__ = ["Comparison", "compare", "sweep"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Several policies on the same workload, in paired replications.

    Attributes
    ----------
    runs : dict of str to Run
        The first run of each policy, with all its rows; of a trace, the run on the trace
        itself, not resampled.
    figures : dict of str to dict of str to ndarray
        ``figures[policy][measure]`` has one value per replication.
    warmup : tuple of int
        How many requests were left out in each replication.
    confidence : float
    requested : int
        How many replications were asked for; fewer were done if it was interrupted.
    """

    workload: "Workload"
    cluster: Cluster
    client: Client
    seed: int
    runs: dict[str, Run]
    figures: dict[str, dict[str, np.ndarray]]
    warmup: tuple[int, ...]
    confidence: float
    requested: int
    _intervals: dict[tuple[str, str], Interval] = field(default_factory=dict)

    @property
    def policies(self) -> list[str]:
        """Names of the policies, in the order given."""
        return list(self.runs)

    @property
    def replications(self) -> int:
        """How often each policy was run (resamples of a trace not counting the trace itself)."""
        return len(self.warmup)

    @property
    def is_complete(self) -> bool:
        """False if it was interrupted before all replications were done."""
        return self.replications == self.requested

    @property
    def method(self) -> str:
        """How the intervals are made, in words."""
        level = f"{100 * self.confidence:g} %"
        if self.workload.is_synthetic:
            return (
                f"{level} t intervals over {self.replications} independent replications; all "
                "policies see the same requests"
            )
        return (
            f"{level} intervals by the bootstrap standard error of {self.replications} "
            "moving-block resamples, around the figure of the trace itself"
        )

    def interval(self, policy: str, name: str) -> Interval | None:
        """Return the confidence interval of a measure; None if there is nothing to measure."""
        key = (policy, name)
        if key not in self._intervals:
            values = self.figures[policy][name]
            if np.isnan(values).any():
                return None
            about = _about(name)
            is_time = about.unit == "s"
            if self.workload.is_synthetic and len(values) > 1:
                # Shares and counts may rightly be the same in every replication.
                found = replication_interval(values, self.confidence, allow_constant=not is_time)
            elif len(values) > 2:
                found = resampled_interval(
                    float(values[0]), values[1:], self.confidence, logarithmic=is_time
                )
            else:
                value = float(values[0])
                found = Interval(value, value, value, self.confidence, "a single run")
            # What cannot be is no part of an interval.
            found = replace(
                found, low=max(found.low, about.least), high=min(found.high, about.most)
            )
            self._intervals[key] = found
        return self._intervals[key]

    # --- tables ------------------------------------------------------------------------------

    def frame(self) -> "pd.DataFrame":
        """Return one row per policy and measure: estimate, low, high; times in seconds."""
        import pandas as pd

        rows = []
        for policy in self.policies:
            for m in MEASURES:
                found = self.interval(policy, m.name)
                values = (np.nan,) * 3 if found is None else (found.estimate, found.low, found.high)
                method = "" if found is None else found.method
                rows.append((policy, m.name, m.unit, *values, method))
        names = ["policy", "measure", "unit", "estimate", "low", "high", "interval"]
        return pd.DataFrame(rows, columns=names)

    def replicates(self) -> "pd.DataFrame":
        """Return one row per policy, replication and measure."""
        import pandas as pd

        return pd.DataFrame(
            [
                (policy, i, name, value)
                for policy, figures in self.figures.items()
                for name, values in figures.items()
                for i, value in enumerate(values.tolist())
            ],
            columns=["policy", "replication", "measure", "value"],
        )

    def ranking(self, by: str = "p99") -> "pd.DataFrame":
        """Return the policies from best (least) to worst; policies not told apart share a rank.

        Parameters
        ----------
        by : str, default "p99"
            A measure.

        Returns
        -------
        DataFrame
            Columns ``rank``, ``policy``, ``estimate``, ``low``, ``high``. A policy without the
            measure (no request was answered) comes last, with NaN.
        """
        import pandas as pd

        self._check_measure(by)
        figures = self._figures_of(by)
        if self.replications > 1 and figures:
            lines = rank(
                figures,
                self.confidence,
                allow_constant=True,
                resampled=not self.workload.is_synthetic,
                ratio=_about(by).unit == "s",
            )
            ranks = {line.name: line.rank for line in lines}
        else:
            values = {policy: float(of_it[0]) for policy, of_it in figures.items()}
            ranks = {p: 1 + sum(v < values[p] for v in values.values()) for p in values}
        rows = []
        for policy in self.policies:
            found = self.interval(policy, by)
            place = ranks.get(policy, len(ranks) + 1)
            ends = (np.nan,) * 3 if found is None else (found.estimate, found.low, found.high)
            rows.append((place, policy, *ends))
        table = pd.DataFrame(rows, columns=["rank", "policy", "estimate", "low", "high"])
        return table.sort_values(["rank", "estimate"], ignore_index=True)

    def differences(self, by: str = "p99") -> dict[tuple[str, str], tuple[PairedDifference, float]]:
        """Return every pair's difference over paired replications, and Holm's p-value.

        Of times on a trace it is the ratio, not the difference (`PairedDifference.is_ratio`).
        Policies without the measure are left out.
        """
        self._check_measure(by)
        if self.replications < 2:
            raise InputError(
                f"replications = {self.replications}: a difference needs at least 2; compare with "
                "more replications"
            )
        return paired_differences(
            self._figures_of(by),
            self.confidence,
            allow_constant=True,
            resampled=not self.workload.is_synthetic,
            ratio=_about(by).unit == "s",
        )

    def _figures_of(self, by: str) -> dict[str, np.ndarray]:
        """Return the figures of the policies that have this measure."""
        of_all = {policy: self.figures[policy][by] for policy in self.policies}
        return {policy: of_it for policy, of_it in of_all.items() if not np.isnan(of_it).any()}

    def _check_measure(self, name: str) -> None:
        names = [m.name for m in MEASURES]
        if name not in names:
            raise InputError(f"measure = {name!r} is not known; give one of {', '.join(names)}")

    # --- pictures ----------------------------------------------------------------------------

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the latency distributions of the first runs."""
        from lbsim.plot import ccdf

        return ccdf(self.runs, ax)

    def report(self, path: str | Path) -> Path:
        """Write one self-contained HTML page; return its path."""
        from lbsim.report import write_page

        return write_page(self, Path(path))

    def save(self, directory: str | Path) -> Path:
        """Write the report, the tables and the plots to a directory; return its path.

        Everything is written to a temporary directory that is then moved into place.
        """
        from lbsim.report import write_all

        return write_all(self, Path(directory))

    # --- text --------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from lbsim.report.text import table

        return table(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def compare(
    workload: "Workload",
    policies: Sequence[Policy] | Mapping[str, Policy],
    cluster: Cluster,
    replications: int = 10,
    seed: int = 0,
    client: Client | None = None,
    engine: str = "auto",
    confidence: float = 0.95,
    n_jobs: int | None = None,
    progress: bool = True,
) -> Comparison:
    """Run several policies on the same requests.

    Parameters
    ----------
    workload : Workload
        A synthetic one is drawn anew for each replication; a trace is run as it is, then
        resampled in moving blocks (`Workload.replicate`).
    policies : sequence of Policy, or mapping of str to Policy
        Named by their repr if no names are given.
    cluster : Cluster
    replications : int, default 10
    seed : int, default 0
        Of the policies' chance. In one replication all policies have the same.
    client : Client, optional
    engine : {"auto", "readable", "compiled"}
    confidence : float, default 0.95
    n_jobs : int, optional
        Replications that run at once: by default one a core, where that saves time. The
        figures do not depend on it.
    progress : bool, default True
        Show a progress bar from the third second on.

    Returns
    -------
    Comparison
        After Ctrl-C that of the replications which were done, as if no more had been asked for;
        it says so.

    Notes
    -----
    The warm-up of synthetic runs is cut by MSER-5 on the latencies, at the latest of the
    policies' cuts, so that the same requests count for all. Nothing is cut from a trace.
    """
    count = _count(workload, replications)
    with silent(when=not progress), Progress(count, "replication") as bar:
        result, _ = _compare(
            workload,
            policies,
            cluster,
            replications,
            seed,
            client,
            engine,
            confidence,
            n_jobs,
            bar.done,
        )
    return result


def _count(workload: "Workload", replications: int) -> int:
    """Return how often each policy is run.

    Of a trace, number 0 is the trace itself and the resamples follow.
    """
    checks.count("compare", "replications", replications)
    return replications + (not workload.is_synthetic and replications > 1)


def _compare(
    workload: "Workload",
    policies: Sequence[Policy] | Mapping[str, Policy],
    cluster: Cluster,
    replications: int,
    seed: int,
    client: Client | None,
    engine: str,
    confidence: float,
    n_jobs: int | None,
    done: Callable[[int], None],
) -> tuple[Comparison, bool]:
    """Do what `compare` does, and tell `done` how many replications are done.

    Returns
    -------
    result : Comparison
    interrupted : bool
    """
    named = dict(policies) if isinstance(policies, Mapping) else {repr(p): p for p in policies}
    if not named:
        raise InputError("policies is empty; give at least one policy")
    if not 0.0 < confidence < 1.0:
        raise InputError(
            f"confidence = {confidence!r} must lie strictly between 0 and 1; write 0.95 for 95 %"
        )
    if n_jobs is not None:
        checks.count("compare", "n_jobs", n_jobs)
    client = Client() if client is None else client
    task = Replication(workload, named, cluster, client, engine, seed)
    first, found, interrupted = run_all(task, _count(workload, replications), n_jobs, done)
    figures = {
        name: {m.name: np.array([part.values[name][m.name] for part in found]) for m in MEASURES}
        for name in named
    }
    cuts = [part.cut for part in found]
    result = Comparison(
        workload,
        cluster,
        client,
        seed,
        first,
        figures,
        tuple(cuts if workload.is_synthetic else cuts[1:] or cuts),
        confidence,
        replications,
    )
    return result, interrupted


def sweep(
    workload: "Workload",
    policies: Sequence[Policy] | Mapping[str, Policy],
    cluster: Cluster,
    loads: Sequence[float],
    replications: int = 5,
    seed: int = 0,
    client: Client | None = None,
    engine: str = "auto",
    n_jobs: int | None = None,
    progress: bool = True,
) -> "pd.DataFrame":
    """Compare policies at several loads: what `lbsim.plot.latency_against_load` draws.

    Parameters
    ----------
    workload : Workload
        Rescaled to each load (`Workload.scaled`).
    loads : sequence of float
        Offered load per worker.
    policies, cluster, replications, seed, client, engine, n_jobs, progress
        As in `compare`.

    Returns
    -------
    DataFrame
        `Comparison.frame` of every load, with a column ``load``.

    Warns
    -----
    UserWarning
        After Ctrl-C: the table holds the loads that were done.
    """
    import pandas as pd

    if len(loads) == 0:
        raise InputError("loads is empty; give at least one load, such as [0.5, 0.8, 0.9]")
    parts: list[pd.DataFrame] = []
    count = _count(workload, replications)
    with silent(when=not progress), Progress(len(loads) * count, "replication") as bar:
        for i, load in enumerate(loads):
            try:
                result, interrupted = _compare(
                    workload.scaled(load, cluster),
                    policies,
                    cluster,
                    replications,
                    seed,
                    client,
                    engine,
                    0.95,
                    n_jobs,
                    partial(_add, bar.done, i * count),
                )
            except KeyboardInterrupt:  # before its first replication was done
                if not parts:
                    raise
                interrupted = True
            else:
                if result.is_complete:
                    parts.append(result.frame().assign(load=load))
            if interrupted:
                break
    if not parts:
        raise KeyboardInterrupt
    if len(parts) < len(loads):
        warnings.warn(f"interrupted: {len(parts)} of {len(loads)} loads were done", stacklevel=2)
    return pd.concat(parts, ignore_index=True)


def _add(done: Callable[[int], None], before: int, steps: int) -> None:
    done(before + steps)


def _about(name: str) -> Measure:
    return next(m for m in MEASURES if m.name == name)

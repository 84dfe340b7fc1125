"""Experiments: several policies on the same requests, many times."""

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim import checks
from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.errors import InputError
from lbsim.measures import MEASURES, measure
from lbsim.policy import Policy
from lbsim.run import Run
from lbsim.simulate import simulate
from lbsim.stats.intervals import Interval, replication_interval
from lbsim.stats.paired import PairedDifference, paired_differences
from lbsim.stats.ranking import rank
from lbsim.stats.resampled import resampled_interval
from lbsim.stats.warmup import mser5

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from lbsim.workload import Workload

__all__ = ["Comparison", "compare", "sweep"]

Progress = Callable[[Iterable[Any]], Iterable[Any]]


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
    """

    workload: "Workload"
    cluster: Cluster
    client: Client
    seed: int
    runs: dict[str, Run]
    figures: dict[str, dict[str, np.ndarray]]
    warmup: tuple[int, ...]
    confidence: float = 0.95
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
            about = next(m for m in MEASURES if m.name == name)
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
    progress: Progress | None = None,
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
    progress : callable, optional
        Wraps the iteration over all runs, as ``tqdm.tqdm`` does.

    Returns
    -------
    Comparison

    Notes
    -----
    The warm-up of synthetic runs is cut by MSER-5 on the latencies, at the latest of the
    policies' cuts, so that the same requests count for all. Nothing is cut from a trace.
    """
    named = dict(policies) if isinstance(policies, Mapping) else {repr(p): p for p in policies}
    if not named:
        raise InputError("policies is empty; give at least one policy")
    checks.count("compare", "replications", replications)
    if not 0.0 < confidence < 1.0:
        raise InputError(
            f"confidence = {confidence!r} must lie strictly between 0 and 1; write 0.95 for 95 %"
        )
    # Of a trace, number 0 is the trace itself and the resamples follow.
    count = replications if workload.is_synthetic else (replications + 1 if replications > 1 else 1)
    client = Client() if client is None else client
    figures: dict[str, dict[str, list[float]]] = {
        name: {m.name: [] for m in MEASURES} for name in named
    }
    first: dict[str, Run] = {}
    cuts = []
    jobs: Iterable[Any] = range(count)
    for i in jobs if progress is None else progress(jobs):
        sample = workload.replicate(i)
        runs = {
            name: simulate(sample, policy, cluster, engine, _seed(seed, i), client)
            for name, policy in named.items()
        }
        if i == 0:
            first = runs
        cut = max((_warmup(run) for run in runs.values()), default=0) if sample.is_synthetic else 0
        cuts.append(cut)
        for name, run in runs.items():
            for key, value in measure(run, cut).items():
                figures[name][key].append(value)
    return Comparison(
        workload,
        cluster,
        client,
        seed,
        first,
        {p: {k: np.array(v) for k, v in values.items()} for p, values in figures.items()},
        tuple(cuts if workload.is_synthetic else cuts[1:] or cuts),
        confidence,
    )


def sweep(
    workload: "Workload",
    policies: Sequence[Policy] | Mapping[str, Policy],
    cluster: Cluster,
    loads: Sequence[float],
    replications: int = 5,
    seed: int = 0,
    client: Client | None = None,
    engine: str = "auto",
    progress: Progress | None = None,
) -> "pd.DataFrame":
    """Compare policies at several loads: what `lbsim.plot.latency_against_load` draws.

    Parameters
    ----------
    workload : Workload
        Rescaled to each load (`Workload.scaled`).
    loads : sequence of float
        Offered load per worker.
    policies, cluster, replications, seed, client, engine, progress
        As in `compare`.

    Returns
    -------
    DataFrame
        `Comparison.frame` of every load, with a column ``load``.
    """
    import pandas as pd

    parts = []
    for load in loads if progress is None else progress(loads):
        result = compare(
            workload.scaled(load, cluster), policies, cluster, replications, seed, client, engine
        )
        parts.append(result.frame().assign(load=load))
    return pd.concat(parts, ignore_index=True)


def _seed(seed: int, replication: int) -> int:
    """Return the policies' seed in one replication."""
    sequence = np.random.SeedSequence(seed, spawn_key=(replication,))
    return int(sequence.generate_state(1, np.uint32)[0])


def _warmup(run: Run) -> int:
    """Return the length of the warm-up, in requests; unanswered ones are passed over."""
    answered = np.flatnonzero(~np.isnan(run.latency))
    if len(answered) < 10:
        return 0
    cut = mser5(run.latency[answered]).cut
    return int(answered[cut]) if cut else 0

"""What came out when several policies had the same requests, many times."""

import html
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.errors import InputError
from lbsim.measures import MEASURES, Measure
from lbsim.run import Run
from lbsim.stats.intervals import Interval, replication_interval
from lbsim.stats.paired import PairedDifference, paired_differences
from lbsim.stats.ranking import rank
from lbsim.stats.resampled import resampled_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from lbsim.workload import Workload

__all__ = ["Comparison"]


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


def _about(name: str) -> Measure:
    return next(m for m in MEASURES if m.name == name)

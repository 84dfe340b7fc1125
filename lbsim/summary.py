"""A run without its rows: sums, a histogram and the slowest requests, in fixed memory."""

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.engines.record import OK, OUTCOMES
from lbsim.errors import InputError
from lbsim.policy import Policy
from lbsim.stats.balance import imbalance, jain
from lbsim.stats.histogram import Histogram
from lbsim.stats.moments import Moments

if TYPE_CHECKING:
    import pandas as pd

    from lbsim.engines.compiled.tally import Slowest, Tally
    from lbsim.run import Run
    from lbsim.workload import Workload

__all__ = ["Summary"]


@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """What became of the requests of a run, added up: ``simulate(..., keep="summary")``.

    Its size does not depend on the number of requests, and summaries of several runs can be
    merged into one.

    Attributes
    ----------
    workload, policy, cluster, client, seed
        What was run.
    source : str
        The engine.
    requested : int
        How many requests were asked for; fewer are counted if the run was interrupted.
    histogram : Histogram
        Latencies of the answered requests, to 0.1 %; `lbsim.stats.hdr` writes it in
        HdrHistogram's formats.
    moments : Moments
        Of the same latencies, exactly.
    outcomes : ndarray of int64, shape (5,)
        Requests by outcome (`lbsim.engines.record.OUTCOMES`).
    answered : ndarray of int64, shape (n_workers,)
        Requests that each worker answered.
    busy : ndarray of float64, shape (n_workers,)
        Seconds for which these requests held each worker: from begin to answer at a
        first-come-first-served worker, their computing elsewhere.
    span : float
        Seconds from the first arrival until the last request was done; of merged runs, the sum.
    """

    workload: "Workload"
    policy: Policy
    cluster: Cluster
    client: Client
    seed: int
    source: str
    requested: int
    histogram: Histogram
    moments: Moments
    outcomes: np.ndarray
    answered: np.ndarray
    busy: np.ndarray
    span: float
    _slowest: "Slowest"

    @classmethod
    def of(cls, run: "Run") -> "Summary":
        """Return the summary of a run that kept its rows.

        Examples
        --------
        >>> import lbsim
        >>> workload = lbsim.Workload.from_arrays([0.0, 0.0, 0.5], [1.0, 1.0, 1.0])
        >>> run = lbsim.simulate(workload, lbsim.policies.LeastConnections(), lbsim.Cluster(2))
        >>> summary = lbsim.Summary.of(run)
        >>> round(summary.moments.mean, 6), summary.answered.tolist()
        (1.166667, [2, 1])
        """
        from lbsim.engines.compiled.tally import Tally

        tally = Tally(run.cluster.workers)
        answered = run.outcome == OK
        if run.cluster.wait_holds_worker:
            held = run.finished - run.started
        else:
            speed = np.array(run.cluster.speeds)[run.worker]
            held = (run.workload.cpu + run.cluster.overhead_s) / speed
        tally.add_mixed(
            np.arange(len(run)),
            run.arrival,
            np.where(answered, held, 0.0),
            run.finished,
            run.worker,
            run.outcome,
        )
        return cls.from_tally(
            tally,
            (run.workload, run.policy, run.cluster, run.client, run.seed, run.source),
            len(run),
        )

    @classmethod
    def from_tally(
        cls,
        tally: "Tally",
        what: tuple["Workload", Policy, Cluster, Client, int, str],
        requested: int,
    ) -> "Summary":
        """Make a summary of what an engine has counted.

        Parameters
        ----------
        tally : Tally
        what : tuple
            Workload, policy, cluster, client, seed and source.
        requested : int
        """
        return cls(
            *what,
            requested,
            tally.histogram,
            tally.moments,
            tally.outcomes,
            tally.answered,
            tally.busy,
            max(0.0, tally.end - tally.begin),
            tally.slowest,
        )

    def __len__(self) -> int:
        """How many requests were counted."""
        return int(self.outcomes.sum())

    @property
    def is_complete(self) -> bool:
        """False if the run was interrupted before all requests were done."""
        return len(self) == self.requested

    # --- figures -----------------------------------------------------------------------------

    def quantile(self, q: Any) -> Any:
        """Return quantiles of the latency of the answered requests.

        Parameters
        ----------
        q : float or array_like
            Strictly between 0 and 1.

        Returns
        -------
        float or ndarray
            Seconds, in the shape of `q`; at most 0.1 % above the order statistic.
        """
        if self.moments.count == 0:
            raise InputError(
                "no request of this run was answered, so there is no latency; "
                "look at summary.summary() for what became of them"
            )
        found = self.histogram.quantile(np.ravel(q))
        found = np.minimum(found, self.moments.maximum).reshape(np.shape(q))
        return found if np.ndim(q) else float(found)

    def summary(self) -> "pd.Series":
        """Return the figures by name, as `Run.summary` does, but for those that need rows.

        Utilisation and fairness are those of the work of the answered requests, and time goes
        on until the last of them; `Run.summary` looks at all work until the last arrival.
        """
        import pandas as pd

        figures: dict[str, float] = {}
        has_answers = self.moments.count > 0
        figures["mean"] = self.moments.mean if has_answers else np.nan
        for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)):
            figures[name] = self.quantile(q) if has_answers else np.nan
        figures["worst"] = self.moments.maximum if has_answers else np.nan
        is_used = self.busy.any()
        figures["utilisation"] = float(self.busy.mean()) / self.span if self.span > 0.0 else np.nan
        figures["imbalance"] = imbalance(self.busy) if is_used else np.nan
        figures["jain"] = jain(self.busy) if is_used else np.nan
        figures["answered"] = float(self.outcomes[OK]) / max(1, len(self))
        for name, count in zip(OUTCOMES[1:], self.outcomes[1:].tolist(), strict=True):
            figures[name] = float(count)
        return pd.Series(figures, name=repr(self.policy))

    def workers(self) -> "pd.DataFrame":
        """Return one row per worker: requests answered, seconds busy."""
        import pandas as pd

        return pd.DataFrame(
            {"answered": self.answered, "busy": self.busy},
            index=pd.RangeIndex(len(self.busy), name="worker"),
        )

    def slowest(self, k: int = 5) -> "pd.DataFrame":
        """Return the slowest requests, the slowest first, with their numbers in the workload.

        At most the 100 slowest of each run are known.
        """
        import pandas as pd

        rows = self._slowest
        table = pd.DataFrame(
            {
                "request": rows.row,
                "arrival": rows.arrival,
                "latency": rows.latency,
                "worker": rows.worker,
            }
        )
        return table.head(k)

    # --- together ----------------------------------------------------------------------------

    def merge(self, other: "Summary") -> "Summary":
        """Return the summary of both runs together: of replications, say.

        What was run is taken from this one; the numbers of the slowest requests are those
        in their own runs.

        Raises
        ------
        InputError
            The runs had different policies or numbers of workers.
        """
        if self.policy != other.policy or len(self.busy) != len(other.busy):
            raise InputError(
                f"Summary.merge: {other.policy!r} on {len(other.busy)} workers is not "
                f"{self.policy!r} on {len(self.busy)}; merge runs of one policy on one cluster"
            )
        histogram = Histogram(self.histogram.unit_s, self.histogram.digits)
        histogram.merge(self.histogram)
        histogram.merge(other.histogram)
        kept = max(len(self._slowest.row), len(other._slowest.row))
        both = type(self._slowest)(
            *(np.concatenate(pair) for pair in zip(self._slowest, other._slowest, strict=True))
        )
        order = np.argsort(-both.latency, kind="stable")[:kept]
        return Summary(
            self.workload,
            self.policy,
            self.cluster,
            self.client,
            self.seed,
            self.source,
            self.requested + other.requested,
            histogram,
            self.moments + other.moments,
            self.outcomes + other.outcomes,
            self.answered + other.answered,
            self.busy + other.busy,
            self.span + other.span,
            type(both)(*(column[order] for column in both)),
        )

    # --- text --------------------------------------------------------------------------------

    def __repr__(self) -> str:
        done = f"{len(self):,} requests"
        if not self.is_complete:
            done = f"stopped after {len(self):,} of {self.requested:,} requests"
        text = f"Summary of {self.policy!r} ({self.source}): {done}"
        text += f", {self.moments.count:,} answered"
        if self.moments.count:
            p50, p99 = self.quantile([0.5, 0.99])
            mean, worst = self.moments.mean, self.moments.maximum
            text += f"; latency mean {_ms(mean)}, p50 {_ms(p50)}, p99 {_ms(p99)}"
            text += f", worst {_ms(worst)}"
        return text

    def _repr_html_(self) -> str:
        head, _, figures = repr(self).partition(": ")
        return f"<b>{html.escape(head)}</b><br>{html.escape(figures)}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.4g} ms"

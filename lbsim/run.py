"""The result of one run: a row per request, whether simulated or measured."""

import html
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.engines import record
from lbsim.engines.record import ENDINGS, HAPPENINGS, OK, OUTCOMES, Record
from lbsim.errors import InputError
from lbsim.policy import Policy

if TYPE_CHECKING:
    import pandas as pd

    from lbsim.explain import Story
    from lbsim.workload import Workload

__all__ = ["Run"]


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """What happened to every request of a workload under one policy.

    Attributes
    ----------
    workload, policy, cluster, client
        What was run.
    seed : int
        Of the policy's and the clients' chance.
    source : str
        The engine ("readable", "compiled"), or "measured".
    copies : int
        Tickets per request (see `lbsim.engines.plan.Plan`).
    record : Record
        The raw rows.
    """

    workload: "Workload"
    policy: Policy
    cluster: Cluster
    client: Client
    seed: int
    source: str
    copies: int
    record: Record

    def __len__(self) -> int:
        return len(self.record.arrival)

    # --- one row a request -------------------------------------------------------------------

    @property
    def arrival(self) -> np.ndarray:
        """When each client wanted to send, in seconds; shape (n,)."""
        return self.record.arrival

    @property
    def finished(self) -> np.ndarray:
        """When each client had its answer or gave up for good, in seconds; NaN: still waits."""
        return self.record.finished

    @property
    def outcome(self) -> np.ndarray:
        """Index into `lbsim.engines.record.OUTCOMES`; 0 is ok."""
        return self.record.outcome

    @cached_property
    def latency(self) -> np.ndarray:
        """Response time in seconds, shape (n,); NaN where there was no answer."""
        return np.where(self.outcome == OK, self.finished - self.arrival, np.nan)

    @cached_property
    def worker(self) -> np.ndarray:
        """The worker that answered, or the last one that had the request; -1 if none."""
        return self._of_answer(self.record.handovers.worker, -1)

    @cached_property
    def dispatched(self) -> np.ndarray:
        """When the request was at that worker, in seconds."""
        return self._of_answer(self.record.handovers.dispatched, np.nan)

    @cached_property
    def started(self) -> np.ndarray:
        """When that worker began to serve it, in seconds."""
        return self._of_answer(self.record.handovers.started, np.nan)

    @cached_property
    def miss(self) -> np.ndarray:
        """True where the session had to be fetched from elsewhere."""
        return self._of_answer(self.record.handovers.miss, False)

    @cached_property
    def n_attempts(self) -> np.ndarray:
        """Handovers to workers, over all copies of the request."""
        return np.bincount(self.record.handovers.ticket // self.copies, minlength=len(self))

    def _of_answer(self, column: np.ndarray, missing: Any) -> np.ndarray:
        answer = self.record.answer
        if len(column) == 0:
            return np.full(len(answer), missing, column.dtype)
        return np.where(answer >= 0, column[answer], missing)

    # --- what one asks first -----------------------------------------------------------------

    def quantile(self, q: Any) -> Any:
        """Return quantiles of the latency of the answered requests.

        Parameters
        ----------
        q : float or array_like
            Between 0 and 1.

        Returns
        -------
        float or ndarray
            Seconds, in the shape of `q` (linear interpolation between order statistics).
        """
        answered = self.latency[~np.isnan(self.latency)]
        if len(answered) == 0:
            raise InputError(
                "no request of this run was answered, so there is no latency; "
                "look at run.summary() for what became of them"
            )
        return np.quantile(answered, q)

    def summary(self, *, warmup: int = 0) -> "pd.Series":
        """Return the run's figures by name (see `lbsim.measures`).

        Parameters
        ----------
        warmup : int, default 0
            How many of the first requests are left out of the latency figures.
        """
        import pandas as pd

        from lbsim.measures import measure

        return pd.Series(measure(self, warmup=warmup), name=repr(self.policy))

    # --- tables ------------------------------------------------------------------------------

    def frame(self) -> "pd.DataFrame":
        """Return one row per request; times in seconds, losses included."""
        import pandas as pd

        w = self.workload
        return pd.DataFrame(
            {
                "arrival": self.arrival,
                "key": w.key,
                "kind": w.kind,
                "priority": w.priority,
                "size": w.size,
                "cpu": w.cpu,
                "wait": w.wait,
                "service": w.service,
                "worker": self.worker,
                "dispatched": self.dispatched,
                "started": self.started,
                "finished": self.finished,
                "latency": self.latency,
                "attempts": self.n_attempts,
                "miss": self.miss,
                "outcome": pd.Categorical.from_codes(self.outcome, list(OUTCOMES)),
            }
        )

    def attempts(self) -> "pd.DataFrame":
        """Return one row per handover to a worker."""
        import pandas as pd

        rows = self.record.handovers
        return pd.DataFrame(
            {
                "request": rows.ticket // self.copies,
                "copy": rows.ticket % self.copies,
                "worker": rows.worker,
                "dispatched": rows.dispatched,
                "started": rows.started,
                "ended": rows.ended,
                "ending": pd.Categorical.from_codes(rows.ending, list(ENDINGS)),
                "miss": rows.miss,
            }
        )

    def events(self) -> "pd.DataFrame":
        """Return what happened to workers: one row per crash, restart or hang."""
        import pandas as pd

        rows = self.record.happenings
        return pd.DataFrame(
            {
                "time": rows.time,
                "event": pd.Categorical.from_codes(rows.what, list(HAPPENINGS)),
                "worker": rows.worker,
                "value": rows.value,
            }
        )

    def down_spans(self) -> list[tuple[int, float, float]]:
        """Return when workers could not serve: (worker, begin, end), dead or hung."""
        spans = []
        since: dict[int, float] = {}
        rows = self.record.happenings
        for time, what, worker in zip(
            rows.time.tolist(), rows.what.tolist(), rows.worker.tolist(), strict=True
        ):
            if what in (record.CRASHED_AT, record.HUNG, record.STOPPED):
                since.setdefault(worker, time)
            elif what in (record.CAME_UP, record.RESUMED) and worker in since:
                spans.append((worker, since.pop(worker), time))
        return spans + [(worker, time, np.inf) for worker, time in since.items()]

    def slowest(self, k: int = 5) -> "list[Story]":
        """Explain the `k` slowest requests: what each waited for, and behind whom.

        Returns
        -------
        list of Story
            Each prints as a sentence.
        """
        from lbsim.explain import slowest

        return slowest(self, k)

    # --- text --------------------------------------------------------------------------------

    def __repr__(self) -> str:
        ok = int((self.outcome == OK).sum())
        text = f"Run of {self.policy!r} ({self.source}): {len(self)} requests, {ok} answered"
        if ok:
            p50, p99 = self.quantile([0.5, 0.99])
            mean = np.nanmean(self.latency)
            text += f"; latency mean {_ms(mean)}, p50 {_ms(p50)}, p99 {_ms(p99)}"
        return text

    def _repr_html_(self) -> str:
        head, _, figures = repr(self).partition(": ")
        return f"<b>{html.escape(head)}</b><br>{html.escape(figures)}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.4g} ms"

"""Check a diagnosis: which of a few causes makes a trace's 99th percentile bad."""

from typing import TYPE_CHECKING

import numpy as np

from lbsim.teach.cases import CAUSES, Truth, case, truth
from lbsim.teach.checks.verdict import CheckFailed, Verdict

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["diagnosis"]


def diagnosis(
    name: str,
    cause: str,
    *,
    worker: int | None = None,
    since: float | None = None,
    key: int | None = None,
    kind: int | None = None,
) -> Verdict:
    """Check what you found in a case.

    Parameters
    ----------
    name : str
        Of the case.
    cause : {"slow worker", "hot session", "blocking kind", "too little capacity"}
    worker : int, optional
        For a slow worker or a hot session: where.
    since : float, optional
        For a slow worker: from when on, in seconds (to within 1 s).
    key, kind : int, optional
        For a hot session, or a blocking kind of request: which.

    Raises
    ------
    CheckFailed
        With what the trace says against it.
    """
    if cause not in CAUSES:
        raise CheckFailed(
            f"cause = {cause!r} is not one of the answers: give one of {', '.join(CAUSES)}"
        )
    trace, right = case(name), truth(name)
    verdict = Verdict(f"case {name}")
    if cause != right.cause:
        raise CheckFailed(f"case {name} is not a {cause}: {_against(trace, cause)}")
    verdict.ok(cause)
    _check_part(trace, right, "worker", worker, verdict)
    _check_part(trace, right, "key", key, verdict)
    _check_part(trace, right, "kind", kind, verdict)
    if right.since is not None:
        if since is None or abs(since - right.since) > 1.0:
            raise CheckFailed(
                f"it is a slow worker, but since = {since} is not when it began; plot the time in "
                "service (finished - started) of that worker's requests against their arrival"
            )
        verdict.ok(f"since t = {right.since:g} s")
    return verdict


def _check_part(
    trace: "pd.DataFrame", right: Truth, part: str, given: int | None, verdict: Verdict
) -> None:
    wanted = getattr(right, part)
    if wanted is None:
        return
    if given is None:
        raise CheckFailed(f"it is a {right.cause}; now say which {part}: {part}=...")
    if given != wanted:
        share = (trace[part] == given).mean()
        raise CheckFailed(
            f"it is a {right.cause}, but not {part} {given} ({share:.1%} of the requests); group "
            f"the trace by {part} and compare the groups"
        )
    verdict.ok(f"{part} {wanted}")


def _against(trace: "pd.DataFrame", cause: str) -> str:
    """Say what in the trace speaks against a cause."""
    served = trace["finished"] - trace["started"]
    if cause == "slow worker":
        usual = trace["kind"] == trace["kind"].mode()[0]
        medians = served[usual].groupby(trace["worker"]).median()
        return (
            "the time in service (finished - started) is much the same at all workers, "
            + ", ".join(f"worker {w}: {1e3 * m:.1f} ms" for w, m in medians.items())
            + " (medians of the commonest kind). Where else can time be lost than in service?"
        )
    if cause == "hot session":
        largest = trace["key"].value_counts(normalize=True)
        return (
            f"the most active session has {largest.iloc[0]:.1%} of the requests, and the next one "
            f"{largest.iloc[1]:.1%}"
        )
    if cause == "blocking kind":
        medians = served.groupby(trace["kind"]).median()
        return (
            "by kind the median time in service is "
            + ", ".join(f"{1e3 * m:.1f} ms (kind {k})" for k, m in medians.items())
            + "; none is long enough to block a worker"
        )
    span = trace["finished"].max() - trace["arrival"].min()
    busy = served.groupby(trace["worker"]).sum() / span
    return (
        "workers were in service "
        + ", ".join(f"{b:.0%} (worker {w})" for w, b in busy.items())
        + " of the time: some had capacity to spare while others had a queue"
        if busy.min() < 0.9
        else f"workers were busy {np.mean(busy):.0%} of the time"
    )

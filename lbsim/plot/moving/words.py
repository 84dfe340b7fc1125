"""What a moving picture shows, in words: for those who cannot see it, and for the notes."""

from typing import TYPE_CHECKING

import numpy as np

from lbsim import stats
from lbsim.engines import record
from lbsim.plot.moving.stays import Stays
from lbsim.units import duration

if TYPE_CHECKING:
    from lbsim.run import Run

__all__ = ["summary"]

SHOWN = 12  # crashes and restarts that are told one by one

_HAPPENS = {
    record.CRASHED_AT: "crashed",
    record.CAME_UP: "was up again",
    record.LEAVING: "took no new requests",
    record.HUNG: "stood still",
    record.RESUMED: "went on",
    record.STOPPED: "restarted",
}


def summary(run: "Run", rows: Stays, begin: float, end: float) -> list[str]:
    """Return sentences on what happens between two times (seconds)."""
    requests = np.unique(rows.request)
    lines = [
        f"{len(requests):,} requests on {run.cluster.workers} workers between {begin:.4g} and "
        f"{end:.4g} s."
    ]
    until = np.where(np.isnan(rows.started), rows.ended, rows.started)
    until = np.where(np.isnan(until), end, until)
    path = stats.paths.count_path(np.maximum(rows.since, begin), np.maximum(until, begin))
    if len(path.values):
        most = int(np.argmax(path.values))
        lines.append(
            f"At most {int(path.values[most])} waited at once, at {path.times[most]:.4g} s."
        )
    latency = run.latency[requests]
    if not np.isnan(latency).all():
        slowest = int(np.nanargmax(latency))
        median = float(np.nanmedian(latency))
        lines.append(
            f"Median latency {duration(median)}; the slowest, request {requests[slowest]}, took "
            f"{duration(float(latency[slowest]))} at worker {run.worker[requests[slowest]]}."
        )
    counts = np.bincount(run.outcome[requests], minlength=len(record.OUTCOMES))
    for code, name in enumerate(record.OUTCOMES):
        if code != record.OK and counts[code]:
            lines.append(f"{int(counts[code]):,} requests: {name}.")
    return lines + _events(run, begin, end)


def _events(run: "Run", begin: float, end: float) -> list[str]:
    told = []
    begun: set[int] = set()
    for time, what, worker in zip(
        *(column.tolist() for column in run.record.happenings[:3]), strict=True
    ):
        # That a worker came up for the first time is no news.
        is_news = what in _HAPPENS and not (what == record.CAME_UP and worker not in begun)
        begun.add(worker)
        if is_news and begin <= time <= end:
            told.append(f"At {time:.4g} s worker {worker} {_HAPPENS[what]}.")
    more = len(told) - SHOWN
    return told[:SHOWN] + ([f"{more} more such events."] if more > 0 else [])

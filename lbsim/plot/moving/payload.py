"""The event list of a moving picture: whole numbers, differences where they are small."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim.engines import record
from lbsim.errors import InputError
from lbsim.plot.moving import words
from lbsim.plot.moving.stays import Stays, stays

if TYPE_CHECKING:
    from lbsim.run import Run

__all__ = ["MOST_STAYS", "MOST_WORKERS", "payload"]

MOST_STAYS = 5000  # about 100 kB, and what a browser redraws 60 times a second with ease
MOST_WORKERS = 32  # rows that fit on a screen
TICKS = 100_000  # the window's length; a screen has a few thousand columns
SIZES = 10  # classes of dots

# Status of a worker is one thing, its speed another: the last of each holds at the begin.
_STATUS = (
    record.CRASHED_AT,
    record.NOTICED,
    record.CAME_UP,
    record.LEAVING,
    record.HUNG,
    record.RESUMED,
    record.STOPPED,
)


def payload(
    runs: "list[Run]", labels: list[str], window: tuple[float, float] | None
) -> dict[str, Any]:
    """Return everything that the page needs to know, as plain lists and numbers.

    Parameters
    ----------
    runs : list of Run
        One, or two of the same requests.
    labels : list of str
    window : (float, float), optional
        Begin and end in seconds; all of the runs by default.
    """
    all_stays = [stays(run) for run in runs]
    begin, end = _window(all_stays, window)
    shown = [_within(rows, begin, end) for rows in all_stays]
    for label, run, rows, everything in zip(labels, runs, shown, all_stays, strict=True):
        _check(label, run, rows, everything, (begin, end))
    tick = (end - begin) / TICKS
    limits = _size_limits(runs[0])
    waits = np.concatenate([_waits(rows) for rows in shown])
    return {
        "begin": begin,
        "tick": tick,
        "ticks": TICKS,
        "steps": [step / tick for step in _steps(waits)],
        "sizes": limits.tolist(),
        "panels": [
            {
                "label": label,
                "source": run.source,
                "workers": run.cluster.workers,
                "places": list(run.cluster.concurrency),
                "discipline": run.cluster.discipline,
                "speeds": list(run.cluster.speeds),
                "rows": _rows(rows, run, begin, tick, limits),
                "events": _events(run, begin, end, tick),
                "words": words.summary(run, rows, begin, end),
            }
            for label, run, rows in zip(labels, runs, shown, strict=True)
        ],
    }


def _window(all_stays: list[Stays], window: tuple[float, float] | None) -> tuple[float, float]:
    known = [np.concatenate([rows.since, rows.ended]) for rows in all_stays]
    first = min(float(np.nanmin(times)) for times in known)
    last = max(float(np.nanmax(times)) for times in known)
    if window is None:
        # A run of requests that take no time has no length; a picture needs one.
        return first, last if last > first else first + 1.0
    try:
        begin, end = (float(time) for time in window)
    except (TypeError, ValueError):
        raise InputError(
            f"window = {window!r} is not a pair of times; give (begin, end) in seconds"
        ) from None
    if not (math.isfinite(begin) and math.isfinite(end) and begin < end):
        raise InputError(
            f"window = ({begin:g}, {end:g}) is empty or not finite; its end must come after its "
            "begin"
        )
    if end <= first or begin >= last:
        raise InputError(
            f"window = ({begin:g}, {end:g}) holds no request; the run lasts from {first:.4g} to "
            f"{last:.4g} s"
        )
    return begin, end


def _within(rows: Stays, begin: float, end: float) -> Stays:
    """Return the stays that are seen between two times."""
    ended = np.where(np.isnan(rows.ended), np.inf, rows.ended)
    keep = (rows.since < end) & (ended > begin)
    return Stays(*(column[keep] for column in rows))


def _check(
    label: str, run: "Run", rows: Stays, everything: Stays, window: tuple[float, float]
) -> None:
    """Refuse what no browser can draw and nobody could follow."""
    if run.cluster.workers > MOST_WORKERS:
        raise InputError(
            f"{label}: {run.cluster.workers} workers are too many to watch (at most "
            f"{MOST_WORKERS}); animate a smaller cluster, or see lbsim.plot.queue_lengths"
        )
    if len(rows.since) > MOST_STAYS:
        begin, end = _around_the_slowest(run, everything)
        raise InputError(
            f"{label}: {len(rows.since):,} requests (repeats included) between {window[0]:.4g} and "
            f"{window[1]:.4g} s are too many to watch (at most {MOST_STAYS:,}); give a shorter "
            f"window, say window=({begin:.4g}, {end:.4g}), in which the slowest request comes"
        )
    if len(rows.since) == 0:
        raise InputError(
            f"{label}: no request between {window[0]:.4g} and {window[1]:.4g} s; give another "
            "window"
        )


def _around_the_slowest(run: "Run", rows: Stays) -> tuple[float, float]:
    """Return a window of a few hundred requests that begins before the slowest one."""
    latency = np.where(np.isnan(run.latency), -1.0, run.latency)
    middle = int(np.searchsorted(rows.since, run.arrival[int(np.argmax(latency))]))
    first = max(0, middle - 150)
    return float(rows.since[first]), float(rows.since[min(first + 500, len(rows.since) - 1)])


def _rows(rows: Stays, run: "Run", begin: float, tick: float, limits: np.ndarray) -> dict[str, Any]:
    """Return the stays as columns of whole numbers; times as differences, -1 for never."""

    # Rounding absolute times keeps their order; rounding differences would not.
    def ticks(times: np.ndarray) -> np.ndarray:
        return np.rint((times - begin) / tick)

    since = ticks(rows.since)
    stages: dict[str, np.ndarray] = {
        "held": ticks(rows.dispatched) - since,
        "queued": ticks(rows.started) - ticks(rows.dispatched),
        "whole": ticks(rows.ended) - since,
        "gone": ticks(rows.gone) - since,
    }
    columns = {
        "since": _differences(since),
        "request": _differences(rows.request),
        "worker": rows.worker.tolist(),
        "size": np.digitize(run.workload.service[rows.request], limits[1:]).tolist(),
        "ending": rows.ending.tolist(),
        **{
            name: np.where(np.isnan(column), -1, column).astype(np.int64).tolist()
            for name, column in stages.items()
        },
    }
    columns["copy"] = rows.copy.tolist()
    # Most runs have neither copies nor clients that leave: those columns are left out.
    for name, usual in (("copy", 0), ("gone", -1)):
        if set(columns[name]) <= {usual}:
            del columns[name]
    return columns


def _differences(values: np.ndarray) -> list[int]:
    return np.diff(values.astype(np.int64), prepend=0).tolist()


def _events(run: "Run", begin: float, end: float, tick: float) -> list[list[float]]:
    """Return [tick, what, worker, value] of what happens to workers, and how it was before."""
    rows = run.record.happenings
    before: dict[tuple[int, bool], list[float]] = {}
    within = []
    for time, what, worker, value in zip(*(column.tolist() for column in rows), strict=True):
        event = [round((time - begin) / tick), what, worker, value]
        if time < begin:
            before[worker, what in _STATUS] = event
        elif time <= end:
            within.append(event)
    if len(within) > MOST_STAYS:
        raise InputError(
            f"{len(within):,} crashes and restarts between {begin:.4g} and {end:.4g} s are too "
            f"many to watch (at most {MOST_STAYS:,}); give a shorter window="
        )
    return sorted(before.values()) + within


def _size_limits(run: "Run") -> np.ndarray:
    """Return from which service time (seconds) on each class of dot begins; shape (SIZES,)."""
    service = run.workload.service
    service = service[service > 0.0]
    if len(service) == 0:
        return np.zeros(SIZES)
    low, high = np.quantile(service, [0.1, 0.995])
    limits = np.geomspace(low, max(high, low * 1.01), SIZES)
    limits[0] = 0.0
    return np.asarray(limits)


def _waits(rows: Stays) -> np.ndarray:
    """Return how long copies waited until they were begun, in seconds."""
    waited = np.where(np.isnan(rows.started), rows.ended, rows.started) - rows.since
    return np.asarray(waited[waited > 0.0])


def _steps(waits: np.ndarray) -> list[float]:
    """Return four round times in seconds, each about three times the one before.

    Above the last is what the slowest tenth of those that waited had to wait.
    """
    top = float(np.quantile(waits, 0.9)) if len(waits) else 1.0
    power = math.floor(math.log10(top))
    ladder = sorted(lead * 10.0**p for p in range(power - 3, power + 1) for lead in (1, 3))
    return [step for step in ladder if step <= top][-4:]

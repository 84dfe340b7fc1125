"""What happened when: latency and rates along the time axis, crashes marked."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lbsim.engines import record
from lbsim.errors import InputError
from lbsim.plot.moving.stays import stays
from lbsim.plot.style import axes, line_style, tidy
from lbsim.units import duration, pick_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lbsim.run import Run

__all__ = ["goodput", "latency_over_time"]

BINS = 60  # of the time axis, unless the width is given
LEAST = 5  # requests in a bin from which a quantile is drawn


def latency_over_time(
    runs: "Mapping[str, Run]",
    ax: "Axes | None" = None,
    *,
    q: float = 0.99,
    every: float | None = None,
) -> "Axes":
    """Draw a quantile of the latency against the time at which the requests were sent.

    Grey bands are the times in which some worker of the first run was down.

    Parameters
    ----------
    runs : mapping of str to Run
    ax : matplotlib Axes, optional
    q : float, default 0.99
    every : float, optional
        Width of a step in seconds; a 60th of the run by default.

    Returns
    -------
    matplotlib Axes

    Notes
    -----
    Steps with fewer than 5 answers are left open.
    """
    ax = axes(ax, (7.2, 3.2))
    if not 0.0 <= q <= 1.0:
        raise InputError(f"q = {q:g} must lie between 0 and 1; the median is q=0.5")
    edges = _edges(runs, every)
    lines = {name: _quantiles(run, edges, q) for name, run in runs.items()}
    known = np.concatenate(list(lines.values()))
    if np.isnan(known).all():
        raise InputError(
            f"no step of {duration(edges[1] - edges[0])} has {LEAST} answers; give a larger every="
        )
    length, unit = pick_unit(float(np.nanmedian(known)))
    for i, (name, values) in enumerate(lines.items()):
        drawn = np.append(values, values[-1]) / length
        ax.step(edges, drawn, where="post", label=name, linewidth=1.6, **line_style(i))
    _shade_down(ax, next(iter(runs.values())), edges)
    ax.set_yscale("log")
    ax.set_xlabel("sent at [s]")
    ax.set_ylabel(f"p{100 * q:g} of the latency [{unit}]")
    ax.grid(True, which="major", axis="y", linewidth=0.4, alpha=0.5)
    return tidy(ax, list(lines))


def goodput(run: "Run", ax: "Axes | None" = None, *, every: float | None = None) -> "Axes":
    """Draw how much was wanted, sent, served and answered in time: the picture of a retry storm.

    What is sent above what is wanted are retries and hedges; what is served above what is
    answered was work for clients that no longer waited.

    Parameters
    ----------
    run : Run
    ax : matplotlib Axes, optional
    every : float, optional
        Width of a step in seconds; a 60th of the run by default.

    Returns
    -------
    matplotlib Axes
    """
    ax = axes(ax, (7.2, 3.2))
    edges = _edges({"": run}, every)
    rows = stays(run)
    # A copy that a dead worker gave back was sent once.
    first = np.unique(rows.request * run.copies + rows.copy, return_index=True)[1]
    served = np.isin(rows.ending, (record.ANSWERED, record.WASTED)) & ~np.isnan(rows.started)
    times = {
        "wanted": run.arrival,
        "sent, with retries": rows.since[first],
        "served": rows.ended[served],
        "answered in time": run.finished[run.outcome == record.OK],
    }
    for i, (name, when) in enumerate(times.items()):
        rate = np.histogram(when[~np.isnan(when)], edges)[0] / np.diff(edges)
        ax.step(
            edges,
            np.append(rate, rate[-1]),
            where="post",
            label=name,
            linewidth=1.6,
            **line_style(i),
        )
    _shade_down(ax, run, edges)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("time [s]")
    ax.set_ylabel("requests a second")
    return tidy(ax, list(times))


def _edges(runs: "Mapping[str, Run]", every: float | None) -> np.ndarray:
    """Return the edges of the steps: whole steps from the first sending to the last."""
    if not runs:
        raise InputError("there is no run to draw; give at least one")
    begin = min(float(np.nanmin(run.arrival)) for run in runs.values())
    end = max(float(np.nanmax(run.arrival)) for run in runs.values())
    if every is not None and not every > 0.0:
        raise InputError(f"every = {every:g} must be above 0; give seconds, or leave it out")
    span = end - begin or 1.0
    n = BINS if every is None else max(1, round(span / every))
    return np.linspace(begin, begin + span * (1.0 + 1e-9), n + 1)


def _quantiles(run: "Run", edges: np.ndarray, q: float) -> np.ndarray:
    place = np.digitize(run.arrival, edges) - 1
    answered = ~np.isnan(run.latency)
    values = np.full(len(edges) - 1, np.nan)
    for i in range(len(values)):
        mine = run.latency[answered & (place == i)]
        if len(mine) >= LEAST:
            values[i] = np.quantile(mine, q)
    return values


def _shade_down(ax: "Axes", run: "Run", edges: np.ndarray) -> None:
    for _, begin, end in run.down_spans():
        if begin < edges[-1] and end > edges[0]:
            ax.axvspan(max(begin, edges[0]), min(end, edges[-1]), color="0.85", zorder=0)
    ax.set_xlim(edges[0], edges[-1])

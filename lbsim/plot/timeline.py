"""What each worker did in a window of time: a Gantt chart."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim.engines.record import CRASHED
from lbsim.explain import down_between
from lbsim.plot.style import COLOURS, axes, tidy
from lbsim.units import duration, pick_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lbsim.run import Run

__all__ = ["timeline"]

MARKED = "#222222"
LANES = 4  # requests in service at the same time that are drawn beside each other


def timeline(
    run: "Run",
    ax: "Axes | None" = None,
    *,
    begin: float | None = None,
    end: float | None = None,
    request: int | None = None,
) -> "Axes":
    """Draw who served what and when.

    A bar is a request in service; the thin line before it is the time it waited at that
    worker. Hatched bars ended with the worker's death; grey means that a worker was not up.

    Parameters
    ----------
    run : Run
    ax : matplotlib Axes, optional
    begin, end : float, optional
        The window, in seconds; by default around the slowest request.
    request : int, optional
        A request to mark; the slowest one by default.

    Returns
    -------
    matplotlib Axes
    """
    ax = axes(ax, (7.2, 3.4))
    if request is None:
        request = int(np.nanargmax(run.latency))
    if begin is None or end is None:
        first, last = float(run.arrival[request]), float(run.finished[request])
        margin = 0.15 * (last - first)
        begin = first - margin if begin is None else begin
        end = last + margin if end is None else end
    length, unit = pick_unit((end - begin) / 10.0)

    for bars, lines, style in _groups(run, begin, end, length, request):
        for (y, height), spans in bars.items():
            ax.broken_barh(
                spans, (y - height / 2, height), edgecolor="white", linewidth=0.4, **style
            )
        for y, left, right in lines:
            width = 2.0 if style["zorder"] > 2 else 0.6
            ax.hlines(y, left, right, color=style["color"], linewidth=width, zorder=style["zorder"])
    for worker, spans in down_between(run, begin, end).items():
        for a, b in spans:
            ax.barh(
                worker,
                (b - a) / length,
                left=(a - begin) / length,
                height=0.9,
                color="0.88",
                zorder=0,
            )
    ax.set_xlim(0.0, (end - begin) / length)
    ax.set_ylim(run.cluster.workers - 0.5, -0.5)
    ax.set_yticks(range(run.cluster.workers) if run.cluster.workers <= 16 else [])
    ax.set_xlabel(f"time since {duration(begin)} [{unit}]")
    ax.set_ylabel("worker")
    ax.set_title(f"request {request} (dark): sent ▾, answered ▴", fontsize="medium", loc="left")
    ax.plot([(run.arrival[request] - begin) / length], [-0.5], "v", color="k", clip_on=False)
    ax.plot([(run.finished[request] - begin) / length], [-0.5], "^", color="k", clip_on=False)
    return tidy(ax)


Bars = dict[tuple[float, float], list[tuple[float, float]]]
Lines = list[tuple[float, float, float]]


def _groups(
    run: "Run", begin: float, end: float, length: float, request: int
) -> list[tuple[Bars, Lines, dict[str, Any]]]:
    """Sort what is to be drawn by its style: bars by height and position, and waiting lines."""
    rows = run.record.handovers
    ended = np.where(np.isnan(rows.ended), end, rows.ended)
    shown = np.flatnonzero((rows.dispatched < end) & (ended > begin))
    shown = shown[np.argsort(rows.started[shown], kind="stable")]
    groups: dict[tuple[str, bool], tuple[Bars, Lines, dict[str, Any]]] = {}
    free: dict[tuple[int, int], float] = {}
    for i in shown.tolist():
        worker, started = int(rows.worker[i]), float(rows.started[i])
        is_served = not np.isnan(started)
        lane = 0
        if is_served:
            while lane < LANES - 1 and free.get((worker, lane), -np.inf) > started:
                lane += 1
            free[worker, lane] = float(ended[i])
        is_marked = int(rows.ticket[i]) // run.copies == request
        colour = MARKED if is_marked else COLOURS[(4, 0)[int(rows.ticket[i]) % 2]]
        died = bool(rows.ending[i] == CRASHED)
        style = {"color": colour, "zorder": 3 if is_marked else 2}
        if died:
            style["hatch"] = "////"
        bars, lines, _ = groups.setdefault((colour, died), ({}, [], style))
        y = worker + 0.2 * (lane - (LANES - 1) / 2 if lane else 0.0)
        until = started if is_served else float(ended[i])
        if until > rows.dispatched[i]:
            lines.append(
                (y, (float(rows.dispatched[i]) - begin) / length, (until - begin) / length)
            )
        if is_served:
            span = ((started - begin) / length, (float(ended[i]) - started) / length)
            bars.setdefault((y, 0.18 if lane else 0.6), []).append(span)
    return list(groups.values())

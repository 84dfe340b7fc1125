"""Do two runs agree? Their quantiles against each other."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim import stats
from lbsim.errors import InputError
from lbsim.plot.style import COLOURS, axes, tidy
from lbsim.units import pick_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["agreement"]

MARKS = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"))
BAND = 1.15  # a factor that one would call agreement


def agreement(
    first: Any,
    second: Any,
    ax: "Axes | None" = None,
    *,
    labels: tuple[str, str] = ("simulated", "measured"),
) -> "Axes":
    """Draw the latency quantiles of one run against those of another (a Q-Q plot).

    Where two distributions agree, the points lie on the diagonal; the band is ±15 %.

    Parameters
    ----------
    first, second : Run or array_like
        Latencies in seconds (NaN is left out); on the horizontal and the vertical axis.
    ax : matplotlib Axes, optional
    labels : (str, str), default ("simulated", "measured")

    Returns
    -------
    matplotlib Axes
    """
    ax = axes(ax, (4.6, 4.4))
    q, x, y = stats.qq_points(_latencies(labels[0], first), _latencies(labels[1], second))
    # A log axis has no zero, and would give half of itself to the few fastest.
    keep = (x > 0.0) & (y > 0.0) & (q >= 0.01)
    if not keep.any():
        raise InputError("agreement: all latencies are 0; there is nothing to compare")
    q, x, y = q[keep], x[keep], y[keep]
    length, unit = pick_unit(float(np.median(x)))
    ends = np.array([min(x.min(), y.min()) / 1.3, max(x.max(), y.max()) * 1.3]) / length
    ax.fill_between(ends, ends / BAND, ends * BAND, color="0.9", linewidth=0, zorder=0)
    ax.plot(ends, ends, color="0.5", linewidth=0.8)
    ax.plot(x / length, y / length, color=COLOURS[0], linewidth=1.8)
    for level, name in MARKS:
        if level <= q[-1]:
            point = (np.interp(level, q, x) / length, np.interp(level, q, y) / length)
            ax.plot(*point, "o", color=COLOURS[0], markersize=6)
            ax.annotate(
                name, point, xytext=(7, -4), textcoords="offset points", va="top", fontsize="small"
            )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_aspect("equal")
    ax.set_xlabel(f"{labels[0]} latency [{unit}]")
    ax.set_ylabel(f"{labels[1]} latency [{unit}]")
    ax.grid(True, which="major", linewidth=0.4, alpha=0.5)
    return tidy(ax)


def _latencies(label: str, run: Any) -> np.ndarray:
    values = np.asarray(getattr(run, "latency", run), np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        raise InputError(f"{label}: {len(values)} answered requests; a comparison needs 2 or more")
    return values

"""Latency distributions, on the axes on which tails can be seen."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim import stats
from lbsim.errors import InputError
from lbsim.plot.style import axes, line_style, tidy
from lbsim.units import pick_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ccdf"]

MARKS = ((0.5, "p50"), (0.1, "p90"), (0.01, "p99"), (0.001, "p99.9"))


def ccdf(latencies: Mapping[str, Any], ax: "Axes | None" = None) -> "Axes":
    """Draw the share of requests that took longer than x, on log axes.

    Parameters
    ----------
    latencies : mapping of str to ndarray or Run
        Latencies in seconds by name (NaN is left out), or runs.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Notes
    -----
    A curve ends where a single request is left: beyond that there is nothing to see.
    """
    ax = axes(ax)
    curves = {name: _sorted(name, values) for name, values in latencies.items()}
    typical = float(np.median([np.median(values) for values in curves.values()]))
    length, unit = pick_unit(typical)
    most = max(len(values) for values in curves.values())
    for i, (name, values) in enumerate(curves.items()):
        x, y = stats.ccdf(values)
        ax.step(x / length, y, where="post", label=name, linewidth=1.6, **line_style(i))
    ax.set_ylim(0.7 / most, 1.3)  # before the scale, which has no room for a curve that is all 0
    ax.set_xscale("log")
    ax.set_yscale("log")
    # Nobody looks for the fastest of all requests: begin where one in 50 was faster.
    ax.set_xlim(left=0.8 * min(float(np.quantile(v, 0.02)) for v in curves.values()) / length)
    ax.set_xlabel(f"latency [{unit}]")
    ax.set_ylabel("share of requests that took longer")
    ax.grid(True, which="major", linewidth=0.4, alpha=0.5)
    for share, name in MARKS:
        if share > 1.0 / most:
            ax.annotate(
                name,
                (1.0, share),
                xycoords=("axes fraction", "data"),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize="small",
                color="0.35",
            )
    return tidy(ax, list(curves))


def _sorted(name: str, values: Any) -> np.ndarray:
    values = np.asarray(getattr(values, "latency", values), np.float64)
    values = np.sort(values[~np.isnan(values)])
    if len(values) == 0:
        raise InputError(f"{name}: no latency to draw; were all requests lost?")
    # A log axis has no zero: a request that took no time is drawn at the left edge.
    return np.maximum(values, values[-1] * 1e-9 or 1e-9)

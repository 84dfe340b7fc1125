"""Latency distributions, on the axes on which tails can be seen."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lbsim import stats
from lbsim.errors import InputError
from lbsim.plot.style import axes, line_style, tidy
from lbsim.summary import Summary
from lbsim.units import pick_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ccdf"]

MARKS = ((0.5, "p50"), (0.1, "p90"), (0.01, "p99"), (0.001, "p99.9"))


def ccdf(latencies: Mapping[str, Any], ax: "Axes | None" = None) -> "Axes":
    """Draw the share of requests that took longer than x, on log axes.

    Parameters
    ----------
    latencies : mapping of str to ndarray, Run or Summary
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
    curves = {name: _curve(name, values) for name, values in latencies.items()}
    length, unit = pick_unit(float(np.median([curve.median for curve in curves.values()])))
    most = max(curve.n for curve in curves.values())
    for i, (name, curve) in enumerate(curves.items()):
        x = curve.x / length
        ax.step(x, curve.share, where="post", label=name, linewidth=1.6, **line_style(i))
    ax.set_ylim(0.7 / most, 1.3)  # before the scale, which has no room for a curve that is all 0
    ax.set_xscale("log")
    ax.set_yscale("log")
    # Nobody looks for the fastest of all requests: begin where one in 50 was faster.
    ax.set_xlim(left=0.8 * min(curve.fast for curve in curves.values()) / length)
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


class _Curve(NamedTuple):
    x: np.ndarray
    share: np.ndarray  # that took longer than x
    n: int
    median: float
    fast: float  # one in 50 was faster


def _curve(name: str, values: Any) -> _Curve:
    if isinstance(values, Summary):
        if values.moments.count == 0:
            raise _nothing(name)
        fast, median = values.quantile([0.02, 0.5])
        return _Curve(*values.histogram.ccdf(), values.moments.count, median, fast)
    values = np.asarray(getattr(values, "latency", values), np.float64)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise _nothing(name)
    # A log axis has no zero: a request that took no time is drawn at the left edge.
    values = np.maximum(values, values.max() * 1e-9 or 1e-9)
    fast, median = np.quantile(values, [0.02, 0.5])
    return _Curve(*stats.ccdf(values), len(values), float(median), float(fast))


def _nothing(name: str) -> InputError:
    return InputError(f"{name}: no latency to draw; were all requests lost?")

"""How heavy a tail is: a sample against the laws that people suppose."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim import stats
from lbsim.errors import InputError
from lbsim.plot.style import axes, line_style, tidy
from lbsim.units import pick_unit
from lbsim.workload.tail import LEAST_TAIL, tail

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["service_times"]

POINTS = 200


def service_times(workload: Any, ax: "Axes | None" = None) -> "Axes":
    """Draw the share of requests that need longer than x, beside three laws fitted to them.

    An exponential law with the same mean, a lognormal one with the same mean and spread of the
    logarithms, and a Pareto law through the largest values (Hill's estimate, where there are
    enough of them). A straight line to the end is a power law.

    Parameters
    ----------
    workload : Workload, Run or array_like
        Service times in seconds; those of 0 are left out.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = axes(ax)
    given = getattr(workload, "workload", workload)
    values = np.asarray(getattr(given, "service", given), np.float64)
    values = values[values > 0.0]
    if len(values) < 2 or values.min() == values.max():
        raise InputError(
            f"service_times: {len(values)} service times above 0 that differ; a distribution "
            "needs at least 2"
        )
    length, unit = pick_unit(float(np.median(values)))
    x, y = stats.ccdf(values)
    ax.step(x / length, y, where="post", label="the requests", color="k", linewidth=2.0)
    at = np.geomspace(values.min(), 3.0 * values.max(), POINTS)
    for i, (name, share) in enumerate(_laws(values, at).items()):
        ax.plot(at / length, share, label=name, linewidth=1.4, **line_style(i))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(0.5 / len(values), 1.3)
    ax.set_xlim(float(np.quantile(values, 0.02)) / length, at[-1] / length)
    ax.set_xlabel(f"service time [{unit}]")
    ax.set_ylabel("share of requests that need longer")
    ax.grid(True, which="major", linewidth=0.4, alpha=0.5)
    return tidy(ax, ["the requests"])


def _laws(values: np.ndarray, at: np.ndarray) -> dict[str, np.ndarray]:
    """Return the share above `at` under each fitted law; NaN where the law says nothing."""
    from scipy.special import ndtr

    logs = np.log(values)
    laws = {
        f"exponential, mean {_short(values.mean())}": np.exp(-at / values.mean()),
        f"lognormal, σ = {logs.std():.2g}": ndtr(-(np.log(at) - logs.mean()) / logs.std()),
    }
    found = tail(values) if len(values) >= LEAST_TAIL else None
    if found is not None:
        share = found.k / len(values)
        above = at >= found.threshold
        power = np.full(len(at), np.nan)
        power[above] = share * (at[above] / found.threshold) ** -found.alpha
        laws[f"Pareto tail, α = {found.alpha:.2g}"] = power
    return laws


def _short(seconds: float) -> str:
    length, unit = pick_unit(seconds)
    return f"{seconds / length:.3g} {unit}"

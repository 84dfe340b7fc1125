"""Policies from best to worst, with intervals."""

from typing import TYPE_CHECKING

from lbsim.plot.style import COLOURS, axes, tidy
from lbsim.units import pick_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["ranking"]


def ranking(table: "pd.DataFrame", measure: str, ax: "Axes | None" = None) -> "Axes":
    """Draw one measure of every policy with its confidence interval, best on top.

    Parameters
    ----------
    table : DataFrame
        One row per policy, best first, with the columns ``policy``, ``rank``, ``estimate``,
        ``low`` and ``high`` (seconds), as `Comparison.ranking` gives it.
    measure : str
        For the axis label.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = axes(ax, (6.4, 1.0 + 0.32 * len(table)))
    length, unit = pick_unit(float(table["estimate"].median()))
    for i, row in enumerate(table.itertuples()):
        ax.plot(
            [row.low / length, row.high / length],
            [i, i],
            color=COLOURS[0],
            linewidth=4,
            alpha=0.35,
            solid_capstyle="butt",
        )
        ax.plot([row.estimate / length], [i], "o", color=COLOURS[0], markersize=5)
    labels = [f"{row.policy}  {row.rank}." for row in table.itertuples()]
    ax.set_yticks(range(len(table)), labels)
    ax.set_ylim(len(table) - 0.5, -0.5)
    if float(table["high"].max()) > 20.0 * float(table["estimate"].min()):
        ax.set_xscale("log")
    else:
        ax.set_xlim(left=0.0)
    ax.set_xlabel(f"{measure} [{unit}], bars: confidence interval; same number: a tie")
    ax.grid(True, axis="x", linewidth=0.4, alpha=0.5)
    return tidy(ax)

"""The hockey stick: latency against load."""

from typing import TYPE_CHECKING

from lbsim.plot.style import axes, line_style, tidy
from lbsim.units import pick_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["latency_against_load"]


def latency_against_load(
    table: "pd.DataFrame", measure: str = "p99", ax: "Axes | None" = None
) -> "Axes":
    """Draw a latency figure of several policies against the load, with bands.

    Parameters
    ----------
    table : DataFrame
        As `lbsim.sweep` gives it: the columns ``load``, ``policy``, ``measure``, ``estimate``,
        ``low`` and ``high`` (seconds).
    measure : str, default "p99"
        Which rows of the table.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = axes(ax)
    table = table[table["measure"] == measure]
    length, unit = pick_unit(float(table["estimate"].median()))
    names = list(dict.fromkeys(table["policy"]))
    for i, name in enumerate(names):
        rows = table[table["policy"] == name].sort_values("load")
        style = line_style(i)
        ax.fill_between(
            rows["load"],
            rows["low"] / length,
            rows["high"] / length,
            color=style["color"],
            alpha=0.15,
            linewidth=0,
        )
        ax.plot(
            rows["load"], rows["estimate"] / length, label=name, marker=".", linewidth=1.6, **style
        )
    ax.set_yscale("log")
    ax.set_xlabel("load per worker")
    ax.set_ylabel(f"{measure} latency [{unit}]")
    ax.grid(True, which="major", linewidth=0.4, alpha=0.5)
    return tidy(ax, names)

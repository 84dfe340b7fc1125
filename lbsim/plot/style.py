"""What all plots share: colours, dashes, frames."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLOURS", "axes", "line_style", "tidy"]

# Okabe and Ito, "Color universal design" (2008), in an order in which neighbours differ in
# lightness; yellow is left out, since it is too light for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1)))


def axes(ax: "Axes | None", size: tuple[float, float] = (6.4, 4.0)) -> "Axes":
    """Return the axes to draw on: the given ones or new ones.

    New ones belong to a figure of their own that pyplot does not keep, unless pyplot is in use
    interactively, or this is a notebook, which shows and closes pyplot's figures itself.
    """
    if ax is not None:
        return ax
    import sys

    # Where IPython has not been imported, nobody can be in a notebook.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if "matplotlib.pyplot" in sys.modules or hasattr(shell, "kernel"):
        import matplotlib.pyplot as plt

        return plt.subplots(figsize=size, layout="constrained")[1]
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").add_subplot()


def line_style(i: int) -> dict[str, Any]:
    """Return colour and dashes of line number `i`; 35 lines differ."""
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": _DASHES[i % len(_DASHES)]}


def tidy(ax: "Axes", names: Sequence[str] = ()) -> "Axes":
    """Remove what carries no information, and add a legend for `names`."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty legend is not worth a warning
            ax.legend(frameon=False, fontsize="small")
    return ax

"""How many requests sit at each worker over time."""

from typing import TYPE_CHECKING

import numpy as np

from lbsim import stats
from lbsim.plot.style import axes
from lbsim.units import pick_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lbsim.run import Run

__all__ = ["queue_lengths"]


def queue_lengths(
    run: "Run", ax: "Axes | None" = None, *, begin: float | None = None, end: float | None = None
) -> "Axes":
    """Draw a heat map of the requests at each worker, queued and in service.

    Parameters
    ----------
    run : Run
    ax : matplotlib Axes, optional
    begin, end : float, optional
        The window, in seconds; the whole run by default.

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import MaxNLocator

    ax = axes(ax, (7.2, 3.2))
    rows = run.record.handovers
    begin = float(np.nanmin(run.arrival)) if begin is None else begin
    end = float(np.nanmax(run.arrival)) if end is None else end
    length, unit = pick_unit((end - begin) / 10.0)
    times = np.linspace(begin, end, 600)
    n = run.cluster.workers
    counts = stats.queue_lengths(rows.dispatched, rows.ended, rows.worker, n, times)
    # The square root shows the difference between 0, 1 and 2 beside a queue of 100.
    image = ax.imshow(
        counts,
        aspect="auto",
        interpolation="nearest",
        cmap="cividis",
        norm=PowerNorm(0.5, vmin=0, vmax=max(1.0, counts.max())),
        extent=(begin / length, end / length, n - 0.5, -0.5),
    )
    ax.set_xlabel(f"time [{unit}]")
    ax.set_ylabel("worker")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=min(n, 10)))
    ax.figure.colorbar(image, ax=ax, label="requests at the worker", pad=0.01)
    return ax

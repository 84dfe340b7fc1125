"""Who got how much: requests and work by worker."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lbsim.plot.style import axes, line_style, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lbsim.run import Run

__all__ = ["shares"]


def shares(runs: "Mapping[str, Run]", ax: "Axes | None" = None) -> "Axes":
    """Draw each worker's share of the requests (○) and of the work (●), policy by policy.

    Parameters
    ----------
    runs : mapping of str to Run
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Notes
    -----
    A dot is a worker. The line at 1 is the fair share, by capacity.
    """
    ax = axes(ax, (6.4, 0.9 + 0.34 * len(runs)))
    for i, run in enumerate(runs.values()):
        fair = np.array(run.cluster.weights) / sum(run.cluster.weights)
        served = run.worker >= 0
        n = run.cluster.workers
        counts = np.bincount(run.worker[served], minlength=n)
        work = np.bincount(run.worker[served], run.workload.service[served], minlength=n)
        colour = line_style(i)["color"]
        style = {"color": colour, "linestyle": "none", "markersize": 6, "alpha": 0.8}
        y = np.full(n, float(i))
        if not work.sum() > 0.0:
            continue  # nobody got anything: the line stays empty
        ax.plot(counts / counts.sum() / fair, y - 0.15, marker="o", markerfacecolor="none", **style)
        ax.plot(work / work.sum() / fair, y + 0.15, marker="o", **style)
    ax.axvline(1.0, color="0.4", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(runs)), list(runs))
    ax.set_ylim(len(runs) - 0.5, -0.5)
    ax.set_xlim(left=0.0)
    ax.set_xlabel("share of a worker / fair share   (○ requests, ● work)")
    return tidy(ax)

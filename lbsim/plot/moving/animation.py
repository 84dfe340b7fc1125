"""A run as a picture that moves, in Jupyter or as one file."""

import html
import json
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim.errors import InputError
from lbsim.plot.moving.payload import payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lbsim.run import Run

__all__ = ["Animation", "animate"]

# Heights in pixels, as the page's style and its drawing have them: for Jupyter's frame.
_ROW = ((8, 38), (16, 28), (10**9, 20))
_AROUND = 268


class Animation:
    """A moving picture; make one with `animate`. Shows itself in Jupyter.

    Attributes
    ----------
    data : dict
        The event list, as the page gets it.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    @property
    def title(self) -> str:
        """The names of what is shown."""
        return " and ".join(panel["label"] for panel in self.data["panels"])

    def html(self) -> str:
        """Return the whole page; it needs nothing from elsewhere."""
        from jinja2 import Environment

        template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
            _web("page.html")
        )
        shown = {**self.data, "panels": [_without_words(p) for p in self.data["panels"]]}
        # In a script element only "<" could end the data; in JSON it can be written otherwise.
        events = json.dumps(shown, separators=(",", ":")).replace("<", "\\u003c")
        return template.render(
            title=self.title,
            panels=self.data["panels"],
            ticks=self.data["ticks"],
            css=_web("page.css"),
            script="\n".join(_web(name) for name in ("model.js", "draw.js", "player.js")),
            events=events,
        )

    def save(self, path: "str | os.PathLike[str]") -> Path:
        """Write the page as one HTML file: to a temporary name first, then moved into place."""
        path = Path(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(self.html(), encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def __repr__(self) -> str:
        n = sum(len(panel["rows"]["since"]) for panel in self.data["panels"])
        return f"Animation of {self.title}: {n} stays; shown in Jupyter, .save() writes a page"

    def _repr_html_(self) -> str:
        workers = max(panel["workers"] for panel in self.data["panels"])
        row = next(height for most, height in _ROW if workers <= most)
        height = _AROUND + max(workers * row, 5 * 38)
        # A frame of its own: several on a page do not meet, and its script sees nothing else.
        return (
            f'<iframe title="{html.escape(self.title)}" sandbox="allow-scripts" '
            f'style="width:100%;height:{height}px;border:1px solid #ddd;box-sizing:border-box" '
            f'srcdoc="{html.escape(self.html())}"></iframe>'
        )


def animate(
    run: "Run",
    other: "Run | None" = None,
    *,
    window: tuple[float, float] | None = None,
    labels: "Sequence[str] | None" = None,
) -> Animation:
    """Show requests on their way: to the master, the workers' queues, and out.

    Dots are requests: the larger, the longer they need; the darker, the longer they have
    waited. Crashes, hangs and restarts, held requests and repeats are seen as they happen.

    Parameters
    ----------
    run : Run
        Simulated or measured.
    other : Run, optional
        Another run of the same requests, shown beside it at the same time.
    window : (float, float), optional
        Begin and end in seconds; the whole run by default.
    labels : sequence of str, optional
        What to call the runs; their policies by default.

    Returns
    -------
    Animation
        Shows itself as the last line of a cell; ``.save("x.html")`` writes one file that works
        offline.

    Raises
    ------
    InputError
        There is nothing to show in the window, or more than 5,000 stays or 32 workers; or the
        two runs are not of the same requests.

    Examples
    --------
    >>> import lbsim
    >>> workload = lbsim.Workload.from_arrays([0.0, 0.0, 0.5], [1.0, 1.0, 1.0])
    >>> run = lbsim.simulate(workload, lbsim.policies.LeastConnections(), lbsim.Cluster(2))
    >>> animate(run)
    Animation of LeastConnections(ties='rotate'): 3 stays; shown in Jupyter, .save() writes a page
    """
    runs = [run] if other is None else [run, other]
    for one in runs:
        if not hasattr(one, "record"):
            raise InputError(
                f"{one!r} has no rows to animate; simulate with keep='rows', which is the default"
            )
    if other is not None and not (
        len(run) == len(other) and np.array_equal(run.workload.service, other.workload.service)
    ):
        raise InputError(
            f"the two runs are of different requests ({len(run):,} and {len(other):,}); animate "
            "runs of one workload"
        )
    given = [labels] if isinstance(labels, str) else labels
    names = [repr(one.policy) for one in runs] if given is None else [str(x) for x in given]
    if len(names) != len(runs):
        raise InputError(f"labels = {names} must be {len(runs)}; give one for each run")
    return Animation(payload(runs, names, window))


def _without_words(panel: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in panel.items() if name != "words"}


@cache
def _web(name: str) -> str:
    return (files("lbsim.plot.moving") / "web" / name).read_text(encoding="utf-8")

"""The widget: settings as traits, the picture as one message."""

import base64
import html
import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from time import perf_counter
from typing import Any

import anywidget
import traitlets

from lbsim import plot
from lbsim.errors import InputError, SlowPolicyWarning
from lbsim.explorer.model import LIMITS, SLOW_REQUESTS, Settings, curve, run, workload_of
from lbsim.policy import Policy
from lbsim.run import Run

__all__ = ["Explorer"]

NONE = "(none)"
_SETTINGS = ("load", "workers", "alpha", "sticky", "policy", "other")


def _web(name: str) -> str:
    return (files("lbsim.explorer") / "web" / name).read_text(encoding="utf-8")


def _still(runs: dict[str, Run], caption: str) -> str:
    """Return the curves as they are now, as HTML that needs nothing else."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    plot.ccdf(runs, figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<img src="data:image/png;base64,{data}" alt="Share of requests that took longer than x">'
        f"<p>{html.escape(caption)}: the sliders move in a running notebook.</p>"
    )


class Explorer(anywidget.AnyWidget):
    """Sliders and what comes of them; make one with `lbsim.explore`.

    The browser sends all settings with a number, and no more before it has the answer with
    that number: what a slider passed through in the meantime is never run.

    Attributes
    ----------
    load, workers, alpha, sticky : float or int
        As in `lbsim.explore`.
    policy, other : str
        What is shown; `other` may be "(none)".
    runs : dict of str to Run
        The runs behind the picture.
    """

    _esm = _web("explore.js")
    _css = _web("explore.css")

    load = traitlets.Float(0.8).tag(sync=True)
    workers = traitlets.Int(8).tag(sync=True)
    alpha = traitlets.Float(1.5).tag(sync=True)
    sticky = traitlets.Float(0.0).tag(sync=True)
    policy = traitlets.Unicode().tag(sync=True)
    other = traitlets.Unicode(NONE).tag(sync=True)
    asked = traitlets.Int(0).tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)
    options = traitlets.List().tag(sync=True)
    limits = traitlets.Dict().tag(sync=True)

    def __init__(self, policies: dict[str, Policy], first: Settings) -> None:
        self.policies = policies
        self.requests = first.requests
        self.seed = first.seed
        self.runs: dict[str, Run] = {}
        self._is_compiled: dict[tuple[str, bool], bool] = {}
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="explore")
        self._done: tuple[Any, ...] | None = None
        names = list(policies)
        super().__init__(
            load=first.load,
            workers=first.workers,
            alpha=first.alpha,
            sticky=first.sticky,
            policy=names[0],
            other=names[1] if len(names) > 1 else NONE,
            options=[*names, NONE],
            limits={name: list(limit) for name, limit in LIMITS.items()},
        )
        self.observe(self._changed, [*_SETTINGS, "asked"])
        self._changed()

    def settings(self) -> Settings:
        """Return the settings of the sliders."""
        return Settings(
            round(self.load, 6),
            self.workers,
            round(self.alpha, 6),
            round(self.sticky, 6),
            self.requests,
            self.seed,
        )

    def _changed(self, _: Any = None) -> None:
        """Answer the settings, once: a message that sets several of them notifies each."""
        key = (self.asked, *(getattr(self, name) for name in _SETTINGS))
        if key == self._done:
            return
        self._done = key
        try:
            self.answer = {"number": self.asked, **self._answer()}
        except InputError as error:
            self.answer = {"number": self.asked, "error": str(error)}
        except Exception as error:
            # The browser waits for an answer, and Jupyter hides what is raised here in a log.
            self.answer = {"number": self.asked, "error": f"{type(error).__name__}: {error}"}
            raise

    def _answer(self) -> dict[str, Any]:
        began = perf_counter()
        known = len(self._is_compiled)
        settings = self.settings()
        names = [name for name in dict.fromkeys([self.policy, self.other]) if name != NONE]
        if not names:
            raise InputError("no policy is chosen; choose one")
        with warnings.catch_warnings():
            # That a policy is not compiled is told beside the picture, at every movement.
            warnings.simplefilter("ignore", SlowPolicyWarning)
            results = self._results(names, settings)
        self.runs = dict(zip(names, results, strict=True))
        curves = [curve(name, result) for name, result in self.runs.items()]
        return {
            "curves": curves,
            "seconds": perf_counter() - began,
            "compiled": len(self._is_compiled) > known,
        }

    def _results(self, names: list[str], settings: Settings) -> list[Run]:
        """Run policies; with few requests if they cannot be compiled, which a trial tells."""
        for name in names:
            if name not in self.policies:
                raise InputError(
                    f"policy = {name!r} is not among the choices ({', '.join(self.policies)}); "
                    "give it to lbsim.explore([...])"
                )
        few = replace(settings, requests=min(SLOW_REQUESTS, settings.requests))
        for name in names:
            kind = (name, settings.sticky > 0.0)
            if kind not in self._is_compiled:
                trial = run(few, self.policies[name])
                self._is_compiled[kind] = trial.source == "compiled"
        compiled = [self._is_compiled[name, settings.sticky > 0.0] for name in names]
        sizes = [settings if is_compiled else few for is_compiled in compiled]
        # Compiled runs let go of the interpreter, so two take little longer than one.
        workload_of(settings)  # drawn once, for both
        start = self._pool.map if all(compiled) else map
        return list(start(run, sizes, [self.policies[name] for name in names]))

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Show the widget; where no kernel runs, in a saved page, a picture stands for it."""
        shown = super()._repr_mimebundle_(**options)
        if shown is not None and self.runs:
            shown[0]["text/html"] = _still(self.runs, repr(self))
        return shown

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in _SETTINGS)
        return f"Explorer({shown})"

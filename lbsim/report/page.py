"""A comparison as one self-contained HTML page."""

import base64
import io
import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim.client import Client
from lbsim.errors import InputError
from lbsim.measures import MEASURES
from lbsim.report import text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lbsim.comparison import Comparison

__all__ = ["figures", "write_page"]

CURVES = 8  # more lines than this in one picture cannot be told apart
STORIES = 3

CAPTIONS = {
    "latency": "How many requests took longer than x. Both axes are logarithmic: each step down "
    "is ten times rarer. A curve further left is better; where curves cross, the policy that is "
    "better for most requests is worse for the slowest.",
    "ranking": "The 99th percentile with its confidence interval. Policies with the same number "
    "are not told apart by these replications.",
    "shares": "Each dot is a worker. A policy that shares evenly has its dots at 1; requests may "
    "be shared evenly and work not at all.",
}


def figures(result: "Comparison") -> "dict[str, Figure]":
    """Draw the pictures of a comparison, by name."""
    from matplotlib.figure import Figure

    from lbsim import plot

    names = [str(name) for name in result.ranking("p99")["policy"]]
    runs = {name: result.runs[name] for name in names}
    answered = {name: run for name, run in runs.items() if not np.isnan(run.latency).all()}
    drawn: dict[str, Figure] = {}

    def ax(name: str, width: float, height: float) -> Any:
        drawn[name] = Figure(figsize=(width, height), layout="constrained")
        return drawn[name].add_subplot()

    if answered:
        plot.ccdf(dict(list(answered.items())[:CURVES]), ax("latency", 7.2, 4.6))
        table = result.ranking("p99").dropna()
        plot.ranking(table, "p99 latency", ax("ranking", 7.2, 1.0 + 0.32 * len(table)))
    plot.shares(runs, ax("shares", 7.2, 0.9 + 0.34 * len(names)))
    for label, name in (("best", names[0]), ("worst", names[-1])):
        if label == "worst" and len(names) == 1:
            break
        plot.queue_lengths(runs[name], ax(f"queues-{label}", 7.2, 3.0)).set_title(
            f"{name}: requests at each worker", fontsize="medium", loc="left"
        )
        if name in answered:
            plot.timeline(runs[name], ax(f"timeline-{label}", 7.2, 3.2))
    return drawn


def write_page(result: "Comparison", path: Path, drawn: "dict[str, Figure] | None" = None) -> Path:
    """Write the page to a temporary name beside `path`, then move it into place."""
    from jinja2 import Environment

    drawn = figures(result) if drawn is None else drawn
    here = files("lbsim.report")
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        (here / "page.html").read_text(encoding="utf-8")
    )
    page = template.render(
        css=(here / "page.css").read_text(encoding="utf-8"), **_content(result, drawn)
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _content(result: "Comparison", drawn: "dict[str, Figure]") -> dict[str, Any]:
    """Return everything that the template shows."""
    length, unit = text.unit_of(result)
    shown = text.columns(result)
    about = {m.name: m for m in MEASURES}
    ranked = result.ranking("p99")
    rows = []
    for line in ranked.itertuples():
        cells = [
            text.cell(result.interval(str(line.policy), m), about[m].unit, length) for m in shown
        ]
        rows.append({"rank": line.rank, "policy": line.policy, "cells": cells})
    heads = [
        {
            "name": name.replace("_", " "),
            "unit": unit if about[name].unit == "s" else "",
            "meaning": about[name].meaning,
        }
        for name in shown
    ]
    names = [str(name) for name in ranked["policy"]]
    return {
        "workload": result.workload,
        "cluster": repr(result.cluster),
        "client": "" if result.client == Client() else repr(result.client),
        "load": _load(result),
        "repeats": "replications" if result.workload.is_synthetic else "resamples of the trace",
        "seed": result.seed,
        "source": ", ".join(sorted({run.source for run in result.runs.values()})),
        "notes": text.notes(result),
        "replications": result.replications,
        "headline": _headline(result, names, length, unit),
        "heads": heads,
        "rows": rows,
        "pictures": {name: _embedded(figure) for name, figure in drawn.items()},
        "captions": CAPTIONS,
        "stories": {
            name: [str(story) for story in result.runs[name].slowest(STORIES)]
            for name in dict.fromkeys([names[0], names[-1]])
        },
        "best": names[0],
        "worst": names[-1],
        "differences": _differences(result, names, length),
        "unit": unit,
    }


def _load(result: "Comparison") -> str:
    """Return the offered load, or nothing where it has no meaning."""
    try:
        return text.number(result.workload.offered_load(result.cluster))
    except InputError:  # a closed loop, or all requests at one instant
        return ""


def _headline(result: "Comparison", names: list[str], length: float, unit: str) -> str:
    """Say in one sentence what came out."""
    found = {name: result.interval(name, "p99") for name in names}
    shown = {
        name: f"{text.number(interval.estimate / length)} {unit}"
        for name, interval in found.items()
        if interval is not None
    }
    if not shown:
        return "No policy answered a request."
    best, *_, worst = [*shown, *shown]  # they are the same if there is but one
    ties = [str(line.policy) for line in result.ranking("p99").itertuples() if line.rank == 1]
    if len(shown) == 1:
        return f"{best} has a 99th percentile of {shown[best]}."
    lead = f"{best} has" if len(ties) == 1 else f"{', '.join(ties)} share"
    ratio = found[worst].estimate / found[best].estimate  # type: ignore[union-attr]
    return (
        f"{lead} the lowest 99th percentile ({shown[best]}); {worst} has the highest "
        f"({shown[worst]}, {ratio:.2g} times as much)."
    )


def _differences(result: "Comparison", names: list[str], length: float) -> list[dict[str, Any]]:
    """Return each policy's paired difference from the best one."""
    if result.replications < 2 or len(names) < 2:
        return []
    pairs = result.differences("p99")
    rows = []
    for name in names[1:]:
        pair, p = pairs.get((name, names[0])) or pairs.get((names[0], name)) or (None, 1.0)
        if pair is None:
            continue
        is_turned = (names[0], name) in pairs
        ends = [pair.interval.estimate, pair.interval.low, pair.interval.high]
        if pair.is_ratio:
            ends = [1.0 / end for end in ends] if is_turned else ends
        else:
            ends = [(-end if is_turned else end) / length for end in ends]
        shown = [text.number(end) + (" ×" if pair.is_ratio else "") for end in sorted(ends)]
        rows.append(
            {
                "policy": name,
                "low": shown[0],
                "estimate": shown[1],
                "high": shown[2],
                "p": "< 0.001" if p < 0.001 else f"{p:.2g}",
                "is_ratio": pair.is_ratio,
            }
        )
    return rows


def _embedded(figure: "Figure") -> str:
    """Return a picture as a data URL."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=140)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

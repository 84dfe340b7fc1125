"""A comparison as a plain text table."""

from typing import TYPE_CHECKING

import numpy as np

from lbsim.measures import MEASURES
from lbsim.stats.resampled import resampled_interval
from lbsim.units import pick_unit

if TYPE_CHECKING:
    from lbsim.comparison import Comparison
    from lbsim.stats.intervals import Interval

__all__ = ["cell", "columns", "notes", "number", "table", "unit_of"]

ALWAYS = (
    "mean", "p50", "p90", "p99", "p99.9", "worst", "utilisation", "imbalance",
    "idle_while_waiting",
)  # fmt: skip
HEADINGS = {"idle_while_waiting": "idle/wait", "utilisation": "util", "imbalance": "imbal"}


def columns(result: "Comparison") -> list[str]:
    """Return the measures worth a column: those always shown, and what happened."""
    shown = list(ALWAYS)
    for m in MEASURES:
        if m.name in shown or m.name in ("jain", "moved"):
            continue
        usual = 1.0 if m.name == "answered" else 0.0
        values = [value for p in result.policies for value in result.figures[p][m.name]]
        if m.name == "kept":
            if any(value == value for value in values):
                shown.append(m.name)
        elif any(value != usual for value in values):
            shown.append(m.name)
    return shown


def unit_of(result: "Comparison") -> tuple[float, str]:
    """Return the unit of time that suits this comparison."""
    means = sorted(
        float(result.figures[p]["mean"][0])
        for p in result.policies
        if not np.isnan(result.figures[p]["mean"][0])
    )
    return pick_unit(means[len(means) // 2] if means else 1.0)


def cell(found: "Interval | None", unit: str, length: float) -> tuple[str, str]:
    """Return an estimate and its interval as text."""
    if found is None:
        return "-", ""
    scale = {"s": 1.0 / length, "share": 100.0}.get(unit, 1.0)
    sign = "%" if unit == "share" else ""
    value, low, high = found.estimate * scale, found.low * scale, found.high * scale
    if low == high:
        return f"{number(value)}{sign}", ""
    return f"{number(value)}{sign}", f"{number(low)}..{number(high)}"


def number(value: float) -> str:
    """Return a figure with three digits, in plain notation from 1000 on."""
    if value == 0.0:
        return "0"
    if abs(value) >= 1000.0:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(result: "Comparison") -> str:
    """Return the table: policies from best to worst p99, each measure above its interval."""
    length, unit = unit_of(result)
    shown = columns(result)
    units = {m.name: m.unit for m in MEASURES}
    order = result.ranking("p99")
    head = ["", "policy"] + [
        HEADINGS.get(name, name) + (f" [{unit}]" if units[name] == "s" else "") for name in shown
    ]
    lines: list[list[str]] = [head]
    for line in order.itertuples():
        cells = [cell(result.interval(str(line.policy), m), units[m], length) for m in shown]
        lines.append([f"{line.rank}.", str(line.policy), *(value for value, _ in cells)])
        if any(interval for _, interval in cells):
            lines.append(["", "", *(interval for _, interval in cells)])
    widths = [max(len(row[i]) for row in lines) for i in range(len(head))]
    text = []
    for row in lines:
        parts = [
            value.ljust(width) if i < 2 else value.rjust(width)
            for i, (value, width) in enumerate(zip(row, widths, strict=True))
        ]
        text.append("  ".join(parts).rstrip())
    text.insert(1, "-" * max(len(row) for row in text))
    return "\n".join([*text, "", *notes(result)])


def notes(result: "Comparison") -> list[str]:
    """Return what must be known to read the table."""
    lines = [
        f"{len(result.workload)} requests of {result.workload.name!r} on {result.cluster!r}.",
        "Ranked by p99; policies with the same number are not told apart. The small figures are "
        f"{result.method}.",
    ]
    if not result.is_complete:
        lines.append(
            f"Interrupted: {result.replications} of {result.requested} replications were done."
        )
    lines += [f"Note: {note}." for note in result.workload.notes]
    if result.workload.is_synthetic:
        cuts = ", ".join(str(cut) for cut in result.warmup)
        lines.append(f"Warm-up left out (MSER-5), requests in each replication: {cuts}.")
    elif result.replications < 2:
        lines.append("A single run of the trace has no interval; give more replications.")
    elif _is_unlike_its_resamples(result):
        lines.append(
            "The resamples are faster, or slower, than the trace itself: it has a trend or "
            "dependence longer than a block, which they break up. Trust the order of the policies "
            "more than the width of the intervals."
        )
    return lines


def _is_unlike_its_resamples(result: "Comparison") -> bool:
    """Say whether some policy's mean or median does not look like one more resample's."""
    for policy in result.policies:
        for name in ("mean", "p50"):
            values = result.figures[policy][name]
            if np.isnan(values).any():
                continue
            own, draws = float(values[0]), values[1:]
            if own not in resampled_interval(float(draws.mean()), draws, result.confidence):
                return True
    return False

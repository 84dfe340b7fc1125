"""How the validation matrix's runs (`benchmarks/validation.py`) stand against the marks."""

import math
from operator import itemgetter
from typing import Any

import numpy as np
from validation_plan import (
    AWARE,
    BLIND,
    HELD_OUT,
    LOADS,
    NODES,
    QUANTILES,
    SEED,
    is_current,
    jobs,
    side,
)

from live.lab import BANDS

GROUPS = {
    "Choices that look at load": AWARE,
    "Node.js, SCHED_RR, by NodeCluster": ("Node",),
    "Node.js, SCHED_NONE, by NodeSchedNone": ("Node SCHED_NONE",),
    "One listening socket, by SharedAccept": ("shared",),
}


def summary(rows: list[dict[str, Any]]) -> str:
    """Hold the runs against the marks."""
    present = [row for row in rows if is_current(row)]
    # A repeated run counts once, the last one while the machine was quiet; all are in the file.
    latest = {row["name"]: row for row in sorted(present, key=itemgetter("valid"))}
    quiet = [row for row in latest.values() if row["valid"]]
    valid = [row for row in quiet if row["seed"] not in HELD_OUT]
    noisy = len(present) - sum(row["valid"] for row in present)
    lines = [
        f"{len(latest)} runs of {len(jobs())} planned",
        f"not counted below: {noisy} while the machine was noisy, {len(rows) - len(present)} with "
        "calibrations that were mended since",
    ]
    blind = [row for row in valid if row["blind"]]
    lines += ["", f"Choices that depend only on the order of arrivals: {len(blind)} runs"]
    for name in QUANTILES:
        ratios = np.array(
            [row["quantiles"][name]["ratio"] for row in blind if name in row["quantiles"]]
        )
        if len(ratios):
            ok = np.abs(ratios - 1) <= BANDS[name]
            lines.append(
                f"  {name:6} within ± {BANDS[name]:.0%} in {ok.mean():6.1%} of the runs; "
                f"ratio {np.median(ratios):.4f} ({ratios.min():.3f} to {ratios.max():.3f})"
            )
    if blind:
        errors = np.array([row["request_error"] for row in blind]) * 1e3
        same = np.array([row["same_worker"] for row in blind])
        lines.append(
            f"  median error of single requests: {np.median(errors):.3f} ms, at most "
            f"{errors.max():.3f} ms; the same worker for {same.min():.3%} or more"
        )
        lines += _twice(blind, present)
    for title, names in GROUPS.items():
        mine = [row for row in valid if row["policy"] in names]
        lines += ["", *_aware(title, mine)]
        if set(names) <= set(NODES):
            lines += _repeated(mine, rows)
    for seed in HELD_OUT:
        lines += _held_out(seed, [row for row in quiet if row["seed"] == seed])
    lines += ["", *_kernels(valid), *_costs(valid), *_ranks(valid)]
    return "\n".join(lines)


def _aware(title: str, rows: list[dict[str, Any]]) -> list[str]:
    cells = [row for row in rows if row["seed"] == SEED]
    lines = [f"{title}: {len(cells)} runs"]
    for name in QUANTILES:
        found = [row["quantiles"][name] for row in cells if name in row["quantiles"]]
        if found:
            widths = [(f["high"] - f["low"]) / f["simulated"] for f in found]
            inside = np.mean([f["inside"] for f in found])
            lines.append(
                f"  {name:6} inside the 95 % prediction interval in {inside:6.1%}; its width is "
                f"{np.median(widths):.1%} of the quantile at the median"
            )
    means = {
        load: [math.log(row["quantiles"]["p50"]["ratio"]) for row in cells if row["load"] == load]
        for load in LOADS
    }
    if cells:
        parts = [f"{load:g} {math.exp(np.mean(of)):.3f}" for load, of in means.items() if of]
        lines.append(f"  p50 measured / simulated, geometric mean at load {', '.join(parts)}")
    pooled = [row for row in rows if row["seed"] != SEED]
    for policy in dict.fromkeys(row["policy"] for row in pooled):
        mine = [row for row in pooled if row["policy"] == policy]
        parts = []
        for name in ("p50", "p90", "p99"):
            logs = np.log([row["quantiles"][name]["ratio"] for row in mine])
            if len(logs) >= 2:
                half = _t(len(logs)) * logs.std(ddof=1) / math.sqrt(len(logs))
                low, high = math.exp(logs.mean() - half), math.exp(logs.mean() + half)
                verdict = "" if low > 1 / 1.05 and high < 1.05 else " (may exceed 5 %)"
                parts.append(f"{name} {math.exp(logs.mean()):.3f} [{low:.3f}, {high:.3f}]{verdict}")
        lines.append(f"  {policy}, {len(mine)} seeds pooled: " + "; ".join(parts))
    return lines


def _held_out(seed: int, rows: list[dict[str, Any]]) -> list[str]:
    """Say how those runs stand on whose like nothing was tried."""
    if not rows:
        return []
    cells = len({(row["workers"], row["load"], row["law"]) for row in rows})
    lines = [
        "",
        f"Held out, seed {seed} (other workers, loads and law): {len(rows)} runs in {cells} cells",
    ]
    for title, names in {"Only the order of arrivals": BLIND, **GROUPS}.items():
        mine = [row for row in rows if row["policy"] in names]
        if not mine:
            continue
        is_blind = names == BLIND
        parts = []
        for name in QUANTILES:
            found = [row["quantiles"][name] for row in mine if name in row["quantiles"]]
            ok = [abs(q["ratio"] - 1) <= BANDS[name] if is_blind else q["inside"] for q in found]
            parts.append(f"{name} {sum(ok)} of {len(ok)}")
        where = "within the bands" if is_blind else "inside"
        lines.append(f"  {title}, {len(mine)} runs, {where}: {', '.join(parts)}")
    return lines


def _twice(cells: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[str]:
    """Say how close the last two quiet real runs of the same requests are to each other."""
    pairs = [runs[-2:] for runs in _quiet_runs(cells, rows) if len(runs) > 1]
    if not pairs:
        return []
    parts = []
    for name in QUANTILES:
        ratios = np.array([_measured(last, name) / _measured(first, name) for first, last in pairs])
        parts.append(f"{name} {np.mean(np.abs(ratios - 1) <= BANDS[name]):.1%}")
    return [
        f"  {len(pairs)} of these requests were served twice; the second time within these bands "
        "of the first:",
        "  " + ", ".join(parts),
    ]


def _repeated(cells: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[str]:
    """Say how often a prediction is as good as one of Node's own runs of the same requests.

    All of these that were made while the machine was quiet, of whatever revision: what they were
    predicted with makes no difference to what they measured.
    """
    repeated = [
        (cell, runs)
        for cell, runs in zip(cells, _quiet_runs(cells, rows), strict=True)
        if len(runs) > 1
    ]
    if not repeated:
        return []
    parts = []
    for name in QUANTILES:
        passed = []
        for cell, runs in repeated:
            of = cell["quantiles"][name]
            measured = [_measured(run, name) for run in runs]
            passed.append(of["inside"] or min(measured) <= of["simulated"] <= max(measured))
        parts.append(f"{name} {np.mean(passed):.1%}")
    times = [len(runs) for _, runs in repeated]
    return [
        f"  {len(repeated)} of these requests were served {min(times)} to {max(times)} times; "
        "inside its interval, or the prediction within the range of these:",
        "  " + ", ".join(parts),
    ]


def _quiet_runs(
    cells: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> list[list[dict[str, Any]]]:
    """Return each cell's runs that were made while the machine was quiet."""
    return [[row for row in rows if row["name"] == cell["name"] and row["valid"]] for cell in cells]


def _measured(run: dict[str, Any], quantile: str) -> float:
    return float(run["quantiles"][quantile]["measured"])


def _t(n: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, n - 1))


def _kernels(rows: list[dict[str, Any]]) -> list[str]:
    """Compare our workers and Node's where they accept for themselves, measured both."""
    mine, theirs = (
        {(row["workers"], row["load"], row["law"]): row for row in rows if row["policy"] == policy}
        for policy in ("shared", "Node SCHED_NONE")
    )
    both = [cell for cell in mine if cell in theirs]
    if not both:
        return []
    parts = []
    for name in QUANTILES:
        ratios = [
            mine[cell]["quantiles"][name]["measured"] / theirs[cell]["quantiles"][name]["measured"]
            for cell in both
        ]
        parts.append(f"{name} {np.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    return [
        f"One listening socket, ours / Node's, measured both, {len(both)} cells: "
        + ", ".join(parts)
    ]


def _costs(rows: list[dict[str, Any]]) -> list[str]:
    """Say how often the machine's costs brought the simulation closer."""
    found = [q for row in rows for q in row["quantiles"].values()]
    if not found:
        return []
    closer = np.mean([abs(math.log(q["ratio"])) < abs(math.log(q["bare_ratio"])) for q in found])
    ks = np.mean([row["ks"] < row["bare_ks"] for row in rows])
    return [
        f"With the machine's costs the simulation is closer in {closer:.1%} of {len(found)} "
        f"quantiles, and by the KS distance in {ks:.1%} of the runs"
    ]


def _ranks(rows: list[dict[str, Any]]) -> list[str]:
    """Compare the order of policies by p99 in each cell."""
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["seed"] == SEED and side(row["policy"]) == "pass":
            cells.setdefault((row["workers"], row["load"], row["law"]), []).append(row)
    apart = wrong = 0
    for cell in cells.values():
        for i, one in enumerate(cell):
            for other in cell[i + 1 :]:
                a, b = one["quantiles"]["p99"], other["quantiles"]["p99"]
                simulated = _order(a["low"], a["high"], b["low"], b["high"])
                spread = [
                    (q["ratio_low"] * q["simulated"], q["ratio_high"] * q["simulated"])
                    for q in (a, b)
                ]
                measured = _order(*spread[0], *spread[1])
                apart += simulated * measured != 0
                wrong += simulated * measured < 0
    return [
        f"Of {apart} pairs of policies (in {len(cells)} cells) whose intervals of p99 do not "
        f"overlap, {wrong} are ranked the other way round"
    ]


def _order(a_low: float, a_high: float, b_low: float, b_high: float) -> int:
    return -1 if a_high < b_low else int(a_low > b_high)

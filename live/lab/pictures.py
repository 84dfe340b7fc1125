"""The pictures of a study."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim import stats
from lbsim.plot.style import COLOURS, tidy
from lbsim.units import pick_unit
from live.lab.pair import BANDS, Pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from live.lab.studies import Study

__all__ = ["figures"]

MEASURED, SIMULATED, BARE, PEER = COLOURS[0], COLOURS[1], "0.6", COLOURS[2]
BAND_POINTS = 200
NARROW_S = 1e-9  # a log axis has no zero


def figures(study: "Study") -> "dict[str, Figure]":
    """Draw a study's pictures by name: the overview, then one for each policy."""
    from matplotlib.figure import Figure

    drawn: dict[str, Figure] = {}

    def ax(name: str, width: float, height: float) -> "Axes":
        drawn[name] = Figure(figsize=(width, height), layout="constrained")
        return drawn[name].add_subplot()

    n = len(study.pairs)
    _ratios(study, ax("ratios", 7.6, 1.4 + 0.75 * n))
    _ranking(study, ax("ranking", 7.6, 1.2 + 0.42 * n))
    _breakdown(study, ax("breakdown", 7.6, 1.6 + 0.38 * n))
    for i, pair in enumerate(study.pairs):
        drawn[f"pair-{i}"] = figure = Figure(figsize=(9.6, 3.9), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.45, 1.0))
        _ccdf(pair, left)
        _qq(pair, right)
    for figure in drawn.values():
        # What is where is found out once, and not by each of those who draw it.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return drawn


def _ccdf(pair: Pair, ax: "Axes") -> None:
    """Draw both distributions, with the band of all replays."""
    ok = pair.answered()
    mine, theirs = pair.both()
    length, unit = pick_unit(float(np.median(mine)))
    x, low, high = _replay_band(pair, ok)
    ax.fill_between(
        x / length, low, high, color=SIMULATED, alpha=0.25, linewidth=0, label="95 % of replays"
    )
    bare = pair.bare.latency[ok]
    curves = [
        ("simulated, without the machine's costs", bare[~np.isnan(bare)], BARE, ":"),
        ("simulated", theirs, SIMULATED, "--"),
        ("measured", mine, MEASURED, "-"),
    ]
    for i, (server, run) in enumerate(pair.peers.items()):
        latency = run.latency[~np.isnan(run.latency)]
        curves.append((server, latency, COLOURS[(2 + i) % len(COLOURS)], "-."))
    for name, values, colour, dashes in curves:
        at, share = stats.ccdf(np.maximum(values, NARROW_S))
        ax.step(at / length, share, where="post", color=colour, linestyle=dashes, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(0.7 / len(mine), 1.3)
    ax.set_xlim(left=0.8 * max(NARROW_S, float(np.quantile(theirs, 0.02))) / length)
    _plain(ax.xaxis)
    ax.set_xlabel(f"latency [{unit}]")
    ax.set_ylabel("share that took longer")
    ax.set_title(f"{pair.name}: distribution", fontsize="medium", loc="left")
    ax.grid(True, linewidth=0.4, alpha=0.5)
    tidy(ax, ["curves"])


def _replay_band(pair: Pair, ok: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each latency the range of shares that 95 % of the replays have."""
    latency = np.sort(pair.prediction.of(ok).latency, axis=1)
    latency = latency[:, ~np.isnan(latency).any(axis=0)]
    n = latency.shape[1]
    x = np.geomspace(max(NARROW_S, latency.min()), latency.max(), BAND_POINTS)
    share = 1.0 - np.array([np.searchsorted(row, x, "right") / n for row in latency])
    low, high = np.quantile(share, [0.025, 0.975], axis=0)
    floor = 0.5 / n
    return x, np.maximum(low, floor), np.maximum(high, floor)


def _qq(pair: Pair, ax: "Axes") -> None:
    """Draw measured against simulated quantiles."""
    mine, theirs = pair.both()
    length, unit = pick_unit(float(np.median(mine)))
    _, x, y = stats.qq_points(np.maximum(theirs, NARROW_S), np.maximum(mine, NARROW_S))
    ends = np.array([min(x[0], y[0]), max(x[-1], y[-1])]) / length
    ax.plot(ends, ends, color="0.4", linewidth=0.8, label="equal")
    ax.fill_between(ends, ends / 1.05, ends * 1.05, color="0.4", alpha=0.15, linewidth=0)
    ax.plot(x / length, y / length, ".", markersize=3.5, color=MEASURED, label="quantiles")
    ax.set_xscale("log")
    ax.set_yscale("log")
    _plain(ax.xaxis)
    _plain(ax.yaxis)
    ax.set_xlabel(f"simulated [{unit}]")
    ax.set_ylabel(f"measured [{unit}]")
    ax.set_title("quantile against quantile (grey: ± 5 %)", fontsize="medium", loc="left")
    tidy(ax)


def _ratios(study: "Study", ax: "Axes") -> None:
    """Draw measured / simulated of every policy and quantile."""
    table = study.quantiles()
    table = table[table["server"] == "live"]
    names = list(BANDS)
    labels, at = [], 0.0
    for pair in study.pairs:
        for row in table[table["policy"] == pair.name].itertuples():
            y = at + 0.19 * names.index(str(row.quantile))
            colour = COLOURS[names.index(str(row.quantile))]
            expected = (row.low / row.simulated, row.high / row.simulated)
            if row.blind:
                expected = (1.0 - BANDS[str(row.quantile)], 1.0 + BANDS[str(row.quantile)])
            ax.plot(expected, (y, y), color="0.82", linewidth=7, solid_capstyle="butt", zorder=1)
            ax.plot((row.ratio_low, row.ratio_high), (y, y), color=colour, linewidth=1.4, zorder=2)
            ax.plot(row.ratio, y, "o" if row.passed else "X", color=colour, markersize=6, zorder=3)
        labels.append((at + 0.28, pair.name))
        at += 1.0
    for i, name in enumerate(names):
        if name in set(table["quantile"]):
            ax.plot([], [], "o", color=COLOURS[i], label=name)
    ax.plot([], [], color="0.82", linewidth=7, label="where it should be")
    ax.axvline(1.0, color="0.4", linewidth=0.8)
    ax.set_yticks([y for y, _ in labels], [name for _, name in labels])
    ax.invert_yaxis()
    ax.set_xlabel("measured / simulated")
    tidy(ax, ["legend"])
    ax.legend(
        frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5
    )


def _ranking(study: "Study", ax: "Axes") -> None:
    """Draw the p99 of every policy, measured and simulated."""
    table = study.ranking()
    length, unit = pick_unit(float(table["measured"].median()))
    for source, colour, shift, marker in (
        ("simulated", SIMULATED, 0.14, "s"),
        ("measured", MEASURED, -0.14, "o"),
    ):
        y = np.arange(len(table)) + shift
        ends = np.array([table[f"{source}_low"], table[f"{source}_high"]]) / length
        ax.plot(ends, np.array([y, y]), color=colour, linewidth=1.4)
        ax.plot(table[source] / length, y, marker, color=colour, markersize=5, label=source)
    ax.set_yticks(range(len(table)), table["policy"])
    ax.invert_yaxis()
    ax.set_xscale("log")
    _plain(ax.xaxis)
    ax.set_xlabel(f"99th percentile of latency [{unit}]")
    tidy(ax, ["legend"])


def _breakdown(study: "Study", ax: "Axes") -> None:
    """Draw where the time of a mean request went."""
    table: Any = study.breakdown().pivot(index="policy", columns="phase", values="mean")
    names = [pair.name for pair in study.pairs]
    phases = list(study.breakdown()["phase"].unique())
    length, unit = pick_unit(float(table.sum(axis=1).median()))
    left = np.zeros(len(names))
    colours = (*COLOURS, "0.75")
    for i, phase in enumerate(phases):
        width = table.loc[names, phase].to_numpy() / length
        ax.barh(names, width, left=left, color=colours[i % len(colours)], label=phase, height=0.6)
        left = left + width
    ax.invert_yaxis()
    ax.set_xlabel(f"mean of a measured request [{unit}]")
    tidy(ax, ["legend"])
    ax.legend(
        frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=8,
        columnspacing=1.0, handlelength=1.0,
    )  # fmt: skip


def _plain(axis: Any) -> None:
    """Label a log axis with 1, 2, 5, 10, 20 … in place of powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_formatter(NullFormatter())

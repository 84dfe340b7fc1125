"""A comparison as files: the page, tidy tables, plots."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbsim.report.page import figures, write_page
from lbsim.report.place import fill_place

if TYPE_CHECKING:
    from lbsim.comparison import Comparison

__all__ = ["MARK", "write_all"]

MARK = "lbsim-report.txt"  # tells our own directories from others'


def write_all(result: "Comparison", directory: Path) -> Path:
    """Write everything, in place of an earlier report (`lbsim.report.place`)."""
    return fill_place(directory, MARK, lambda place: _fill(result, place))


def _fill(result: "Comparison", directory: Path) -> None:
    (directory / MARK).write_text(f"{result!r}\n", encoding="utf-8")
    tables: dict[str, Callable[[], Any]] = {
        "summary": result.frame,
        "replications": result.replicates,
        "ranking": result.ranking,
    }
    for name, make in tables.items():
        frame = make()
        frame.to_csv(directory / f"{name}.csv", index=False)
        frame.to_parquet(directory / f"{name}.parquet", index=False)
    import pandas as pd

    requests = pd.concat(
        [run.frame().assign(policy=name) for name, run in result.runs.items()], ignore_index=True
    )
    requests.to_parquet(directory / "requests.parquet", index=False)
    plots = directory / "plots"
    plots.mkdir()
    drawn = figures(result)
    for name, figure in drawn.items():
        for suffix in ("png", "svg"):
            figure.savefig(plots / f"{name}.{suffix}", dpi=150)
    write_page(result, directory / "report.html", drawn)

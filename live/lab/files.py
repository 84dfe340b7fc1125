"""A study as files: the page, tidy tables, the runs' rows."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lbsim.report.place import fill_place
from live.lab.page import headline, write_page
from live.lab.pictures import figures

if TYPE_CHECKING:
    from live.lab.studies import Study

__all__ = ["MARK", "write_all"]

MARK = "lbsim-lab.txt"  # tells our own directories from others'


def write_all(study: "Study", directory: Path) -> Path:
    """Write everything, in place of an earlier study (`lbsim.report.place`)."""
    return fill_place(directory, MARK, lambda place: _fill(study, place))


def _fill(study: "Study", directory: Path) -> None:
    import pandas as pd

    (directory / MARK).write_text(headline(study) + "\n", encoding="utf-8")
    tables = {
        "quantiles": study.quantiles(),
        "distances": study.distances(),
        "ranking": study.ranking(),
        "breakdown": study.breakdown(),
        "losses": study.losses(),
    }
    for name, table in tables.items():
        table.to_csv(directory / f"{name}.csv", index=False)
    rows = []
    for pair in study.pairs:
        for server, run in {"live": pair.measured, **pair.peers}.items():
            frame = run.frame().assign(policy=pair.name, server=server)
            rows.append(frame.assign(simulated=pair.simulated))
    pd.concat(rows, ignore_index=True).to_parquet(directory / "requests.parquet", index=False)
    study.calibration.save(directory / "calibration.json")
    facts = {
        "machine": study.pairs[0].measured.machine,
        "disturbance": vars(study.disturbance),
        "seed": study.seed,
        "cluster": repr(study.cluster),
        "workload": repr(study.workload),
        "complete": study.is_complete,
        "noise": study.noise,
    }
    (directory / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    drawn = figures(study)
    (directory / "plots").mkdir()
    for name, figure in drawn.items():
        figure.savefig(directory / "plots" / f"{name}.svg")
    write_page(study, directory / "report.html", drawn)

"""A study as one self-contained HTML page."""

import base64
import io
import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim.units import duration
from live.lab.pair import BANDS, REQUEST_BAND_S
from live.measured import PHASES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from live.lab.studies import Study

__all__ = ["headline", "write_page"]


def write_page(study: "Study", path: Path, drawn: "dict[str, Figure]") -> Path:
    """Write the page to a temporary name beside `path`, then move it into place."""
    from jinja2 import Environment

    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        (files("live.lab") / "page.html").read_text(encoding="utf-8")
    )
    css = (files("lbsim.report") / "page.css").read_text(encoding="utf-8")
    page = template.render(css=css, **_content(study, drawn))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def headline(study: "Study") -> str:
    """Say in two sentences what came out."""
    table = study.quantiles()
    mine = table[table["server"] == "live"]
    where = "in the band" if bool(mine["blind"].all()) else "where the simulator puts them"
    outside = mine[~mine["passed"].astype(bool)]
    of_whom = mine if outside.empty else outside
    worst = of_whom.loc[np.log(of_whom["ratio"]).abs().idxmax()]
    text = (
        f"{len(mine) - len(outside)} of {len(mine)} measured quantiles lie {where}; "
        f"{'' if outside.empty else 'of the others '}the farthest is the {worst['quantile']} of "
        f"{worst['policy']}, measured "
        f"{duration(worst['measured'])} and simulated {duration(worst['simulated'])}."
    )
    disagreements = study.disagreements()
    if len(study.pairs) > 1:
        text += (
            " Simulation and measurement rank the policies by p99 alike."
            if not disagreements
            else " They do not rank the policies alike: "
            + "; ".join(f"{one} and {other}" for one, other in disagreements)
            + "."
        )
    return text


def _content(study: "Study", drawn: "dict[str, Figure]") -> dict[str, Any]:
    """Return everything that the template shows."""
    table = study.quantiles()
    distances = study.distances().set_index("policy")
    pictures = {name: _embedded(figure) for name, figure in drawn.items()}
    blocks = []
    for i, pair in enumerate(study.pairs):
        far = distances.loc[pair.name]
        blocks.append(
            {
                "name": pair.name,
                "blind": pair.is_blind,
                "picture": pictures[f"pair-{i}"],
                "rows": [_row(row) for row in table[table["policy"] == pair.name].itertuples()],
                "has_peers": bool(pair.peers),
                "ks": f"{far['ks']:.3f}",
                "bare_ks": f"{far['bare_ks']:.3f}",
                "wasserstein": duration(far["wasserstein"]),
                "bare_wasserstein": duration(far["bare_wasserstein"]),
                "request_error": duration(far["request_error"]),
                "same_worker": f"{far['same_worker']:.1%}",
                "lateness": str(pair.measured.lateness),
            }
        )
    mine = table[table["server"] == "live"]
    closer = np.abs(np.log(mine["ratio"])) < np.abs(np.log(mine["bare_ratio"]))
    return {
        "study": study,
        "headline": headline(study),
        "noise": study.noise,
        "failures": study.failures(),
        "blocks": blocks,
        "pictures": pictures,
        "phases": PHASES,
        "bands": {name: f"{band:.0%}" for name, band in BANDS.items()},
        "request_band": duration(REQUEST_BAND_S),
        "replays": len(study.pairs[0].prediction.latency),
        "closer": f"{int(closer.sum())} of {len(closer)}",
        "costs": study.calibration.describe(),
        "machine": study.pairs[0].measured.machine,
        "losses": _losses(study) if study.cluster.faults.schedule else [],
    }


def _row(row: Any) -> dict[str, Any]:
    return {
        "server": row.server,
        "quantile": row.quantile,
        "measured": duration(row.measured),
        "simulated": duration(row.simulated),
        "interval": f"{duration(row.low)} to {duration(row.high)}",
        "ratio": f"{row.ratio:.3f}",
        "spread": f"{row.ratio_low:.3f} to {row.ratio_high:.3f}",
        "bare_ratio": f"{row.bare_ratio:.3f}",
        "passed": bool(row.passed),
    }


def _losses(study: "Study") -> list[dict[str, Any]]:
    return [
        {
            **{k: row[k] for k in ("policy", "source")},
            **{k: int(row[k]) for k in ("lost", "timeout", "redispatched")},
            "answered": f"{row['answered']:.2%}",
            "p99": duration(row["p99"]),
            "worst": duration(row["worst"]),
        }
        for row in study.losses().to_dict("records")
    ]


def _embedded(figure: "Figure") -> str:
    """Return a picture as a data URL."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=140)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

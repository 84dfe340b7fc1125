"""A few figures of a few runs, beside each other, as text that fits a page."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lbsim.errors import InputError
from lbsim.measures import MEASURES, measure

if TYPE_CHECKING:
    import pandas as pd

    from lbsim.comparison import Comparison
    from lbsim.run import Run

__all__ = ["ranked", "table"]

_UNITS = {m.name: m.unit for m in MEASURES}


def table(
    runs: "Mapping[str, Run]", measures: str = "mean p50 p99", *, warmup: int = 0
) -> "pd.DataFrame":
    """Return one row per run, one column per measure, as text with three digits.

    Parameters
    ----------
    runs : mapping of str to Run
    measures : str, default "mean p50 p99"
        Names of `lbsim.measures.MEASURES`, separated by blanks. Times are shown in
        milliseconds, shares in per cent.
    warmup : int, default 0
        How many of the first requests are left out.

    Examples
    --------
    >>> import lbsim
    >>> workload = lbsim.Workload.from_arrays([0.0, 0.0, 0.5], [1.0, 1.0, 1.0])
    >>> run = lbsim.simulate(workload, lbsim.policies.LeastConnections(), lbsim.Cluster(2))
    >>> print(table({"two workers": run}, "mean p99 answered"))
                mean [ms] p99 [ms] answered [%]
    two workers     1,167    1,490          100
    """
    import pandas as pd

    names = measures.split()
    unknown = [name for name in names if name not in _UNITS]
    if unknown:
        raise InputError(f"measure = {unknown[0]!r} is not known; give some of {', '.join(_UNITS)}")
    figures = {name: measure(run, warmup) for name, run in runs.items()}
    columns = {_heading(m): [_shown(figures[run][m], _UNITS[m]) for run in runs] for m in names}
    return pd.DataFrame(columns, index=list(runs))


def ranked(comparison: "Comparison", by: str = "p99") -> "pd.DataFrame":
    """Return the policies from best to worst, with intervals; those not told apart share a rank.

    Parameters
    ----------
    comparison : Comparison
    by : str, default "p99"
        A measure; times are shown in milliseconds, shares in per cent.
    """
    import pandas as pd

    found = comparison.ranking(by)
    unit = _UNITS[by]
    columns = {
        "policy": found["policy"],
        _heading(by): [_shown(x, unit) for x in found["estimate"]],
        f"{100 * comparison.confidence:g} % interval": [
            f"{_shown(low, unit)} to {_shown(high, unit)}"
            for low, high in zip(found["low"], found["high"], strict=True)
        ],
    }
    return pd.DataFrame(columns).set_index(pd.Index(found["rank"], name="rank"))


def _heading(name: str) -> str:
    unit = {"s": " [ms]", "share": " [%]"}.get(_UNITS[name], "")
    return name.replace("_", " ") + unit


def _shown(value: float, unit: str) -> str:
    if value != value:
        return "–"
    if unit == "count":
        return f"{value:,.0f}"
    value *= {"s": 1e3, "share": 100.0}.get(unit, 1.0)
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"

"""What the notebooks need and a library does not: sizes, checks of exercises, building.

    predict      a guess before the experiment, drawn beside the result (form, reveal)
    sizes        small runs for automatic checks
    sources      the notebooks as text
    student      exercises without their solutions
    build        notebooks, and a rendered copy of them
    checks       is an exercise solved, and if not, why not
    cases        runs in which something is wrong, for the exercise that looks for it
    measured     live experiments, or their recordings
    logs         an access log to practise on
    table        figures of runs beside each other
    tournament   policies against each other on a workload that nobody has seen

Importing it is cheap: what builds or checks is imported when it is used.
"""

from lbsim.teach.measured import can_measure, measured
from lbsim.teach.predict import Prediction, predict
from lbsim.teach.sizes import is_quick, size
from lbsim.teach.table import ranked, table

__all__ = [
    "Prediction",
    "can_measure",
    "is_quick",
    "measured",
    "predict",
    "ranked",
    "size",
    "table",
]

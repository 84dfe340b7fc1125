"""The beginning of a user's policy, run interpreted and compiled.

Compiled arithmetic differs from Python's in few places, most of which do not compile here
or raise an error. What is left (a NumPy function whose last digit differs, say) is found by
running the first requests twice: once for each policy, each time its code has changed.
"""

from collections.abc import Callable

import numpy as np

from lbsim.engines import readable
from lbsim.engines.compiled.fingerprint import Reach
from lbsim.engines.compiled.refused import Refused
from lbsim.engines.plan import Plan, head_of
from lbsim.engines.record import Record
from lbsim.policy import Policy

__all__ = ["compare_beginning", "first_difference"]

COMPARED = 10_000
"""How many requests are run twice."""

_compared: set[str] = set()

Runner = Callable[[Plan, Policy, Reach], Record]


def compare_beginning(plan: Plan, policy: Policy, reach: Reach, run: Runner) -> None:
    """Run the first requests on both engines, unless that has been done.

    Raises
    ------
    Refused
        The engines differ.
    PolicyError
        The policy broke its contract.
    """
    if reach.digest in _compared:
        return
    head = head_of(plan, COMPARED)
    expected = readable.run(head, policy)
    row = first_difference(expected, run(head, policy, reach))
    if row is not None:
        raise Refused(
            f"compiled, it behaves otherwise from request {row} on (t = "
            f"{plan.arrival[row]:.6g} s); a usual cause is a NumPy function on an array "
            "(np.exp, .sum(), .mean(): use math.exp and a loop)"
        )
    _compared.add(reach.digest)


def first_difference(a: Record, b: Record) -> int | None:
    """Return the first request that two records tell differently, or None."""
    handovers = [r.handovers for r in (a, b)]
    columns = [
        (a.finished, b.finished),
        (a.outcome, b.outcome),
        *((_of_answer(h.worker, a, -1), _of_answer(k.worker, b, -1)) for h, k in [handovers]),
        *(
            (_of_answer(h.started, a, np.nan), _of_answer(k.started, b, np.nan))
            for h, k in [handovers]
        ),
    ]
    differs = np.zeros(len(a.arrival), np.bool_)
    for left, right in columns:
        differs |= ~((left == right) | (np.isnan(left) & np.isnan(right)))
    return int(np.argmax(differs)) if differs.any() else None


def _of_answer(column: np.ndarray, record: Record, missing: float) -> np.ndarray:
    if len(column) == 0:
        return np.full(len(record.answer), missing)
    return np.where(record.answer >= 0, column[record.answer], missing)

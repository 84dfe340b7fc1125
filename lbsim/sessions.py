"""What sessions leave behind in memory, and what they get to see: derived from a run's rows.

A worker that serves a session's request keeps a copy of the session. Nobody tells it when the
session has moved on, so copies pile up until they have been idle for some time, or the worker
dies. A shared store has one copy of each session and survives workers.

Everything here follows from when and where requests were served, so it is the same for every
engine, and for measured runs.
"""

from typing import TYPE_CHECKING

import numpy as np

from lbsim import checks
from lbsim.engines.record import CAME_UP, CRASHED_AT, STOPPED
from lbsim.errors import InputError
from lbsim.stats.paths import Path, count_path

if TYPE_CHECKING:
    from lbsim.run import Run

__all__ = ["stored", "wrong_answers"]


def stored(run: "Run", idle: float | None = None, shared: bool = False) -> list[Path]:
    """Return how many sessions are in memory over time.

    Parameters
    ----------
    run : Run
        Of a workload with sessions.
    idle : float, optional
        Seconds after which a session that nobody asks for is dropped; None: never, which is how
        memory leaks.
    shared : bool, default False
        All workers use one store outside of them.

    Returns
    -------
    list of Path
        One for each worker (of a shared store: one in all). Times a session's size it is the
        memory.

    Examples
    --------
    >>> import lbsim
    >>> workload = lbsim.Workload.from_arrays([0.0, 1.0, 2.0], [0.1] * 3, key=[7, 7, 8])
    >>> run = lbsim.simulate(workload, lbsim.policies.RoundRobin(), lbsim.Cluster(2))
    >>> [int(path.values.max()) for path in stored(run)]  # both workers know session 7
    [2, 1]
    >>> [int(path.values.max()) for path in stored(run, shared=True)]
    [2]
    """
    limit = np.inf if idle is None else checks.positive("stored", "idle", idle)
    key, worker, life, time = _visits(run)
    ends = np.full(len(time), np.inf) if shared else _ends_of_lives(run, worker, life)
    place = np.zeros(len(time), np.int64) if shared else worker
    # One after the other: the visits of a session to a place, in order of time.
    order = np.lexsort((time, key, life if not shared else place, place))
    key, place, life, time, ends = (x[order] for x in (key, place, life, time, ends))
    gone = np.minimum(time + limit, ends)
    same = (key[1:] == key[:-1]) & (place[1:] == place[:-1])
    if not shared:
        same &= life[1:] == life[:-1]
    # A copy that is asked for again before it is dropped stays the same copy.
    stays = same & (time[1:] < gone[:-1])
    begins = np.where(np.append(False, stays), np.nan, time)
    first = np.flatnonzero(~np.isnan(begins))
    last = np.append(first[1:] - 1, len(time) - 1)
    begin, end = time[first], gone[last]
    end = np.where(np.isinf(end), np.nan, end)
    count = 1 if shared else run.cluster.workers
    return [count_path(begin[place[first] == w], end[place[first] == w]) for w in range(count)]


def wrong_answers(run: "Run") -> np.ndarray:
    """Return which answers would be wrong if sessions lived in their workers' memory alone.

    The state of a session is a count (of the things in a shopping cart, say), and each request
    adds one and answers with the count. A worker that has not served every earlier request of
    the session answers with too few. Nothing is fetched from elsewhere.

    Parameters
    ----------
    run : Run
        Of a workload with sessions.

    Returns
    -------
    ndarray of bool, shape (n,)
        For each request of the workload; False where it has no session or was not served.

    Examples
    --------
    >>> import lbsim
    >>> workload = lbsim.Workload.from_arrays([0.0, 1.0, 2.0], [0.1] * 3, key=[7, 7, 7])
    >>> run = lbsim.simulate(workload, lbsim.policies.RoundRobin(), lbsim.Cluster(2))
    >>> wrong_answers(run)  # the second answer says 1, the third (at worker 0 again) 2
    array([False,  True,  True])
    """
    rows = run.record.handovers
    key, worker, life, time = _visits(run)
    served = _served(run)
    row = rows.ticket[served] // run.copies
    order = np.argsort(time, kind="stable")
    seen: dict[tuple[int, int, int], int] = {}
    in_all: dict[int, int] = {}
    wrong = np.zeros(len(run), bool)
    for i in order.tolist():
        session = int(key[i])
        here = (session, int(worker[i]), int(life[i]))
        seen[here] = seen.get(here, 0) + 1
        in_all[session] = in_all.get(session, 0) + 1
        wrong[row[i]] = seen[here] != in_all[session]
    return wrong


def _served(run: "Run") -> np.ndarray:
    """Return the handovers whose service of a session began."""
    rows = run.record.handovers
    key = run.workload.key[rows.ticket // run.copies]
    if not (run.workload.key >= 0).any():
        raise InputError(
            "the workload has no sessions, so there is nothing to store; give "
            "Workload.synthetic(..., sessions=...) or from_arrays(..., key=...)"
        )
    return np.flatnonzero((key >= 0) & ~np.isnan(rows.started))


def _visits(run: "Run") -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return key, worker, the worker's life and the time of every service of a session."""
    served = _served(run)
    rows = run.record.handovers
    key = run.workload.key[rows.ticket[served] // run.copies]
    worker, time = rows.worker[served], rows.started[served]
    life = np.zeros(len(served), np.int64)
    happened = run.record.happenings
    for w in range(run.cluster.workers):
        born = happened.time[(happened.worker == w) & (happened.what == CAME_UP)]
        mine = worker == w
        life[mine] = np.searchsorted(born, time[mine], "right")
    return key, worker, life, time


def _ends_of_lives(run: "Run", worker: np.ndarray, life: np.ndarray) -> np.ndarray:
    """Return when the life that served each visit ended, in seconds; infinite: not yet."""
    happened = run.record.happenings
    ends = np.full(len(worker), np.inf)
    for w in range(run.cluster.workers):
        mine = np.flatnonzero(worker == w)
        of_w = happened.worker == w
        born = happened.time[of_w & (happened.what == CAME_UP)]
        died = happened.time[of_w & np.isin(happened.what, (CRASHED_AT, STOPPED))]
        for number in np.unique(life[mine]).tolist():
            since = born[number - 1] if number > 0 else -np.inf
            after = died[died >= since]
            if len(after):
                ends[mine[life[mine] == number]] = after[0]
    return ends

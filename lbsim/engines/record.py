"""What an engine writes down: one row a request, one row a handover, one row a worker's event."""

from typing import NamedTuple

import numpy as np

__all__ = [
    "ENDINGS",
    "HAPPENINGS",
    "OUTCOMES",
    "Handovers",
    "Happenings",
    "Record",
    "session_misses",
]

OUTCOMES = ("ok", "shed", "lost", "timeout", "unfinished")
"""What became of a request. Unfinished: it never was answered and its client still waits."""
OK, SHED, LOST, TIMEOUT, UNFINISHED = range(len(OUTCOMES))

ENDINGS = ("answered", "wasted", "crashed", "taken back", "open")
"""What became of one handover. Wasted: served although nobody waited for it any more."""
ANSWERED, WASTED, CRASHED, TAKEN_BACK, OPEN = range(len(ENDINGS))

HAPPENINGS = ("crash", "noticed", "up", "leaving", "hang", "resume", "speed", "stopped")
"""What happens to workers. Noticed: the master learns of a crash. Stopped: a worker that was
leaving is empty and restarts."""
CRASHED_AT, NOTICED, CAME_UP, LEAVING, HUNG, RESUMED, SPEED_CHANGED, STOPPED = range(
    len(HAPPENINGS)
)


class Handovers(NamedTuple):
    """One row for each time a copy of a request was given to a worker.

    Ordered by ticket, then by time. Times in seconds, NaN for what did not happen.
    """

    ticket: np.ndarray
    worker: np.ndarray
    dispatched: np.ndarray
    started: np.ndarray
    ended: np.ndarray
    ending: np.ndarray
    miss: np.ndarray


class Happenings(NamedTuple):
    """What happened to workers, in order of time."""

    time: np.ndarray
    what: np.ndarray
    worker: np.ndarray
    value: np.ndarray


class Record(NamedTuple):
    """Everything an engine returns.

    `answer` is, for each request, the row of `handovers` that counts: the one that answered it,
    otherwise the last one, -1 if there was none.
    """

    arrival: np.ndarray
    finished: np.ndarray
    outcome: np.ndarray
    answer: np.ndarray
    handovers: Handovers
    happenings: Happenings


def in_order_of_tickets(
    arrival: np.ndarray,
    finished: np.ndarray,
    outcome: np.ndarray,
    answered_by: np.ndarray,
    handovers: Handovers,
    happenings: Happenings,
    copies: int,
) -> Record:
    """Make a record from handovers in the order in which they happened.

    Parameters
    ----------
    answered_by : ndarray of int64
        For each request the row (in the given order) that answered it, or -1.
    """
    order = np.argsort(handovers.ticket, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    answer = np.full(len(arrival), -1, np.int64)
    # Rows in order of time: the last write to a request is its last handover.
    answer[handovers.ticket // copies] = place
    ok = answered_by >= 0
    answer[ok] = place[answered_by[ok]]
    return Record(
        arrival,
        finished,
        outcome,
        answer,
        Handovers(*(column[order] for column in handovers)),
        happenings,
    )


def session_misses(
    key: np.ndarray, worker: np.ndarray, arrival: np.ndarray, started: np.ndarray
) -> np.ndarray:
    """Say which requests found their session at another worker.

    For runs in which every request begins once and no worker ever restarts.

    Parameters
    ----------
    key : ndarray of int64, shape (n,)
        Session of each request, negative for none.
    worker : ndarray of int64, shape (n,)
    arrival, started : ndarray of float64, shape (n,)
        In seconds; the rows are in order of arrival.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    missed = np.zeros(len(key), np.bool_)
    rows = np.flatnonzero(key >= 0)
    if len(rows) == 0:
        return missed
    # The order in which requests begin: at one instant those that waited come first, by worker
    # (a completion comes before an arrival), then those that just arrived, by row.
    waited = started[rows] > arrival[rows]
    order = np.lexsort((np.where(waited, worker[rows], rows), ~waited, started[rows]))
    rows = rows[order]
    rows = rows[np.argsort(key[rows], kind="stable")]
    same = key[rows[1:]] == key[rows[:-1]]
    missed[rows[1:]] = same & (worker[rows[1:]] != worker[rows[:-1]])
    return missed


def unfinished_from(done: Record, n: int) -> Record:
    """Return the record of `n` requests of which only the first have come, those of `done`."""
    more = n - len(done.arrival)
    never = np.full(more, np.nan)
    return done._replace(
        arrival=np.concatenate([done.arrival, never]),
        finished=np.concatenate([done.finished, never]),
        outcome=np.concatenate([done.outcome, np.full(more, UNFINISHED, np.int8)]),
        answer=np.concatenate([done.answer, np.full(more, -1, np.int64)]),
    )

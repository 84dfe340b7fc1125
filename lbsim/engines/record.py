"""What an engine writes down: one row a request, one row a handover, one row a worker's event."""

from typing import NamedTuple

import numpy as np

__all__ = ["ENDINGS", "HAPPENINGS", "OUTCOMES", "Handovers", "Happenings", "Record"]

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

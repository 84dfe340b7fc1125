"""A run that was measured: the same columns as a simulated one, and where the time went."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim.engines import record
from lbsim.engines.record import Handovers, Happenings, Record, in_order_of_tickets
from lbsim.run import Run
from live.client import Lateness, Replay
from live.client.loop import ANSWERED
from live.machine import Disturbance

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PHASES", "MeasuredRun", "record_of", "record_of_client"]

PHASES = {
    "client": "from when the request was due until it was sent",
    "accept": "until the master had accepted its connection",
    "master": "until the master had read it; and again to pass it to a worker",
    "held": "the policy's decision, and waiting at the master for a worker where there is none",
    "queue": "waiting at that worker for others to be served",
    "ipc": "until the free worker took it off its channel, and called its handler",
    "service": "in the handler",
    "answer": "until the client had the last byte",
}
"""The phases of a request's latency, in order; they add up to it."""


@dataclass(frozen=True, eq=False, repr=False)
class MeasuredRun(Run):
    """What happened to every request when it was really sent.

    Attributes
    ----------
    replay : Replay
        What the clients saw, with how late they were themselves.
    stamps : ndarray or None
        What the master wrote down (`live.trace.TRACE`), one record a handover, times from time
        0 of the run; None of a server that is not ours.
    disturbance : Disturbance
        What else the machine did.
    theft : ndarray of float64, shape (n,)
        How likely it was that a processor was away when each request came (`Watch.theft`).
    machine : dict
        What machine it was.
    """

    replay: Replay
    stamps: np.ndarray | None
    disturbance: Disturbance
    theft: np.ndarray
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def lateness(self) -> Lateness:
        """How late the load generator was."""
        return self.replay.lateness

    @property
    def making(self) -> np.ndarray:
        """How long the load generator took to make a socket for each request, in seconds.

        An array of float64, of first copies; NaN for what was not sent, or came over a kept
        connection.
        """
        replay = self.replay
        return (replay.made - replay.sent)[:: len(replay.sent) // len(replay.due)]

    @property
    def is_valid(self) -> bool:
        """Whether the load generator kept up and nobody took the processors away."""
        return self.lateness.is_valid and self.disturbance.is_quiet

    def breakdown(self) -> "pd.DataFrame":
        """Return where the time of each answered request went.

        Returns
        -------
        DataFrame
            One row per request, one column per phase (`PHASES`), in seconds. A row's phases add
            up to its latency; NaN where there was no answer, or a stamp is missing.
        """
        import pandas as pd

        n = len(self)
        answer = np.where(self.outcome == record.OK, self.record.answer, -1)
        if self.stamps is None or len(self.stamps) == 0:
            return pd.DataFrame(np.full((n, len(PHASES)), np.nan), columns=list(PHASES))
        rows = self.stamps[answer]
        sent = self.replay.sent - self.replay.start
        tickets = np.where(answer >= 0, self.record.handovers.ticket[answer], 0)
        free = _free_since(self.stamps)[answer]
        # In the channel it waits for the worker to be free, then for the worker to look.
        queue = np.maximum(0.0, np.fmin(free, rows["started"]) - rows["handed"])
        columns = {
            "client": sent[tickets] - self.arrival,
            "accept": rows["accept"] - sent[tickets],
            "master": rows["read"] - rows["accept"] + rows["handed"] - rows["decided"],
            "held": rows["decided"] - rows["read"],
            "queue": queue,
            "ipc": rows["started"] - rows["handed"] - queue,
            "service": rows["finished"] - rows["started"],
            "answer": self.finished - rows["finished"],
        }
        frame = pd.DataFrame(columns)
        frame[answer < 0] = np.nan
        return frame

    def __repr__(self) -> str:
        text = super().__repr__() + f"; {self.lateness}"
        if not self.disturbance.is_quiet:
            text += f"; the machine was NOT QUIET: {self.disturbance}"
        return text


def _free_since(stamps: np.ndarray) -> np.ndarray:
    """Return when each handover's worker had last finished something before starting it."""
    free = np.full(len(stamps), -np.inf)
    for worker in np.unique(stamps["worker"]):
        mine = np.flatnonzero(stamps["worker"] == worker)
        ends = np.sort(stamps["finished"][mine])
        ends = ends[~np.isnan(ends)]
        before = np.searchsorted(ends, stamps["started"][mine], "right") - 1
        free[mine] = np.where(before >= 0, ends[before] if len(ends) else -np.inf, -np.inf)
    return free


def record_of(
    replay: Replay, stamps: np.ndarray, happenings: np.ndarray, copies: int
) -> tuple[Record, np.ndarray]:
    """Put together what clients and master saw.

    Parameters
    ----------
    replay : Replay
    stamps : ndarray of TRACE
        Times from time 0 of the run.
    happenings : ndarray of HAPPENED
        As well.
    copies : int
        Tickets per request.

    Returns
    -------
    record : Record
    stamps : ndarray of TRACE
        Those of handovers, in the order of the record's.
    """
    rows = stamps[(stamps["worker"] >= 0) & (stamps["id"] >= 0)]
    # By when it was decided: what was decided for a worker that was dead by the end of the
    # master's turn has not been handed over.
    rows = rows[np.lexsort((rows["decided"], rows["id"]))]
    # The master stamps when it is back from passing the socket: the worker may have it by then.
    rows["handed"] = np.fmin(rows["handed"], rows["accepted"])
    # A worker may be killed between its answer and its report. Then it has answered, by the
    # client's word: nobody else was asked before that.
    answered_at = replay.ended[rows["id"]] - replay.start
    has_answer = replay.end[rows["id"]] == ANSWERED
    unsaid = (rows["ending"] == record.CRASHED) & has_answer & (answered_at <= rows["ended"])
    rows["ending"][unsaid] = record.ANSWERED
    rows["ended"][unsaid] = rows["finished"][unsaid] = answered_at[unsaid]
    # Likewise a client may have its answer before the worker's handler is back.
    rows["finished"] = np.fmin(
        rows["finished"],
        np.where((rows["ending"] == record.ANSWERED) & has_answer, answered_at, np.nan),
    )
    # What a worker says counts: the master hears of an end a little later.
    ended = np.where(np.isnan(rows["finished"]), rows["ended"], rows["finished"])
    handovers = Handovers(
        ticket=rows["id"],
        worker=rows["worker"],
        dispatched=rows["handed"],
        started=rows["started"],
        ended=ended,
        ending=rows["ending"].astype(np.int8),
        miss=~np.isnan(rows["miss"]),
    )
    shown = happenings[happenings["time"] >= 0.0]
    events = Happenings(
        time=shown["time"],
        what=shown["what"].astype(np.int8),
        worker=shown["worker"],
        value=np.nan_to_num(shown["value"]),
    )
    return _record(replay, handovers, events, copies), rows


def record_of_client(replay: Replay, pids: tuple[int, ...], copies: int) -> Record:
    """Make a record of what the clients alone saw, of a server that is not ours.

    Parameters
    ----------
    replay : Replay
    pids : tuple of int
        Of its workers, in the order of their numbers.
    copies : int
    """
    tickets = np.flatnonzero(~np.isnan(replay.sent))
    number = {pid: i for i, pid in enumerate(pids)}
    answered = replay.end[tickets] == ANSWERED
    start = replay.start
    handovers = Handovers(
        ticket=tickets,
        worker=np.array([number.get(pid, -1) for pid in replay.worker[tickets].tolist()], np.int64),
        dispatched=replay.sent[tickets] - start,
        started=replay.started[tickets] - start,
        ended=np.fmin(replay.served[tickets], replay.ended[tickets]) - start,
        ending=np.where(answered, record.ANSWERED, record.OPEN).astype(np.int8),
        miss=np.zeros(len(tickets), np.bool_),
    )
    nothing = np.zeros(0)
    events = Happenings(nothing, nothing.astype(np.int8), nothing.astype(np.int64), nothing)
    return _record(replay, handovers, events, copies)


def _record(replay: Replay, handovers: Handovers, events: Happenings, copies: int) -> Record:
    answered_by = np.full(len(replay.outcome), -1, np.int64)
    good = np.flatnonzero(
        (handovers.ending == record.ANSWERED) & (replay.end[handovers.ticket] == ANSWERED)
    )
    answered_by[handovers.ticket[good] // copies] = good
    return in_order_of_tickets(
        replay.due - replay.start,
        replay.finished - replay.start,
        replay.outcome.astype(np.int8),
        answered_by,
        handovers,
        events,
        copies,
    )

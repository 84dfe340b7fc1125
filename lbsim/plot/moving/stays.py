"""Where every copy of a request was, and when: what the moving picture shows.

A stay is one row: a copy of a request from the moment it was with the master until it was
answered, lost with its worker, refused, or given up. A copy that was handed over again after a
crash has a further row, which begins when the one before ended.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lbsim.engines import record
from lbsim.engines.plan import Patience, make_plan
from lbsim.hashing import uniform
from lbsim.physics import patience

if TYPE_CHECKING:
    from lbsim.run import Run

__all__ = ["GAVE_UP", "LOST", "REFUSED", "UNKNOWN", "Stays", "stays"]

# Endings that a record of handovers does not need, after those of
# `lbsim.engines.record.ENDINGS`: of copies that no worker had (refused, given up, still held
# when the record ends), and of those that were not handed over again after a crash.
REFUSED, GAVE_UP, UNKNOWN, LOST = (len(record.ENDINGS) + i for i in range(4))


class Stays(NamedTuple):
    """One row per stay, in order of `since`; times in seconds, NaN for what did not happen.

    Attributes
    ----------
    request, copy : ndarray of int64
    worker : ndarray of int64
        -1 if it was never handed over.
    since, dispatched, started, ended : ndarray of float64
        With the master since; at the worker; in service; over.
    gone : ndarray of float64
        When its client stopped waiting for it although it was still under way.
    ending : ndarray of int64
        Index into `lbsim.engines.record.ENDINGS`, or one of the constants above.
    """

    request: np.ndarray
    copy: np.ndarray
    worker: np.ndarray
    since: np.ndarray
    dispatched: np.ndarray
    started: np.ndarray
    ended: np.ndarray
    gone: np.ndarray
    ending: np.ndarray


def stays(run: "Run") -> Stays:
    """Return all stays of a run."""
    rows = run.record.handovers
    sent, given_up = _sent(run)
    request, copy = rows.ticket // run.copies, rows.ticket % run.copies
    since = sent[request, copy]
    again = np.zeros(len(request), np.bool_)
    again[1:] = rows.ticket[1:] == rows.ticket[:-1]
    since[again] = rows.ended[:-1][again[1:]]
    # A try that failed before its timeout was repeated earlier than `_sent` supposes.
    since = np.fmin(since, np.fmin(rows.dispatched, rows.ended))
    gone = np.minimum(given_up[request, copy], run.finished[request])
    gone[rows.ending == record.ANSWERED] = np.nan
    gone[~(gone < np.where(np.isnan(rows.ended), np.inf, rows.ended))] = np.nan

    ending = rows.ending.astype(np.int64)
    finished = np.where(np.isnan(run.finished), np.inf, run.finished)
    crashed = np.flatnonzero((rows.ending == record.CRASHED) & ~np.append(again[1:], False))
    tries = np.bincount(rows.ticket, minlength=sent.size)[rows.ticket[crashed]]
    may_again = tries < run.cluster.max_attempts
    ending[crashed[~may_again]] = LOST
    until = np.fmin(given_up[request, copy], finished[request])
    back = crashed[may_again & (until[crashed] > rows.ended[crashed])]

    never_had = np.ones(sent.shape, np.bool_)
    never_had[request, copy] = False
    # A copy that was still to be sent when the request was over never was.
    is_sent = sent < finished[:, None]
    is_sent[:, 0] = ~np.isnan(run.arrival)
    new_request, new_copy = np.nonzero(is_sent & never_had)
    return _joined(
        Stays(
            request,
            copy,
            rows.worker,
            since,
            rows.dispatched,
            rows.started,
            rows.ended,
            gone,
            ending,
        ),
        _held(
            run,
            np.concatenate([request[back], new_request]),
            np.concatenate([copy[back], new_copy]),
            np.concatenate([rows.ended[back], sent[new_request, new_copy]]),
            given_up,
        ),
    )


def _held(
    run: "Run", request: np.ndarray, copy: np.ndarray, since: np.ndarray, given_up: np.ndarray
) -> Stays:
    """Return stays of copies that the master had and no worker got (any more)."""
    over = np.fmin(given_up[request, copy], run.finished[request])
    ending = np.select(
        [np.isnan(over), run.outcome[request] == record.SHED], [UNKNOWN, REFUSED], GAVE_UP
    )
    never = np.full(len(since), np.nan)
    nobody = np.full(len(since), -1)
    return Stays(request, copy, nobody, np.fmin(since, over), never, never, over, never, ending)


def _joined(first: Stays, second: Stays) -> Stays:
    both = Stays(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))
    order = np.argsort(both.since, kind="stable")
    return Stays(*(column[order] for column in both))


def _sent(run: "Run") -> tuple[np.ndarray, np.ndarray]:
    """Return when each copy was sent, and when its try timed out; both of shape (n, copies).

    A record does not hold these. They follow from the client's rules, if every try before
    failed by its timeout: a try that failed earlier was repeated earlier.
    """
    sent = np.full((len(run), run.copies), np.nan)
    sent[:, 0] = run.arrival
    if run.copies == 1 and run.client.timeout is None:
        return sent, np.full_like(sent, np.nan)
    rule = make_plan(run.workload, run.cluster, run.client, run.seed).patience
    per_try = run.copies // rule.tries
    for number in range(rule.tries):
        first = number * per_try
        if number > 0:
            sent[:, first] = (
                sent[:, first - per_try] + rule.timeout + _waits(rule, number, run, first)
            )
        if per_try == 2:
            sent[:, first + 1] = sent[:, first] + rule.hedge_after
    return sent, np.repeat(sent[:, ::per_try] + rule.timeout, per_try, axis=1)


def _waits(rule: Patience, number: int, run: "Run", copy: int) -> np.ndarray:
    """Return how long each client waits before try `number`, in seconds."""

    def wait(u: float) -> float:
        return patience(rule.backoff, rule.backoff_factor, rule.jitter, number, u)

    if rule.jitter == 0.0:
        return np.full(len(run), wait(0.5))
    tickets = range(copy, len(run) * run.copies, run.copies)
    return np.array([wait(uniform(rule.jitter_seed, ticket)) for ticket in tickets])

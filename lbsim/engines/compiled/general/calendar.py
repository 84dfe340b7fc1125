"""What happens next: a heap of events, and lists of alarms that all have the same delay.

Events are in order of time, then of a key that settles the order at one instant as the readable
engine does: kind, worker, ticket. An event that is called off stays in the heap; whoever
expected it does not expect it any more (`State.moment`, column DUE), and it is passed over. Two
events with the same time and key are the same event: the first one counts.
"""

import math

from lbsim.engines.compiled.general.layout import HOLE, SIZE, State, Timers
from lbsim.queues import NONE

__all__ = [
    "alarm_off",
    "first_alarm",
    "key_of",
    "kind_of",
    "next_time",
    "push",
    "set_alarm",
    "take_next",
    "ticket_of",
    "worker_of",
]

_KIND = 60  # first bit of the kind in a key
_WORKER = 40  # of the worker; so 2**20 workers and 2**40 tickets fit
_WORKERS = (1 << (_KIND - _WORKER)) - 1
_TICKETS = (1 << _WORKER) - 1


def key_of(kind: int, worker: int, ticket: int) -> int:
    """Return the order of an event at its instant, as one number."""
    return (kind << _KIND) | (worker << _WORKER) | ticket


def kind_of(key: int) -> int:
    """Return the kind of an event (`lbsim.engines.plan`)."""
    return key >> _KIND


def worker_of(key: int) -> int:
    """Return the worker of an event."""
    return (key >> _WORKER) & _WORKERS


def ticket_of(key: int) -> int:
    """Return the ticket of an event."""
    return key & _TICKETS


# --- the heap --------------------------------------------------------------------------------


def push(s: State, time: float, kind: int, worker: int, ticket: int) -> None:
    """Schedule an event. There is room: `advance` has seen to it."""
    key = key_of(kind, worker, ticket)
    if s.count[HOLE]:
        # The event that is happening has left its place at the top: no need to fill it first.
        s.count[HOLE] = 0
        _sift_down(s, time, key)
        return
    times = s.heap_time
    keys = s.heap_key
    place = s.count[SIZE]
    s.count[SIZE] = place + 1
    while place > 0:
        above = (place - 1) >> 1
        if times[above] < time or (times[above] == time and keys[above] <= key):
            break
        times[place] = times[above]
        keys[place] = keys[above]
        place = above
    times[place] = time
    keys[place] = key


def next_time(s: State) -> float:
    """Return the time of the first event in the heap, infinity if there is none."""
    if s.count[HOLE]:
        s.count[HOLE] = 0
        last = s.count[SIZE] - 1
        s.count[SIZE] = last
        if last > 0:
            _sift_down(s, s.heap_time[last], s.heap_key[last])
    if s.count[SIZE] == 0:
        return math.inf
    return s.heap_time[0]


def take_next(s: State) -> int:
    """Take the first event, whose time `next_time` has returned. Return its key."""
    s.count[HOLE] = 1
    return s.heap_key[0]


def _sift_down(s: State, time: float, key: int) -> None:
    """Put an event in the place of the first one."""
    times = s.heap_time
    keys = s.heap_key
    size = s.count[SIZE]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            times[other] < times[child]
            or (times[other] == times[child] and keys[other] < keys[child])
        ):
            child = other
        if times[child] > time or (times[child] == time and keys[child] >= key):
            break
        times[place] = times[child]
        keys[place] = keys[child]
        place = child
    times[place] = time
    keys[place] = key


# --- alarms ----------------------------------------------------------------------------------


def set_alarm(timers: Timers, row: int, time: float) -> None:
    """Set the alarm of a request. Its place is at the end, but for ties."""
    end = len(timers.next) - 1
    before = timers.previous[end]
    while before != end and (
        timers.time[before] > time or (timers.time[before] == time and before > row)
    ):
        before = timers.previous[before]
    after = timers.next[before]
    timers.time[row] = time
    timers.next[before] = row
    timers.previous[row] = before
    timers.next[row] = after
    timers.previous[after] = row


def alarm_off(timers: Timers, row: int) -> None:
    """Call the alarm of a request off, if it is set."""
    after = timers.next[row]
    if after != NONE:
        before = timers.previous[row]
        timers.next[before] = after
        timers.previous[after] = before
        timers.next[row] = NONE


def first_alarm(timers: Timers) -> int:
    """Return the request whose alarm is the first, or NONE."""
    end = len(timers.next) - 1
    row = timers.next[end]
    return row if row != end else NONE

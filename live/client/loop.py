"""The loop that sends at planned times and hears the answers.

One thread, epoll and sockets that do not block. Between two moments it sleeps in ``select`` on
the epoll descriptor: that call takes microseconds where ``epoll_wait`` takes milliseconds, and
with the timer slack off it is late by the kernel's wake-up alone.
"""

import contextlib
import ctypes
import errno
import heapq
import math
import select
import socket
import time
from collections.abc import Callable

import numpy as np

from lbsim.engines import record
from lbsim.hashing import uniform
from lbsim.physics import patience
from live.client.answers import Answer
from live.client.task import Task

__all__ = ["ANSWERED", "ENDS", "Loop"]

ENDS = ("answered", "status", "timeout", "reset", "refused", "taken back", "open")
"""What became of one copy. Status: an answer other than 2xx. Reset: the connection ended before
the answer was complete. Refused: there was no connection. Taken back: a twin was faster."""
ANSWERED, STATUS, TIMEOUT, RESET, REFUSED, TAKEN_BACK, OPEN = range(len(ENDS))

_GIVE_UP, _TRY, _HEDGE = range(3)  # what can be due, in the order at one instant
_PR_SET_TIMERSLACK = 29
_IP_BIND_ADDRESS_NO_PORT = 24
_LONGEST_SLEEP_S = 0.1


class _Connection:
    """A connection and the copy that it is for, if any."""

    __slots__ = ("answer", "out", "reused", "sock", "ticket")

    def __init__(self, sock: socket.socket, ticket: int) -> None:
        self.sock = sock
        self.ticket = ticket
        self.answer = Answer()
        self.out = b""
        self.reused = False


class Loop:
    """Sends some rows of a task and notes what becomes of them.

    Parameters
    ----------
    task : Task
    rows : ndarray of int64
        In order of time.
    start : float
        CLOCK_MONOTONIC of the task's time 0, in seconds.
    """

    def __init__(self, task: Task, rows: np.ndarray, start: float) -> None:
        self.task = task
        self.rows = rows.tolist()
        self.start = start
        self.client = task.client
        self.per_try = 1 if task.client.hedge_after is None else 2
        self.timeout = math.inf if task.client.timeout is None else task.client.timeout
        n, tickets = task.n, task.n * task.copies
        nan = math.nan
        # Lists: single elements of arrays are slow.
        self.due = [nan] * n
        self.finished = [nan] * n
        self.outcome = [record.UNFINISHED] * n
        self.sent = [nan] * tickets
        self.made = [nan] * tickets
        self.ended = [nan] * tickets
        self.end = [OPEN] * tickets
        self.status = [0] * tickets
        self.worker = [0] * tickets
        self.accepted = [nan] * tickets
        self.looked = [nan] * tickets
        self.started = [nan] * tickets
        self.served = [nan] * tickets
        self.tries: dict[int, int] = {}  # the present try of each open row
        self.live: dict[int, _Connection] = {}  # by ticket
        self.by_descriptor: dict[int, _Connection] = {}
        self.idle: list[_Connection] = []
        self.agenda: list[tuple[float, int, int]] = []  # (time, what, ticket)
        self.position = 0
        self.left = len(self.rows)
        self.last_event = start
        self.is_stopped = False
        self.poller = select.epoll()

    # --- the loop ----------------------------------------------------------------------------

    def run(self, report: Callable[[int], None] = lambda _: None) -> None:
        """Send everything and wait for every outcome; `report` hears how many are done."""
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
        if self.task.clients:
            for row in self.rows:
                if row < self.task.clients:
                    self._plan(self.start + float(self.task.think[row]), _TRY, self._ticket(row, 0))
            self.position = len(self.rows)
        arrival = (self.task.arrival[self.rows] + self.start).tolist()
        reported = time.monotonic()
        while self.left and not self.is_stopped:
            now = time.monotonic()
            self._do_what_is_due(now, arrival)
            if now - reported > 0.2:
                report(len(self.rows) - self.left)
                reported = now
            following = min(
                arrival[self.position] if self.position < len(arrival) else math.inf,
                self.agenda[0][0] if self.agenda else math.inf,
            )
            if following == math.inf and now - self.last_event > self.task.grace_s:
                break  # the server has lost what is still open
            sleep = min(following - time.monotonic(), _LONGEST_SLEEP_S)
            if sleep > 0:
                select.select([self.poller], [], [], sleep)
            for descriptor, events in self.poller.poll(0):
                connection = self.by_descriptor.get(descriptor)
                if connection is not None:  # else closed by an earlier event of this turn
                    self._hear(connection, events)
        for connection in list(self.by_descriptor.values()):
            self._drop(connection)
        self.poller.close()

    def _do_what_is_due(self, now: float, arrival: list[float]) -> None:
        while self.position < len(arrival) and arrival[self.position] <= now:
            row, due = self.rows[self.position], arrival[self.position]
            self.position += 1
            self._first(row, due)
        while self.agenda and self.agenda[0][0] <= now:
            due, what, ticket = heapq.heappop(self.agenda)
            row, copy = divmod(ticket, self.task.copies)
            number = copy // self.per_try
            if what == _TRY:
                if number == 0:
                    self._first(row, due)
                elif self.tries.get(row) == number:
                    self._try(row, number, due)
            elif self.tries.get(row) == number:
                if what == _GIVE_UP:
                    self._time_out(row)
                else:
                    self._send(ticket)

    def _plan(self, due: float, what: int, ticket: int) -> None:
        heapq.heappush(self.agenda, (due, what, ticket))

    def _ticket(self, row: int, number: int) -> int:
        return row * self.task.copies + number * self.per_try

    # --- the client's rules, as in lbsim/engines/readable/clients.py --------------------------

    def _first(self, row: int, due: float) -> None:
        self.due[row] = due
        self._try(row, 0, due)

    def _try(self, row: int, number: int, due: float) -> None:
        self.tries[row] = number
        ticket = self._ticket(row, number)
        # Patience counts from when the copy was due, so that being late here buys no time.
        if self.timeout < math.inf:
            self._plan(due + self.timeout, _GIVE_UP, ticket)
        if self.client.hedge_after is not None:
            self._plan(due + self.client.hedge_after, _HEDGE, ticket + 1)
        self._send(ticket)

    def _time_out(self, row: int) -> None:
        self._give_up_copies(row, TIMEOUT)
        self._try_again(row, record.TIMEOUT)

    def _give_up_copies(self, row: int, why: int) -> None:
        first = self._ticket(row, self.tries[row])
        for ticket in range(first, first + self.per_try):
            connection = self.live.get(ticket)
            if connection is not None:
                self._note(ticket, why, time.monotonic())
                self._drop(connection)

    def _succeed(self, ticket: int, now: float) -> None:
        row = ticket // self.task.copies
        self._note(ticket, ANSWERED, now)
        self._give_up_copies(row, TAKEN_BACK)
        self._close(row, record.OK, now)

    def _fail(self, ticket: int, why: int, outcome: int) -> None:
        """A copy is lost; the row's next try follows unless a twin is still under way."""
        row = ticket // self.task.copies
        self._note(ticket, why, time.monotonic())
        first = self._ticket(row, self.tries[row])
        if not any(t in self.live for t in range(first, first + self.per_try)):
            self._try_again(row, outcome)

    def _try_again(self, row: int, outcome: int) -> None:
        now = time.monotonic()
        number = self.tries[row] + 1
        if number > self.client.retries:
            self._close(row, outcome, now)
            return
        self.tries[row] = number
        ticket = self._ticket(row, number)
        wait = patience(
            self.client.backoff,
            self.client.backoff_factor,
            self.client.jitter,
            number,
            uniform(self.task.jitter_seed, ticket),
        )
        self._plan(now + wait, _TRY, ticket)

    def _note(self, ticket: int, end: int, now: float) -> None:
        self.last_event = now
        self.ended[ticket] = now
        self.end[ticket] = end

    def _close(self, row: int, outcome: int, now: float) -> None:
        del self.tries[row]
        self.finished[row] = now
        self.outcome[row] = outcome
        self.left -= 1
        following = row + self.task.clients
        if self.task.clients and following < self.task.n:
            self._plan(now + float(self.task.think[following]), _TRY, self._ticket(following, 0))

    # --- sockets -----------------------------------------------------------------------------

    def _send(self, ticket: int) -> None:
        self.sent[ticket] = self.last_event = time.monotonic()
        connection = self._idle_connection(ticket) or self._new_connection(ticket)
        if connection is None:
            self._fail(ticket, REFUSED, record.LOST)
            return
        self.live[ticket] = connection
        connection.out = self.task.request(ticket)
        self._push(connection)

    def _idle_connection(self, ticket: int) -> _Connection | None:
        if not self.idle:
            return None
        connection = self.idle.pop()
        connection.ticket = ticket
        connection.answer = Answer()
        connection.reused = True
        return connection

    def _new_connection(self, ticket: int) -> _Connection | None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.made[ticket] = time.monotonic()
        source = int(self.task.source[ticket // self.task.copies])
        try:
            if source:
                # The port is chosen when connecting: one may serve several addresses.
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((socket.inet_ntoa((0x7F000001 + source).to_bytes(4, "big")), 0))
            problem = sock.connect_ex(self.task.address)
        except OSError as error:
            problem = error.errno or errno.EIO
        if problem not in (0, errno.EINPROGRESS):
            sock.close()
            return None
        connection = _Connection(sock, ticket)
        self.by_descriptor[sock.fileno()] = connection
        self.poller.register(sock, select.EPOLLIN)
        return connection

    def _push(self, connection: _Connection) -> None:
        """Send as much as the kernel takes; on loopback a connection is there at once."""
        try:
            sent = connection.sock.send(connection.out)
            connection.out = connection.out[sent:]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                pass  # still connecting
            else:
                self._lose(connection)
                return
        wanted = select.EPOLLIN | (select.EPOLLOUT if connection.out else 0)
        self.poller.modify(connection.sock, wanted)

    def _hear(self, connection: _Connection, events: int) -> None:
        if connection.out and events & select.EPOLLOUT:
            self._push(connection)
            if connection.sock.fileno() < 0:
                return
        if not events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            return
        try:
            data = connection.sock.recv(262_144)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lose(connection)
            return
        answer = connection.answer
        if connection.ticket < 0:  # idle: the server has closed it
            self.idle.remove(connection)
            self._drop(connection)
            return
        if data:
            answer.feed(data)
        else:
            answer.end()
        if answer.is_complete:
            self._complete(connection)
        elif not data:
            self._lose(connection)

    def _complete(self, connection: _Connection) -> None:
        now = time.monotonic()
        answer, ticket = connection.answer, connection.ticket
        self.status[ticket] = answer.status
        self.worker[ticket] = answer.worker
        self.accepted[ticket] = answer.accepted
        self.looked[ticket] = answer.looked
        self.started[ticket] = answer.started
        self.served[ticket] = answer.served
        del self.live[ticket]
        if self.task.keep_alive and answer.keeps and not connection.out:
            connection.ticket = -1
            self.idle.append(connection)
        else:
            self._drop(connection)
        if 200 <= answer.status < 300:
            self._succeed(ticket, now)
        else:
            self._fail(ticket, STATUS, record.SHED if answer.status == 503 else record.LOST)

    def _lose(self, connection: _Connection) -> None:
        """The connection ended before its answer was complete."""
        ticket, was_reused = connection.ticket, connection.reused
        began = bool(connection.answer.status)
        if connection.ticket < 0:
            self.idle.remove(connection)
        self._drop(connection)
        if ticket < 0:
            return
        if was_reused and not began:
            # It was closed while idle, and the request crossed the news (RFC 9112, 9.3.1).
            self._send(ticket)
        else:
            self._fail(ticket, RESET, record.LOST)

    def _drop(self, connection: _Connection) -> None:
        self.live.pop(connection.ticket, None)
        if connection.sock.fileno() >= 0:
            del self.by_descriptor[connection.sock.fileno()]
            with contextlib.suppress(OSError):
                self.poller.unregister(connection.sock)
            connection.sock.close()

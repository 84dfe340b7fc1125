"""The master: accepts, asks `lbsim.dispatch` for a worker, passes the socket.

One process, one epoll loop. It decides nothing itself: which worker, whether to hold, whether
to try again are answers of the dispatcher's transitions. Its own part is the sockets.

A connection goes through: reading its head; dispatched or held (a *ticket* of the core);
answered, which frees the ticket; kept by its worker or closed. Its socket stays open here until
its worker says that it is over, so that a worker's death costs the client only time.
"""

import json
import math
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lbsim import dispatch
from lbsim.checked import fresh
from lbsim.dispatch import BAD_CHOICE, LOST, NONE, Core
from lbsim.engines import record
from lbsim.engines.complaints import bad_choice
from lbsim.errors import InputError
from lbsim.policy import HOLD, SHED, UNLIMITED, Policy
from live import channel, head
from live.connection import Connection
from live.front import Front, listen
from live.supervisor import Supervisor
from live.trace import Writer

__all__ = ["Master"]

CAPACITY = 32_768  # requests at the master and its workers; more wait in the listen backlog
TICK_S = 0.05
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU)
REFUSED_S = 0.02  # a worker without descriptors is left alone for so long


class Master:
    """A pre-fork server whose workers are chosen by an `lbsim` policy.

    Parameters
    ----------
    load : str or callable
        ``module:app``, imported in each worker, or a function that returns an ASGI app.
    policy : Policy
        Not changed. Must not be an oracle.
    workers : int
    host, port : str, int
        Port 0 takes a free one; `address` tells.
    most_workers : int or None
        Up to so many workers can be added while it runs; None: `workers`.
    slots : int, sequence of int or None
        Requests that may sit at a worker, at each of `most_workers` if several are given; None:
        no limit but the policy's.
    weights : sequence of float or None
        What the policy is to believe about each worker's capacity; None: all equal.
    key : str
        Where a request's session key comes from: ``none``, ``ip``, ``cookie:NAME``,
        ``header:NAME``, ``query:NAME`` or ``number:NAME``.
    max_attempts : int
        Handovers of one request before it is answered 502.
    queue_limit : int or None
        Requests that may be held; one more is answered 503. None: no limit.
    retry_all : bool
        Also replay methods that are not idempotent.
    backlog : int
        Connections that the kernel keeps while the master does not accept.
    memory_limit : float or None
        A worker with more bytes of resident memory is replaced; None: no limit.
    hang_s : float or None
        A worker silent for so long is killed and replaced; None: never.
    head_s : float
        A client has so long to send its request's head.
    drain_s : float
        After so long a stop no longer waits for requests.
    trace : str or None
        A file for one record a handover (`live.trace`).
    seed : int
        Of the policy's generator.
    """

    def __init__(
        self,
        load: str | Callable[[], Any],
        policy: Policy,
        workers: int,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        most_workers: int | None = None,
        slots: int | Sequence[int] | None = None,
        weights: Sequence[float] | None = None,
        key: str = "none",
        max_attempts: int = 3,
        queue_limit: int | None = None,
        retry_all: bool = False,
        backlog: int = 2048,
        memory_limit: float | None = None,
        hang_s: float | None = None,
        head_s: float = 30.0,
        drain_s: float = 30.0,
        trace: str | None = None,
        seed: int = 0,
    ) -> None:
        most = workers if most_workers is None else most_workers
        _check(policy, workers, most, max_attempts)
        self.key_of = head.key_source(key)
        self.retry_all = retry_all
        self.drain_s = drain_s
        self.policy = fresh(policy, most)
        integers = [np.zeros(CAPACITY, np.int64) for _ in range(3)]
        estimates = [np.full(CAPACITY, np.nan) for _ in range(2)]
        self.core = _quick(
            dispatch.make_core(
                self.policy,
                dispatch.Requests(*integers, *estimates),
                np.full(most, UNLIMITED if slots is None else slots, np.int64),
                np.full(most, 1.0 if weights is None else weights, np.float64),
                np.random.default_rng(seed),
                max_attempts=max_attempts,
                queue_limit=-1 if queue_limit is None else queue_limit,
            )
        )
        self.free = list(range(CAPACITY - 1, -1, -1))
        self.by_ticket: dict[int, Connection] = {}
        self.by_serial: dict[int, Connection] = {}
        self.refusals: list[tuple[float, int, int]] = []
        self.counts: Counter[str] = Counter()
        self.signals: list[int] = []
        self.stop_by = math.inf
        self.next_tick = 0.0
        self.hooks: dict[int, Callable[[int, channel.Message], None]] = {}
        listener = listen(host, port, backlog)
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self.family = int(listener.family)
        self.poller = select.epoll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self.front = Front(
            listener, self.poller, self.handlers, self._arrive, self.counts,
            head_s=head_s, most=CAPACITY,
        )  # fmt: skip
        self.crew = Supervisor(
            self, workers, most, load, self.poller, self.handlers,
            needs_ack=self.core.settings.needs_ack, hang_s=hang_s, drain_s=drain_s,
            memory_limit=memory_limit,
        )  # fmt: skip
        self.trace = Writer(trace) if trace is not None else None

    # --- the loop --------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the process's exit status."""
        for number in SIGNALS:
            signal.signal(number, lambda number, _: self.signals.append(number))
        status = 0
        self.log("listening", host=self.address[0], port=self.address[1], pid=os.getpid())
        self.front.resume()
        try:
            while not self._is_done():
                self._turn()
                if self.crew.is_hopeless:
                    sys.stderr.write(
                        "the workers cannot start, so the master stops; "
                        f"the last one said:\n{self.crew.error}"
                    )
                    status = 3
                    break
        finally:
            self._end()
        return status

    def _turn(self) -> None:
        now = time.monotonic()
        if now >= self.next_tick or self.signals:
            self.next_tick = now + TICK_S
            self._tick(now)
        for descriptor, events in self.poller.poll(TICK_S):
            handler = self.handlers.get(descriptor)
            if handler is not None:  # else closed by an earlier event of this turn
                handler(events)

    def _tick(self, now: float) -> None:
        """Do what need not be done at once."""
        while self.signals:
            number = self.signals.pop(0)
            if number == signal.SIGHUP:
                self.log("reload")
                self.crew.reload()
            elif number in (signal.SIGTTIN, signal.SIGTTOU):  # as in gunicorn
                self.crew.scale(1 if number == signal.SIGTTIN else -1)
            elif self.stop_by == math.inf:
                self.log("drain")
                self.stop_by = now + self.drain_s
                self.front.stop()
            else:  # asked twice
                self.stop_by = now
        if self.stop_by < math.inf and not self.crew.is_stopping and self._is_quiet():
            self.crew.stop()
        self.crew.manage_workers(now)
        self.front.expire(now)
        while self.refusals and self.refusals[0][0] <= now:
            self._hand_back(*self.refusals.pop(0)[1:])
        if self.trace is not None:
            self.trace.flush()

    def _is_quiet(self) -> bool:
        return not self.by_ticket and not self.front.reading

    def _is_done(self) -> bool:
        if self.stop_by == math.inf:
            return False
        gone = self.crew.is_stopping and self.crew.is_empty and not self.front.lingering
        return gone or time.monotonic() > self.stop_by

    def _end(self) -> None:
        self.counts["unfinished"] += len(self.by_ticket)
        self.crew.is_stopping = True
        self.crew.murder_workers()
        self.front.close_all()
        for connection in [*self.by_serial.values()]:
            connection.sock.close()
        self.poller.close()
        if self.trace is not None:
            self.trace.close()
        self.log("stopped", restarts=self.crew.restarts, **self.counts)

    # --- requests --------------------------------------------------------------------------

    def _arrive(self, connection: Connection) -> None:
        """A request is here: ask the dispatcher."""
        request = connection.head
        assert request is not None
        ticket = connection.ticket = self.free.pop()
        self.by_ticket[ticket] = connection
        self.by_serial[connection.serial] = connection
        connection.identity = request.integer(b"id")
        rows = self.core.requests
        rows.key[ticket] = self.key_of(request, connection.address)
        rows.kind[ticket] = int(request.number(b"kind", 0.0))
        rows.priority[ticket] = int(request.number(b"priority", 0.0))
        rows.size[ticket] = request.number(b"size", math.nan)
        self.core.attempts[ticket] = 0  # the ticket had another request before
        now = connection.read = time.monotonic()
        self._act(ticket, dispatch.arrive(self.core, self.policy, now, ticket), now)

    def _act(self, ticket: int, answer: int, now: float) -> None:
        """Do what the dispatcher says about a request."""
        if answer >= 0:
            self._hand(ticket, int(answer), now)
        elif answer == SHED:
            self.counts["shed"] += 1
            self._refuse(ticket, 503)
        elif answer == LOST:
            self._lose(ticket, "attempts")
            self._refuse(ticket, 502)
        elif answer == BAD_CHOICE:
            raise bad_choice(self.policy, self.core, now, ticket)
        else:
            assert answer == HOLD

    def _hand(self, ticket: int, worker: int, decided: float) -> None:
        connection = self.by_ticket[ticket]
        connection.worker = worker
        connection.decided = decided
        message = channel.pack(
            channel.CONNECT,
            connection.serial,
            decided,
            flags=self.family,
            payload=connection.data,
        )
        self.crew.send(worker, message, connection.sock)
        connection.handed = time.monotonic()

    def _follow(self, worker: int, ticket: int) -> None:
        """Hand over what a transition gave to a worker, and what else it may take."""
        while ticket != NONE:
            ticket = int(ticket)
            now = time.monotonic()
            if self.by_ticket[ticket].is_reset():  # its client has gone while it was held
                self.counts["client_left"] += 1
                dispatch.cancel(self.core, now, ticket)
                self.front.close(self._forget(ticket))
            else:
                self._hand(ticket, worker, now)
            ticket = dispatch.pull(self.core, self.policy, now, worker)

    def _forget(self, ticket: int) -> Connection:
        """A request is over: free its ticket; its connection is for the caller."""
        connection = self.by_ticket.pop(ticket)
        self.free.append(ticket)
        connection.ticket = NONE
        self.by_serial.pop(connection.serial, None)
        return connection

    def _refuse(self, ticket: int, status: int) -> None:
        """Answer a request instead of a worker."""
        connection = self.by_ticket[ticket]
        self._write_down(connection, -1, record.OPEN, status=status)
        self.front.refuse(self._forget(ticket), status)

    # --- workers (supervisor.Owner) --------------------------------------------------------

    def worker_is_up(self, index: int) -> None:
        """A worker is ready: it takes what is held."""
        self.log("up", worker=index)
        now = time.monotonic()
        self._happened(now, record.CAME_UP, index)
        self._follow(index, dispatch.worker_up(self.core, self.policy, now, index))

    def worker_is_leaving(self, index: int) -> None:
        """A worker gets nothing more; what waited for it goes elsewhere."""
        now = time.monotonic()
        self._happened(now, record.LEAVING, index)
        for ticket in dispatch.worker_leaving(self.core, self.policy, now, index).tolist():
            self._act(ticket, dispatch.retry_due(self.core, self.policy, now, ticket), now)

    def worker_is_down(self, index: int, was_asked: bool) -> None:
        """A worker is gone: its requests go to others, or are told that they cannot."""
        now = time.monotonic()
        if was_asked:
            self._happened(now, record.STOPPED, index)
        else:
            self._happened(now, record.CRASHED_AT, index)
            self._happened(now, record.NOTICED, index)
        self.refusals = [r for r in self.refusals if r[1] != index]
        had = self.core.in_flight[index]
        tickets = dispatch.worker_down(self.core, self.policy, now, index).tolist()
        had -= sum(self.by_ticket[ticket].worker == index for ticket in tickets)
        if had > 0:
            # Their bytes went with the worker; a client sees its connection close cleanly and,
            # by RFC 9110, section 9.2.2, may send an idempotent request again.
            self.counts["lost_on_kept_connection"] += had
            self.log("lost", reason="on_kept_connection", worker=index, requests=had)
        for ticket in tickets:
            connection = self.by_ticket[ticket]
            if connection.worker == index:
                self._write_down(connection, index, record.CRASHED, ended=now)
                connection.worker = -1
                if not self._may_replay(ticket):
                    continue
                self.counts["redispatched"] += 1
            self._act(ticket, dispatch.retry_due(self.core, self.policy, now, ticket), now)
        for connection in [c for c in self.by_serial.values() if c.worker == index]:
            if connection.ticket == NONE:  # kept by it, after its first answer
                self.counts["kept_closed"] += 1
                del self.by_serial[connection.serial]
                self.front.end(connection)

    def _lose(self, ticket: int, reason: str) -> None:
        """Count a request that nobody will serve, and say why."""
        connection = self.by_ticket[ticket]
        self.counts[f"lost_{reason}"] += 1
        self.log(
            "lost",
            reason=reason,
            id=connection.identity,
            method="" if connection.head is None else connection.head.method.decode("latin-1"),
            attempts=self.core.attempts[ticket],
        )

    def _may_replay(self, ticket: int) -> bool:
        """Whether a dead worker's request can be sent again; if not, end it and count why."""
        connection = self.by_ticket[ticket]
        assert connection.head is not None
        if connection.has_answer():
            if connection.in_pieces:
                # A second answer after half of a first would be worse than a clean end.
                self._lose(ticket, "answer_begun")
            else:
                self.counts["answered"] += 1  # in one write, just before it died
            self.front.end(self._forget(ticket))
            return False
        if not (connection.head.idempotent or self.retry_all):
            self._lose(ticket, "not_idempotent")
        elif not connection.is_whole():
            self._lose(ticket, "body_consumed")
        else:
            return True
        self._refuse(ticket, 502)
        return False

    def worker_says(self, index: int, message: channel.Message) -> None:
        """A worker acknowledges, has answered, or has closed."""
        kind = message.kind
        if kind == channel.FINISHED:
            self._finished(index, message)
        elif kind == channel.ACCEPTED:
            now = time.monotonic()
            self._follow(index, dispatch.accepted(self.core, self.policy, now, index))
        elif kind == channel.LATER:
            self._kept(index, message)
        elif kind == channel.CLOSED:
            connection = self.by_serial.get(message.serial)
            if connection is not None and connection.ticket != NONE:
                self._finished(index, message)
            elif connection is not None:
                del self.by_serial[message.serial]
                self.front.close(connection)
        elif kind == channel.PIECES:
            self.by_serial[message.serial].in_pieces = True
        elif kind == channel.REFUSED:
            self.counts["refused_by_worker"] += 1
            due = time.monotonic() + REFUSED_S
            self.refusals.append((due, index, self.by_serial[message.serial].ticket))
        elif kind in self.hooks:
            self.hooks[kind](index, message)

    def _finished(self, index: int, message: channel.Message) -> None:
        """The first request of a connection is over, and maybe the connection."""
        now = time.monotonic()
        connection = self.by_serial[message.serial]
        is_closed = message.kind == channel.CLOSED
        is_answered = not is_closed or bool(message.flags & channel.LAST)
        self.counts["answered" if is_answered else "closed_unanswered"] += 1
        self._write_down(
            connection, index, record.ANSWERED if is_answered else record.WASTED, message, now
        )
        # The core must be done with the ticket before it can be given to another request.
        ticket = connection.ticket
        pulled = dispatch.complete(self.core, self.policy, now, index, ticket)
        self._forget(ticket)
        if is_closed or message.flags & channel.LAST:
            self.front.close(connection)
        else:
            connection.data = b""
            self.by_serial[connection.serial] = connection
        if pulled != NONE:
            self._follow(index, pulled)

    def _kept(self, index: int, message: channel.Message) -> None:
        """Further requests of kept connections began or ended."""
        began, ended = int(message.first), int(message.second)
        self.counts["later"] += ended
        response = float(np.frombuffer(message.payload, np.float32).mean()) if ended else 0.0
        self._follow(
            index,
            dispatch.kept(self.core, self.policy, time.monotonic(), index, began, ended, response),
        )

    def _hand_back(self, index: int, ticket: int) -> None:
        """A worker could not take a request: dispatch it again."""
        now = time.monotonic()
        self._act(ticket, dispatch.refused(self.core, self.policy, now, index, ticket), now)
        self._follow(index, dispatch.accepted(self.core, self.policy, now, index))

    # --- writing down ----------------------------------------------------------------------

    def _write_down(
        self,
        connection: Connection,
        worker: int,
        ending: int,
        message: channel.Message | None = None,
        ended: float = math.nan,
        status: int = 0,
    ) -> None:
        if self.trace is None:
            return
        ticket, rows = connection.ticket, self.core.requests
        stamps = (math.nan,) * 4 if message is None else message[3:7]
        self.trace.handover(
            connection.identity, connection.serial, worker, self.core.attempts[ticket],
            int(rows.key[ticket]), int(rows.kind[ticket]), status, ending,
            connection.accepted, connection.read, connection.decided, connection.handed,
            stamps[0], stamps[1], stamps[2], ended, stamps[3],
        )  # fmt: skip

    def _happened(self, now: float, what: int, worker: int) -> None:
        if self.trace is not None:
            self.trace.happened(now, what, worker)

    def log(self, event: str, **fields: Any) -> None:
        """Write one line of JSON to standard output."""
        sys.stdout.write(json.dumps({"event": event, "time": time.time(), **fields}) + "\n")
        sys.stdout.flush()


def _quick(core: Core) -> Core:
    """Return the same core seen through memoryviews, for the interpreter.

    They share the arrays' memory, and reading an element takes half the time and gives a plain
    int. What the policy sees stays an array.
    """
    names = ("count", "up", "is_up", "ready", "in_flight", "seen", "slots", "latency", "index",
             "place", "attempts", "handed")  # fmt: skip
    quick: Any = {name: memoryview(getattr(core, name)) for name in names}
    lists: Any = {name: memoryview(column) for name, column in core.queues._asdict().items()}
    return core._replace(queues=core.queues._replace(**lists), **quick)


def _check(policy: Policy, workers: int, most: int, max_attempts: int) -> None:
    if not sys.platform.startswith("linux"):
        raise InputError(
            f"platform = {sys.platform} has no epoll, pidfd and SCM_RIGHTS as Linux has them; "
            "run the master on Linux (simulation works everywhere)"
        )
    if policy.oracle:
        raise InputError(
            f"{policy!r} reads the true service time, which no real master knows; "
            "simulate it, or choose a policy that is not an oracle"
        )
    if not 1 <= workers <= most <= 1024:
        raise InputError(
            f"workers = {workers}, most_workers = {most}: give 1 <= workers <= most_workers <= 1024"
        )
    if max_attempts < 1:
        raise InputError(f"max_attempts = {max_attempts} is below 1; give 1 for no retry")

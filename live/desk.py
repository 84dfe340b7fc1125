"""Where requests are dispatched: from the dispatcher's answers to messages on channels.

It decides nothing itself: which worker, whether to hold, whether to try again are answers of the
transitions of `lbsim.dispatch`. A connection goes through: dispatched or held (a *ticket* of the
core); answered, which frees the ticket; kept by its worker or closed. Its socket stays open here
until its worker says that it is over, so that a worker's death costs the client only time.
"""

import math
import mmap
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lbsim import dispatch
from lbsim.dispatch import BAD_CHOICE, LOST, NONE
from lbsim.dispatch.core import N_HELD
from lbsim.engines import record
from lbsim.engines.complaints import bad_choice
from lbsim.hashing import hash_string
from lbsim.policy import HOLD, SHED, Policy
from live import channel, head
from live.connection import Connection
from live.cookies import Cookie
from live.journal import Journal
from live.options import Options
from live.quick import prepared, quick, quick_dispatch, quick_rows

if TYPE_CHECKING:
    from live.front import Front
    from live.supervisor import Supervisor

__all__ = ["CAPACITY", "Desk"]

CAPACITY = 32_768  # requests at the master and its workers; more wait in the listen backlog
_pack = channel.HEADER.pack
REFUSED_S = 0.02  # a worker without descriptors is left alone for so long
PATIENT_S = 0.05  # hardly a client gives up so soon: not worth a system call to ask


class Desk:
    """Dispatches requests to workers, and again if need be (`live.supervisor.Owner`)."""

    front: "Front"
    crew: "Supervisor"

    def __init__(self, policy: Policy, n: int, options: Options, family: int) -> None:
        self.journal = Journal(n, options.trace)
        self.counts = self.journal.counts
        self.log = self.journal.log
        self.key_of = head.key_source(options.key)
        kind, _, name = options.key.partition(":")
        self.cookie = Cookie(name, os.urandom(32)) if kind == "cookie" else None
        self.retry_all = options.retry_all
        self.by_message = options.mode == "message"
        self.family = family
        self.policy = prepared(policy, n)
        integers = [np.zeros(CAPACITY, np.int64) for _ in range(3)]
        estimates = [np.full(CAPACITY, np.nan) for _ in range(2)]
        requests = dispatch.Requests(*integers, *estimates)
        core = dispatch.make_core(
            self.policy,
            requests,
            options.slots_of(n),
            options.weights_of(n),
            np.random.default_rng(options.seed),
            max_attempts=options.max_attempts,
            queue_limit=-1 if options.queue_limit is None else options.queue_limit,
        )
        self.core = quick(core, policy)
        self.rows = quick_rows(self.core)
        self.dispatch = quick_dispatch(policy)
        self.ledger = mmap.mmap(-1, CAPACITY)
        self.free = list(range(CAPACITY - 1, -1, -1))
        self.by_ticket: dict[int, Connection] = {}
        self.by_serial: dict[int, Connection] = {}
        self.handing: list[Connection] = []  # in this turn, if there is a trace
        self.refusals: list[tuple[float, int, int]] = []
        self.hooks: dict[int, Callable[[int, channel.Message], None]] = {}

    @property
    def needs_ack(self) -> bool:
        """Whether workers must acknowledge."""
        return self.core.settings.needs_ack

    @property
    def is_quiet(self) -> bool:
        """Whether no request is here or at a worker."""
        return not self.by_ticket

    @property
    def n_held(self) -> int:
        """Requests that wait at the master."""
        return int(self.core.count[N_HELD])

    def tick(self, now: float) -> None:
        """Do what need not be done at once."""
        while self.refusals and self.refusals[0][0] <= now:
            self._hand_back(*self.refusals.pop(0)[1:])

    def close(self) -> None:
        """Close what is still open; what has not been answered never will be."""
        for name in ("moves", "evictions"):  # of sessions: what `lbsim.policies.Sticky` counts
            if hasattr(self.policy, name):
                self.counts[f"session_{name}"] = int(getattr(self.policy, name))
        self.counts["unfinished"] += len(self.by_ticket)
        for connection in self.by_serial.values():
            connection.sock.close()

    # --- requests --------------------------------------------------------------------------

    def arrive(self, connection: Connection) -> None:
        """A request is here: ask the dispatcher."""
        request = connection.head
        assert request is not None
        ticket = connection.ticket = self.free.pop()
        self.by_ticket[ticket] = self.by_serial[connection.serial] = connection
        rows = self.rows
        key = self.key_of(request, connection.address)
        if key < 0 and self.cookie is not None:  # the answer will set it
            key = hash_string(self.cookie.new(connection.serial))
        rows.key[ticket] = key
        if request.is_plain:
            rows.kind[ticket] = rows.priority[ticket] = 0
            rows.size[ticket] = math.nan
        else:
            connection.identity = request.integer(b"id")
            rows.kind[ticket] = int(request.number(b"kind", 0.0))
            rows.priority[ticket] = int(request.number(b"priority", 0.0))
            rows.size[ticket] = request.number(b"size", math.nan)
        self.core.attempts[ticket] = 0  # the ticket had another request before
        now = connection.read = time.monotonic()
        answer = self.dispatch.arrive(self.core, self.policy, now, ticket)
        if answer >= 0:
            self._hand(connection, ticket, answer)
        elif answer != HOLD:
            self._act(ticket, answer, now)

    def _act(self, ticket: int, answer: int, now: float) -> None:
        """Do what the dispatcher says about a request."""
        if answer >= 0:
            self._hand(self.by_ticket[ticket], ticket, int(answer))
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

    def _hand(self, connection: Connection, ticket: int, worker: int) -> None:
        connection.worker = worker
        connection.decided = decided = time.monotonic()
        serial = connection.serial
        self.ledger[ticket] = 0
        if self.by_message:
            payload = connection.address.encode() + b"\n" + connection.data
            self._send_task(worker, serial, ticket, payload)
        else:
            data = connection.data  # `channel.pack`, without the call
            header = _pack(
                channel.CONNECT, self.family, 0, len(data), serial, decided, ticket, 0.0, 0.0
            )
            self.crew.hand(worker, header + data, connection.sock)
        if self.journal.trace is not None:
            connection.handed = math.nan  # an earlier worker's, if it is sent again
            self.handing.append(connection)

    def flush(self) -> None:
        """Send to workers what this turn of the loop has decided: one packet each."""
        self.crew.flush()
        if self.handing:
            now = time.monotonic()
            for connection in self.handing:
                connection.handed = now
            self.handing.clear()

    def _send_task(self, worker: int, serial: int, ticket: int, payload: bytes) -> None:
        """Send a request itself, in as many messages as it takes."""
        for start in range(0, len(payload), channel.LARGEST):
            part = payload[start : start + channel.LARGEST]
            is_last = start + channel.LARGEST >= len(payload)
            flags = channel.LAST if is_last else 0
            self.crew.hand(
                worker, channel.pack(channel.TASK, serial, 0.0, ticket, flags=flags, payload=part)
            )

    def _follow(self, worker: int, ticket: int) -> None:
        """Hand over what a transition gave to a worker, and what else it may take."""
        while ticket != NONE:
            ticket = int(ticket)
            now = time.monotonic()
            connection = self.by_ticket[ticket]
            # The client of one that was held for longer may have gone meanwhile.
            if now - connection.read > PATIENT_S and connection.is_reset():
                self.counts["client_left"] += 1
                self.dispatch.cancel(self.core, now, ticket)
                self.front.close(self._forget(ticket))
            else:
                self._hand(connection, ticket, worker)
            ticket = self.dispatch.pull(self.core, self.policy, now, worker)

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
        self.journal.happened(now, record.CAME_UP, index)
        self._follow(index, self.dispatch.worker_up(self.core, self.policy, now, index))

    def worker_is_leaving(self, index: int) -> None:
        """A worker gets nothing more; what waited for it goes elsewhere."""
        now = time.monotonic()
        self.journal.happened(now, record.LEAVING, index)
        for ticket in self.dispatch.worker_leaving(self.core, self.policy, now, index).tolist():
            self._act(ticket, self.dispatch.retry_due(self.core, self.policy, now, ticket), now)

    def worker_is_down(self, index: int, was_asked: bool) -> None:
        """A worker is gone: its requests go to others, or are told that they cannot."""
        now = time.monotonic()
        self.journal.gone(now, index, was_asked)
        self.refusals = [r for r in self.refusals if r[1] != index]
        had = self.core.in_flight[index]
        tickets = self.dispatch.worker_down(self.core, self.policy, now, index).tolist()
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
                if not self.ledger[ticket]:  # it only waited: the death cannot be its fault
                    self.dispatch.spare(self.core, ticket)
            self._act(ticket, self.dispatch.retry_due(self.core, self.policy, now, ticket), now)
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
        has_answer = connection.in_pieces if self.by_message else connection.has_answer()
        if has_answer:
            if connection.in_pieces:
                # A second answer after half of a first would be worse than a clean end.
                self._lose(ticket, "answer_begun")
            else:
                self.counts["answered"] += 1  # in one write, just before it died
            self.front.end(self._forget(ticket))
            return False
        if not (connection.head.idempotent or self.retry_all):
            self._lose(ticket, "not_idempotent")
        elif not (self.by_message or connection.is_whole()):
            self._lose(ticket, "body_consumed")
        else:
            return True
        self._refuse(ticket, 502)
        return False

    def worker_reports(self, index: int, busy: float) -> None:
        """A worker says how busy it is: the policy may want to know."""
        self.dispatch.reported(self.core, self.policy, time.monotonic(), index, busy)

    def worker_says(self, index: int, message: channel.Message) -> None:
        """A worker acknowledges, has answered, or has closed."""
        kind = message.kind
        if kind == channel.FINISHED:
            self._finished(index, message)
        elif kind == channel.ACCEPTED:
            now = time.monotonic()
            self._follow(index, self.dispatch.accepted(self.core, self.policy, now, index))
        elif kind == channel.LATER:
            self._kept(index, message)
        elif kind == channel.CLOSED:
            connection = self.by_serial.get(message.serial)
            if connection is not None and connection.ticket != NONE:
                self._finished(index, message)
            elif connection is not None:
                del self.by_serial[message.serial]
                self.front.close(connection)
        elif kind == channel.ANSWER:
            connection = self.by_serial[message.serial]
            connection.in_pieces = True
            self.front.write(connection, message.payload)
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
        if is_answered:
            self.journal.tally.add(index, now - connection.read)
        if self.journal.trace is not None:
            ending = record.ANSWERED if is_answered else record.WASTED
            self._write_down(connection, index, ending, message, now)
        if self.by_message:
            self.front.write(connection, message.payload)
        # The core must be done with the ticket before it can be given to another request.
        pulled = self.dispatch.complete(self.core, self.policy, now, index, connection.ticket)
        self._forget(connection.ticket)
        is_over = is_closed or message.flags & channel.LAST
        if self.by_message:
            (self.front.end_written if is_over else self.front.next_request)(connection)
        elif is_over:
            self.front.drop(connection)
        else:
            connection.data = b""
            self.by_serial[connection.serial] = connection
        if pulled != NONE:
            self._follow(index, pulled)

    def _kept(self, index: int, message: channel.Message) -> None:
        """Further requests of kept connections began or ended."""
        began, ended = int(message.first), int(message.second)
        self.counts["later"] += ended
        self.journal.later(index, message.payload)
        response = float(np.frombuffer(message.payload, np.float32).mean()) if ended else 0.0
        now = time.monotonic()
        self._follow(
            index, self.dispatch.kept(self.core, self.policy, now, index, began, ended, response)
        )

    def _hand_back(self, index: int, ticket: int) -> None:
        """A worker could not take a request: dispatch it again."""
        now = time.monotonic()
        self._act(ticket, self.dispatch.refused(self.core, self.policy, now, index, ticket), now)
        self._follow(index, self.dispatch.accepted(self.core, self.policy, now, index))

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
        if self.journal.trace is None:
            return
        ticket, rows = connection.ticket, self.rows
        stamps = (math.nan,) * 4 if message is None else message[3:7]
        self.journal.trace.handover(
            connection.identity, connection.serial, worker, self.core.attempts[ticket],
            rows.key[ticket], rows.kind[ticket], status, ending,
            connection.accepted, connection.read, connection.decided, connection.handed,
            stamps[0], stamps[1], stamps[2], ended, stamps[3],
        )  # fmt: skip

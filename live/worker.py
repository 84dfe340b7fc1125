"""A worker: one asyncio loop that serves the connections its master hands over.

It runs in a process forked from the master. The application is imported here, so that a
reload loads new code.
"""

import asyncio
import importlib
import mmap
import os
import signal
import socket
import sys
import time
import traceback
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from live import channel, ipc, memory
from live.cookies import Cookie
from live.forked import die_with
from live.idle import IdleClock
from live.slot import BUSY

if TYPE_CHECKING:
    from live.asgi import Exchange, Server

__all__ = ["Door", "Orders", "hooks", "run"]

BEAT_S = 0.5
HANDOVERS_A_TURN = 32  # as many messages as libuv, and so Node's worker, reads in one turn,
# but a packet of the channel is taken whole
_STREAM, _TCP = int(socket.SOCK_STREAM), int(socket.IPPROTO_TCP)

hooks: dict[int, Callable[[channel.Message], None]] = {channel.MESSAGE: ipc.receive}
"""What to do with kinds of messages that this module does not know."""


class Door(NamedTuple):
    """Where workers accept for themselves (modes ``shared`` and ``reuseport``)."""

    listener: socket.socket
    mode: str
    exclusive: bool
    backlog: int

    def fileno(self) -> int:
        """Return the listener's descriptor."""
        return self.listener.fileno()

    def open(self) -> socket.socket:
        """Return the socket that this worker accepts from."""
        if self.mode == "shared":
            return self.listener
        mine = socket.socket(self.listener.family, self.listener.type)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        mine.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        mine.bind(self.listener.getsockname())
        mine.listen(self.backlog)
        mine.setblocking(False)
        return mine


class Orders(NamedTuple):
    """What a worker is told when it is forked."""

    load: str | Callable[[], Any]
    """``module:app``, or a function that makes the application."""
    index: int  # type: ignore[assignment]  # not tuple.index
    master: int
    """The master's pid."""
    needs_ack: bool
    """Whether the policy waits for acknowledgements."""
    door: Door | None
    """Where it accepts for itself; None: the master hands over."""
    cookie: Cookie | None
    """Set on answers to requests that bring none."""
    ledger: mmap.mmap | None
    """Memory shared with the master: the byte of a ticket that is being parsed or
    whose handler was called is 1."""


def run(end: socket.socket, to_master: channel.Ways, orders: Orders) -> None:
    """Serve until told to leave; never returns. What `channel` has is `end` and `to_master`."""
    status = 1
    try:
        die_with(orders.master)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # A terminal's Ctrl-C and hang-up reach the whole group; the master decides who leaves.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        os.environ["LIVE_WORKER"] = str(orders.index)
        clock = IdleClock()
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(clock)) as runner:
            runner.run(_serve(end, to_master, orders, clock))
        status = 0
    except BaseException:
        text = traceback.format_exc()
        try:
            failed = channel.pack(channel.FAILED, payload=text[-32_000:].encode())
            channel.write(to_master.own, failed)
        except OSError:
            sys.stderr.write(text)
    finally:
        os._exit(status)


def _load(load: str | Callable[[], Any]) -> Any:
    if callable(load):
        return load()
    module, _, name = load.partition(":")
    app: Any = importlib.import_module(module)
    for part in (name or "app").split("."):
        app = getattr(app, part)
    return app


async def _serve(
    end: socket.socket, to_master: channel.Ways, orders: Orders, clock: IdleClock
) -> None:
    from live.asgi import Server

    work = Worker(end, to_master, orders, clock)
    server = Server(_load(orders.load), work, orders.cookie)
    await server.start()
    await work.serve(server)
    await server.stop()


class Worker:
    """Takes handovers and reports on them (`live.asgi.Listener`)."""

    def __init__(
        self, end: socket.socket, to_master: channel.Ways, orders: Orders, clock: IdleClock
    ) -> None:
        self.end = end
        self.tell, self.report = to_master.tell, to_master.report
        self.clock = clock
        self.index = orders.index
        self.needs_ack = orders.needs_ack
        # With acknowledgements one at a time: the next may come only after this one's.
        self.most = 1 if orders.needs_ack else HANDOVERS_A_TURN
        self.receiver = channel.Receiver(end)
        self.loop = asyncio.get_running_loop()
        self.is_leaving = False
        self.left = self.loop.create_future()
        self.began = 0
        self.responses = array("f")
        self.is_report_due = False
        self.ledger = orders.ledger
        self.parts: dict[int, bytes] = {}
        self.door = orders.door
        self.listener: socket.socket | None = None
        self.wants_identity = orders.door is not None
        self.serial = 0
        # Opened now, for once the application has taken all descriptors nothing can be.
        self.statm = os.open(memory.STATM, os.O_RDONLY)
        self.server: Server

    async def serve(self, server: "Server") -> None:
        """Serve until the master says to leave and everything is answered."""
        self.server = server
        self.end.setblocking(False)
        self.loop.add_reader(self.end, self._listen)
        server.set_date()
        if self.door is not None:
            self._open(self.door)
        ipc.attach(self.tell)
        self.tell(channel.pack(channel.READY, 0, time.monotonic()))
        self.born = time.monotonic()
        self.clock.waited_s = 0.0
        self._beat(self.loop.time())
        await self.left

    # --- what the master says --------------------------------------------------------------

    def _listen(self) -> None:
        taken = 0
        while taken < self.most:
            try:
                messages = self.receiver.receive()
            except BlockingIOError:
                return
            if messages is None:
                os._exit(0)
            taken += len(messages)
            for message in messages:
                self._hear(message)

    def _hear(self, message: channel.Message) -> None:
        if message.kind == channel.CONNECT:
            self._take(message)
        elif message.kind == channel.TASK:
            self._take_task(message)
        elif message.kind == channel.DRAIN:
            self.is_leaving = True
            self._shut()
            self._leave_if_idle()
        elif message.kind in hooks:
            hooks[message.kind](message)

    def _take(self, message: channel.Message) -> None:
        now = time.monotonic()
        if message.descriptor < 0:  # we have no descriptor left, so the kernel gave none
            self.server.spent.close()
            self.report(channel.pack(channel.REFUSED, message.serial, now, sender=self.index))
            return
        if self.needs_ack:
            self.report(channel.pack(channel.ACCEPTED, message.serial, now, sender=self.index))
        from live.asgi import Exchange

        exchange = Exchange(message.serial, now, self.index, int(message.second))
        connection: Any = socket.SocketType(message.flags, _STREAM, _TCP, message.descriptor)
        self.server.serve(connection, message.payload, exchange)

    def _take_task(self, message: channel.Message) -> None:
        """Take a request that comes as bytes, maybe in several messages."""
        serial = message.serial
        payload = self.parts.pop(serial, b"") + message.payload
        if not message.flags & channel.LAST:
            self.parts[serial] = payload
            return
        from live.asgi import Exchange

        now = time.monotonic()
        if self.needs_ack:
            self.tell(channel.pack(channel.ACCEPTED, serial, now))
        address, _, data = payload.partition(b"\n")

        def tell(answer: bytes) -> None:
            self._tell_answer(serial, answer, 0)

        exchange = Exchange(serial, now, self.index, int(message.second))
        self.server.serve_task(data, address.decode(), exchange, tell)

    def _tell_answer(self, serial: int, answer: bytes, keep: int) -> bytes:
        """Send bytes of an answer to the master but for the last `keep` or fewer."""
        while len(answer) > keep:
            part, answer = answer[: channel.LARGEST], answer[channel.LARGEST :]
            self.tell(channel.pack(channel.ANSWER, serial, payload=part))
        return answer

    # --- where no master hands over --------------------------------------------------------

    def _open(self, door: Door) -> None:
        from live.asgi import watch_exclusively

        self.listener = door.open()
        self.loop.add_reader(self.listener, self._accept)
        if door.exclusive:
            watch_exclusively(self.loop, self.listener.fileno())

    def _accept(self) -> bool:
        """Accept a connection; return whether there may be more."""
        from live.asgi import Exchange
        from live.transport import READ

        assert self.listener is not None
        # One a turn of the loop, and its request at once if it is here: what a worker takes and
        # cannot serve at once is kept from workers that are idle.
        try:
            connection, _ = self.listener.accept()
        except OSError:  # nobody there, or gone again, or we have no descriptors left
            self.server.spent.close()
            return False
        try:
            data = connection.recv(READ, socket.MSG_DONTWAIT)
        except OSError:  # not yet; or an end, which will be read again
            data = b""
        self.serial += 1
        self.server.serve(connection, data, Exchange(self.serial, time.monotonic(), self.index))
        return True

    def _shut(self) -> None:
        """Accept no more."""
        if self.listener is not None:
            self.loop.remove_reader(self.listener)
            while self.door is not None and self.door.mode == "reuseport" and self._accept():
                pass  # what is in a socket of our own would be reset
            self.listener.close()
            self.listener = None

    def _leave_if_idle(self) -> None:
        if self.left.done():
            return
        self.server.drain()
        if self.server.is_idle:
            self.left.set_result(None)
        else:
            self.loop.call_later(0.01, self._leave_if_idle)

    def _beat(self, due: float) -> None:
        """Tell the master that the loop turns: its lag, processor time, memory, connections."""
        self.server.set_date()
        lag = max(0.0, self.loop.time() - due)
        now = time.monotonic()
        self.server.spent.close(now)
        busy = now - self.born - self.clock.waited_s
        self.tell(
            channel.pack(
                channel.BEAT,
                len(self.server.state.connections),
                lag,
                time.process_time(),
                now,
                memory.resident(self.statm),
                payload=BUSY.pack(busy),
            )
        )
        self.loop.call_later(BEAT_S, self._beat, self.loop.time() + BEAT_S)

    # --- what connections say (live.asgi.Listener) -----------------------------------------

    def begins(self, exchange: "Exchange") -> None:
        """If we die now, this request may be to blame."""
        if self.ledger is not None:
            self.ledger[exchange.ticket] = 1

    def waits(self, exchange: "Exchange") -> None:
        """If we die now, another one is to blame."""
        if self.ledger is not None:
            self.ledger[exchange.ticket] = 0

    def finished(self, exchange: "Exchange", is_last: bool) -> None:
        """The first request of a connection has been answered."""
        self._report(channel.FINISHED, exchange, channel.LAST if is_last else 0)

    def closed(self, exchange: "Exchange", was_answered: bool) -> None:
        """A connection is over."""
        self._report(channel.CLOSED, exchange, channel.LAST if was_answered else 0)

    def in_pieces(self, exchange: "Exchange") -> None:
        """An answer that does not leave in one write begins now."""
        self._report(channel.PIECES, exchange, 0)

    def _report(self, kind: int, exchange: "Exchange", flags: int) -> None:
        payload = b""
        send = self.report
        if exchange.relay is not None:
            payload = self._tell_answer(exchange.serial, exchange.relay.take(), channel.LARGEST)
            send = self.tell  # after the parts of its answer
        elif self.door is not None:
            payload = exchange.identity.to_bytes(8, "little", signed=True)
        send(
            channel.HEADER.pack(
                kind,
                flags,
                self.index,
                len(payload),
                exchange.serial,
                exchange.accepted,
                exchange.started,
                exchange.finished,
                exchange.value,
            )
            + payload
        )

    def later_data(self) -> None:
        """A kept connection sends something: report in the next turn, before any handler."""
        if not self.is_report_due:
            self.is_report_due = True
            self.loop.call_soon(self._report_later)

    def later(self, began: int, ended: int, response: float) -> None:
        """Further requests of kept connections began or ended."""
        self.began += began
        if ended:
            self.responses.append(response)
        self.later_data()

    def _report_later(self) -> None:
        """Report all of a turn in one message: one a request would cost more than to serve it."""
        self.is_report_due = False
        most = channel.SMALL // self.responses.itemsize
        while self.began or self.responses:
            told = self.responses[:most]
            message = channel.pack(
                channel.LATER, 0, self.began, len(told), payload=told.tobytes(), sender=self.index
            )
            self.report(message)
            self.began = 0
            del self.responses[:most]

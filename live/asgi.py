"""The adapter to uvicorn and asyncio: the only module that knows their internals.

uvicorn's HTTP protocol (the httptools one where httptools is installed, else h11) runs on a
socket that somebody else has accepted and on bytes that somebody else has read. Written for
uvicorn 0.54 and the selector event loop of CPython 3.11 to 3.13.
"""

import asyncio
import contextlib
import re
import select
import socket
import time
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Protocol

from uvicorn.config import Config
from uvicorn.lifespan.off import LifespanOff
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from live.cookies import Cookie

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Http
except ImportError:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _Http  # type: ignore[assignment]

__all__ = ["Exchange", "Listener", "Server", "watch_exclusively"]

_IDENTITY = re.compile(rb"(?:^|&)id=(\d{1,18})(?:&|$)")
IN_ONE_WRITE = 65_536
"""Bytes that a fresh connection's socket takes in one write."""
FLUSH_CHECK_S = 0.001
FRESH_S = 1.0


class Listener(Protocol):
    """Who wants to know how connections fare."""

    wants_identity: bool

    def begins(self, exchange: "Exchange") -> None:
        """A connection's first request is about to be parsed, or its handler to be called."""

    def waits(self, exchange: "Exchange") -> None:
        """It has been parsed, and waits for its handler to be called."""

    def finished(self, exchange: "Exchange", is_last: bool) -> None:
        """The first request of a connection has been answered."""

    def in_pieces(self, exchange: "Exchange") -> None:
        """An answer that does not leave in one write begins now."""

    def closed(self, exchange: "Exchange", was_answered: bool) -> None:
        """A connection is over, and `finished` has not said so already."""

    def later_data(self) -> None:
        """A kept connection sends something; what begins is about to be told."""

    def later(self, began: int, ended: int, response: float) -> None:
        """Further requests of a kept connection began or ended, after `response` seconds."""


class Exchange:
    """One connection and the stamps of its first request.

    Attributes
    ----------
    ticket : int
        The master's number of the request.
    identity : int
        What the client called it (the query's ``id``), where the master has not read it.
    relay : _Relay or None
        Where the answer goes if there is no socket.
    session : str or None
        The session's cookie, sent or to be set, where the server gives out cookies.
    value : float
        A number that the application may leave (the lab's app: what a session miss cost).
    """

    __slots__ = (
        "accepted", "finished", "identity", "relay", "serial", "session", "started", "ticket",
        "value", "worker",
    )  # fmt: skip

    def __init__(self, serial: int, accepted: float, worker: int, ticket: int = -1) -> None:
        self.serial = serial
        self.accepted = accepted
        self.worker = worker
        self.ticket = ticket
        self.identity = -1
        self.relay: _Relay | None = None
        self.session: str | None = None
        self.started = self.finished = self.value = float("nan")


class _Transport(_SelectorSocketTransport):
    """A transport that lets head and body of an answer leave in one write.

    uvicorn writes them one after the other. In one write they are cheaper, and no worker can
    be killed in between, which would leave the client half an answer.
    """

    head = b""
    is_watched = False
    on_pieces: Callable[[], None]

    def _add_reader(self, descriptor: int, callback: Any, *arguments: Any) -> None:
        """Watch for more bytes one turn later: an answer that is complete by then needs none."""
        if self.is_watched:
            super()._add_reader(descriptor, callback, *arguments)
        else:
            self.is_watched = True
            self._loop.call_soon(self._watch, descriptor, callback, *arguments)

    def _watch(self, descriptor: int, callback: Any, *arguments: Any) -> None:
        if not (self._closing or self._paused):
            super()._add_reader(descriptor, callback, *arguments)

    def write(self, data: Any) -> None:
        """Hold back an answer's head until its body comes or the loop turns."""
        if self.head:
            data = self.head + data
            self.head = b""
        elif data[:9] == b"HTTP/1.1 " and data[9:10] != b"1":  # 100 Continue must not wait
            self.head = data
            self._loop.call_soon(self._let_go)
            return
        if len(data) > IN_ONE_WRITE:
            self.on_pieces()
        super().write(data)

    def _let_go(self) -> None:
        if self.head and not self._conn_lost:
            self.on_pieces()
            self.write(b"")

    def close(self) -> None:
        """Close after what is held back has left."""
        if self.head:
            self.write(b"")
        super().close()


class _Relay(asyncio.Transport):
    """A transport without a socket: what is written is told to the master."""

    def __init__(self, address: str, tell: Callable[[bytes], None]) -> None:
        super().__init__({"peername": (address, 0)})
        self.tell = tell
        self.out = b""
        self.loop = asyncio.get_running_loop()
        self.protocol: asyncio.Protocol
        self.is_over = False

    def write(self, data: Any) -> None:
        """Keep what is written until the answer is complete or the loop turns."""
        if data[:13] == b"HTTP/1.1 100 ":  # the master has said so, to have the whole request
            return
        if not self.out:
            self.loop.call_soon(self._let_go)
        self.out += data

    def _let_go(self) -> None:
        if self.out:
            self.tell(self.take())

    def take(self) -> bytes:
        """Return what has been written and not told yet."""
        out, self.out = self.out, b""
        return out

    def close(self) -> None:
        """End in the loop's next turn, as asyncio's own transports do."""
        if not self.is_over:
            self.is_over = True
            self.loop.call_soon(self.protocol.connection_lost, None)

    def is_closing(self) -> bool:
        """Whether `close` was called."""
        return self.is_over

    def get_write_buffer_size(self) -> int:
        """Return 0: nothing waits for a client here."""
        return 0

    def pause_reading(self) -> None:
        """Do nothing: the request is here as a whole."""

    def resume_reading(self) -> None:
        """Do nothing."""


class _Protocol(_Http):
    """uvicorn's protocol that tells how its requests fare."""

    listener: Listener
    exchange: Exchange
    inner: Any
    cookie: Cookie | None
    is_first = True
    is_begun = False
    said_last = False
    said_pieces = False
    began = 0.0

    def connection_made(self, transport: Any) -> None:
        """Begin once: `Server.serve` calls this at once, the transport calls it a turn later."""
        if self.transport is None:
            super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes; tell of a further request before its handler can block the loop."""
        if self.is_first:
            super().data_received(data)
            return
        self.listener.later_data()
        cycle = self.cycle
        super().data_received(data)
        if self.cycle is not cycle and not self.is_begun:
            self._begin()

    def _begin(self) -> None:
        self.is_begun = True
        self.began = time.monotonic()
        self.listener.later(1, 0, 0.0)

    async def run(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI: the application, and when it was called."""
        scope["live"] = self.exchange
        if self.cookie is not None:
            send = self._with_cookie(self.cookie, scope, send)
        if not self.is_first:
            await self.inner(scope, receive, send)
            return

        async def watched(message: Any) -> None:
            if message.get("more_body"):
                self.tell_pieces()
            await send(message)

        if self.listener.wants_identity:
            found = _IDENTITY.search(scope["query_string"])
            self.exchange.identity = int(found[1]) if found else -1
        self.exchange.started = time.monotonic()
        self.listener.begins(self.exchange)
        await self.inner(scope, receive, watched)

    def _with_cookie(self, cookie: Cookie, scope: Any, send: Any) -> Any:
        sent = self.exchange.session = cookie.sent(scope)
        if sent is not None:
            return send
        new = self.exchange.session = cookie.new(self.exchange.serial)

        async def setting(message: Any) -> None:
            if message["type"] == "http.response.start":
                fields = [*message.get("headers", ()), cookie.header(new)]
                message = {**message, "headers": fields}
            await send(message)

        return setting

    def on_response_complete(self) -> None:
        """Tell that an answer is complete."""
        super().on_response_complete()
        if self.is_first:
            self.exchange.finished = time.monotonic()
            self._finish()
            return
        if not self.is_begun:
            self._begin()
        self.is_begun = False
        self.listener.later(0, 1, time.monotonic() - self.began)

    def _finish(self) -> None:
        transport: Any = self.transport
        if transport.get_write_buffer_size():  # the kernel has not taken all of it yet
            if not transport.is_closing():
                self.loop.call_later(FLUSH_CHECK_S, self._finish)
            return  # else connection_lost tells
        if self.is_first:
            self.is_first = False
            self.said_last = transport.is_closing()
            if self.said_last:
                _shut_down(transport)
            self.listener.finished(self.exchange, self.said_last)
            if self.exchange.relay is not None:  # one request, one protocol
                self.said_last = True
                transport.close()

    def tell_pieces(self) -> None:
        """Tell, before it begins, that the first answer does not leave in one write."""
        if self.is_first and not self.said_pieces and self.exchange.relay is None:
            self.said_pieces = True
            self.listener.in_pieces(self.exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        """Close for the client too: the master's duplicate would keep the connection open."""
        if not self.said_last:
            _shut_down(self.transport)
        super().connection_lost(exc)
        if self.is_begun:
            self.is_begun = False
            self.listener.later(0, 1, time.monotonic() - self.began)
        if not self.said_last:
            answered = not self.is_first or (exc is None and self.exchange.finished > 0.0)
            self.listener.closed(self.exchange, answered)


def _shut_down(transport: Any) -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):  # the client was faster
            sock.shutdown(socket.SHUT_WR)


class Server:
    """Serves connections it is given with an ASGI application.

    Parameters
    ----------
    app : ASGI application
    listener : Listener
    cookie : Cookie or None
        Set on answers to requests that bring none.
    """

    def __init__(self, app: Any, listener: Listener, cookie: Cookie | None) -> None:
        self.config = Config(app, log_config=None, access_log=False, ws="none")
        self.config.load()
        self.app = self.config.loaded_app
        self.listener = listener
        self.cookie = cookie
        self.state = ServerState()
        self.lifespan: LifespanOn | LifespanOff = LifespanOff(self.config)

    async def start(self) -> None:
        """Run the application's startup, if it has one.

        Raises
        ------
        RuntimeError
            The application's startup failed; uvicorn has logged why.
        """
        self.lifespan = LifespanOn(self.config)
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise RuntimeError("the application's lifespan startup failed")

    async def stop(self) -> None:
        """Run the application's shutdown."""
        await self.lifespan.shutdown()

    def serve(self, connection: socket.socket, data: bytes, exchange: Exchange) -> None:
        """Serve one connection whose first bytes are `data`.

        The handler is called in the loop's next turn, so a worker takes what has been handed
        over before it begins to work, as Node's does.
        """
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        protocol = self.protocol(exchange)
        transport = _Transport(loop, connection, protocol)
        transport.on_pieces = protocol.tell_pieces
        transport.is_watched = not data
        protocol.connection_made(transport)
        if data:
            self._feed(protocol, data)

    def _feed(self, protocol: "_Protocol", data: bytes) -> None:
        self.listener.begins(protocol.exchange)
        protocol.data_received(data)
        self.listener.waits(protocol.exchange)

    def serve_task(
        self, data: bytes, address: str, exchange: Exchange, tell: Callable[[bytes], None]
    ) -> None:
        """Serve one request without a socket; `tell` gets what is not told by `finished`."""
        protocol = self.protocol(exchange)
        relay = exchange.relay = _Relay(address, tell)
        relay.protocol = protocol
        protocol.connection_made(relay)
        self._feed(protocol, data)

    def protocol(self, exchange: Exchange) -> _Protocol:
        """Return a protocol that is not connected yet."""
        protocol = _Protocol(self.config, self.state, self.lifespan.state)
        protocol.inner = self.app
        protocol.app = protocol.run
        protocol.cookie = self.cookie
        protocol.exchange = exchange
        protocol.listener = self.listener
        return protocol

    @property
    def is_idle(self) -> bool:
        """Whether no connection and no background work is left."""
        return not self.state.connections and not self.state.tasks

    def set_date(self) -> None:
        """Renew the Date header (RFC 9110, section 6.6.1); to be called about once a second."""
        date = formatdate(usegmt=True).encode()
        self.state.default_headers = [(b"date", date), *self.config.encoded_headers]

    def drain(self) -> None:
        """Close what is idle, and the rest after its answer; to be called until all is closed.

        A connection that has just been accepted is given time to say what it wants.
        """
        late = time.monotonic() - FRESH_S
        for protocol in list(self.state.connections):
            assert isinstance(protocol, _Protocol)
            if protocol.cycle is not None or protocol.exchange.accepted < late:
                protocol.shutdown()


def watch_exclusively(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    """Let a reader that was added to a loop be woken alone among processes (EPOLLEXCLUSIVE)."""
    poller = loop._selector._selector  # type: ignore[attr-defined]
    poller.unregister(descriptor)
    poller.register(descriptor, select.EPOLLIN | select.EPOLLEXCLUSIVE)

"""The adapter to uvicorn and asyncio: the only module that knows their internals.

uvicorn's HTTP protocol (the httptools one where httptools is installed, else h11) runs on a
socket that somebody else has accepted and on bytes that somebody else has read. Written for
uvicorn 0.54 and the selector event loop of CPython 3.11 to 3.13.
"""

import asyncio
import re
import select
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Protocol

from uvicorn.config import Config
from uvicorn.lifespan.off import LifespanOff
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from live.cookies import Cookie
from live.transport import Relay, Spent, Transport, Turn, Watcher

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Http
except ImportError:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _Http  # type: ignore[assignment]

__all__ = ["Exchange", "Listener", "Server", "watch_exclusively"]

_IDENTITY = re.compile(rb"(?:^|&)id=(\d{1,18})(?:&|$)")
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
    relay : Relay or None
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
        self.relay: Relay | None = None
        self.session: str | None = None
        self.started = self.finished = self.value = float("nan")


class _Protocol(_Http, Watcher):
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

    def run(self, scope: Any, receive: Any, send: Any) -> Any:
        """ASGI: the application, and when it was called."""
        scope["live"] = self.exchange
        if self.cookie is not None:
            send = self._with_cookie(self.cookie, scope, send)
        if not self.is_first:
            return self.inner(scope, receive, send)

        def watched(message: Any) -> Any:
            if message.get("more_body"):
                self.tell_pieces()
            return send(message)

        if self.listener.wants_identity:
            found = _IDENTITY.search(scope["query_string"])
            self.exchange.identity = int(found[1]) if found else -1
        self.exchange.started = time.monotonic()
        self.listener.begins(self.exchange)
        return self.inner(scope, receive, watched)

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
        transport: Any = self.transport
        transport.flush()
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
            self.listener.finished(self.exchange, self.said_last)
            if self.exchange.relay is not None:  # one request, one protocol
                self.said_last = True
                transport.close()

    def closes_whole(self) -> bool:
        """Whether the answer that has begun is not sent in pieces, and its end closes."""
        return self.is_first and not self.said_pieces and not self.cycle.keep_alive

    def tell_pieces(self) -> None:
        """Tell, before it begins, that the first answer does not leave in one write."""
        if self.is_first and not self.said_pieces and self.exchange.relay is None:
            self.said_pieces = True
            self.listener.in_pieces(self.exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the connection is over, if that has not been told."""
        super().connection_lost(exc)
        if self.is_begun:
            self.is_begun = False
            self.listener.later(0, 1, time.monotonic() - self.began)
        if not self.said_last:
            answered = not self.is_first or (exc is None and self.exchange.finished > 0.0)
            self.listener.closed(self.exchange, answered)
        self.app = None  # our own method: no cycle is left to collect


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
        self.loop = asyncio.get_running_loop()
        self.turn = Turn(self.loop)
        self.spent = Spent()

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

    def serve(self, connection: Any, data: bytes, exchange: Exchange) -> None:
        """Serve one connection, a socket, whose first bytes are `data`.

        The handler is called in the loop's next turn, so a worker takes what has been handed
        over before it begins to work, as Node's does.
        """
        protocol = self.protocol(exchange)
        self.spent.close(exchange.accepted)
        transport = Transport(connection, protocol, self.turn, self.spent)
        protocol.connection_made(transport)
        if data:
            transport.read_later()
            self.listener.begins(exchange)
            transport.feed(data)
            self.listener.waits(exchange)
        else:
            transport.read_now()

    def serve_task(
        self, data: bytes, address: str, exchange: Exchange, tell: Callable[[bytes], None]
    ) -> None:
        """Serve one request without a socket; `tell` gets what is not told by `finished`."""
        protocol = self.protocol(exchange)
        relay = exchange.relay = Relay(address, tell)
        relay.protocol = protocol
        protocol.connection_made(relay)
        self.listener.begins(exchange)
        protocol.data_received(data)
        self.listener.waits(exchange)

    def protocol(self, exchange: Exchange) -> _Protocol:
        """Return a protocol that is not connected yet."""
        protocol = _Protocol(self.config, self.state, self.lifespan.state, self.loop)
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

"""A small HTTP server inside the master's loop, for those who watch: it changes nothing.

``/status`` is JSON (`live.status`), ``/metrics`` is for Prometheus. It always listens on an
abstract Unix socket that belongs to the master's user and leaves no file behind; a TCP address
is opened only if asked for.
"""

import functools
import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from live.listener import listen

__all__ = ["Admin", "name_of"]

MOST = 32  # watchers at once
PATIENCE_S = 5.0
LARGEST = 4096


def name_of(pid: int) -> str:
    """Return the address of a master's own socket (abstract: it has no file)."""
    return f"\0live-{pid}"


class Admin:
    """Answers who asks how the master is.

    Parameters
    ----------
    poller, handlers
        The master's loop: descriptors and who is called for them.
    snapshot : callable
        Returns what is to be told.
    address : (str, int) or None
        Where to listen besides the Unix socket.
    """

    def __init__(
        self,
        poller: select.epoll,
        handlers: dict[int, Callable[[int], object]],
        snapshot: Callable[[], dict[str, Any]],
        address: tuple[str, int] | None = None,
    ) -> None:
        self.poller = poller
        self.handlers = handlers
        self.snapshot = snapshot
        self.visits: dict[int, _Visit] = {}
        self.listeners = _own()
        self.address: tuple[str, int] | None = None
        if address is not None:
            listener = listen(*address, MOST)
            self.address = listener.getsockname()[:2]
            self.listeners.append(listener)
        for listener in self.listeners:
            self._watch(listener, select.EPOLLIN, functools.partial(self._accept, listener))

    def expire(self, now: float) -> None:
        """Part with those who neither ask nor listen."""
        for visit in [v for v in self.visits.values() if now > v.deadline]:
            self._end(visit)

    def close(self) -> None:
        """Close everything."""
        for visit in [*self.visits.values()]:
            self._end(visit)
        for listener in self.listeners:
            self._unwatch(listener)
            listener.close()
        self.listeners = []

    def _accept(self, listener: socket.socket, _: int) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        if len(self.visits) >= MOST or not _is_welcome(sock):
            sock.close()
            return
        sock.setblocking(False)
        visit = _Visit(sock)
        self.visits[sock.fileno()] = visit
        self._watch(sock, select.EPOLLIN, lambda _: self._read(visit))

    def _read(self, visit: "_Visit") -> None:
        try:
            data = visit.sock.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        visit.request += data
        if not data or len(visit.request) > LARGEST:
            self._end(visit)
        elif b"\r\n\r\n" in visit.request:
            try:
                visit.answer = self._answer(visit.request)
            except (OSError, ImportError) as error:  # no descriptor left to look, or load, with
                reason = f"cannot look now: {error}; ask again\n".encode()
                visit.answer = _response("503 Service Unavailable", "text/plain", reason)
            self.handlers[visit.sock.fileno()] = lambda _: self._write(visit)
            self.poller.modify(visit.sock, select.EPOLLOUT)

    def _write(self, visit: "_Visit") -> None:
        try:
            visit.answer = visit.answer[visit.sock.send(visit.answer) :]
        except BlockingIOError:
            return
        except OSError:
            visit.answer = b""
        if not visit.answer:
            self._end(visit)

    def _answer(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method != b"GET":
            return _response("405 Method Not Allowed", "text/plain", b"GET only\n")
        if path == b"/status":
            body = json.dumps(self.snapshot()).encode()
            return _response("200 OK", "application/json", body)
        if path == b"/metrics":
            # Loaded when asked for: the master is to stay small.
            from live import metrics

            return _response("200 OK", metrics.TYPE, metrics.text(self.snapshot()))
        if path == b"/":
            return _response("200 OK", "text/plain", b"/status (JSON), /metrics (Prometheus)\n")
        return _response("404 Not Found", "text/plain", b"there is /status and /metrics\n")

    def _end(self, visit: "_Visit") -> None:
        del self.visits[visit.sock.fileno()]
        self._unwatch(visit.sock)
        visit.sock.close()

    def _watch(self, sock: socket.socket, events: int, handler: Callable[[int], object]) -> None:
        self.handlers[sock.fileno()] = handler
        self.poller.register(sock, events)

    def _unwatch(self, sock: socket.socket) -> None:
        del self.handlers[sock.fileno()]
        self.poller.unregister(sock)


class _Visit:
    """One connection of somebody who asks."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline = time.monotonic() + PATIENCE_S
        self.request = b""
        self.answer = b""


def _own() -> list[socket.socket]:
    """Return the listening Unix socket, or nothing if this process has another master already."""
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        own.bind(name_of(os.getpid()))
    except OSError:
        own.close()
        return []
    own.listen(MOST)
    own.setblocking(False)
    return [own]


def _is_welcome(sock: socket.socket) -> bool:
    """Whether a visitor is this user or root; over TCP, whoever reaches the address."""
    if sock.family != socket.AF_UNIX:
        return True
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return user in (0, os.getuid())


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body

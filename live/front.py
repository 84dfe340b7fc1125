"""The clients' side of the master: accept, read heads, refuse, close."""

import errno
import resource
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from live import head
from live.connection import Connection, refusal

__all__ = ["Front"]

LINGER_S = 2.0  # a refused client has so long to read its answer before the socket closes
ACCEPTS = 64  # connections accepted a turn
# Seconds that their first reading may take: workers' reports, and what has been decided, wait for
# the end of the turn, and a policy may take long over each.
READING_S = 0.001
RESERVE = 128  # descriptors that are not for clients: channels, pidfds, files
READ = 65_536
LARGEST_TASK = 1 << 24  # bytes of a request that is sent as a message
OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Front:
    """Accepts connections and reads until a request can be dispatched.

    Parameters
    ----------
    listener : socket
    poller, handlers
        The master's loop: descriptors and who is called for them.
    counts : Counter
        Of what happened.
    head_s : float
        A client that has not sent its request's head by then is answered 408.
    most : int
        Connections that may be open at once; more wait in the kernel.
    whole : bool
        Only whole requests are passed on.

    Attributes
    ----------
    arrive : callable
        Gets each connection whose request is here; to be set before `resume`.
    is_closed : bool
        No more connections are accepted here.
    fresh : deque of Connection
        Accepted, and not read yet: `read_fresh` is due.
    """

    arrive: Callable[[Connection], None]
    is_closed = False

    def __init__(
        self,
        listener: socket.socket,
        poller: select.epoll,
        handlers: dict[int, Callable[[int], object]],
        counts: Counter[str],
        *,
        head_s: float,
        most: int,
        whole: bool,
    ) -> None:
        self.listener = listener
        self.poller = poller
        self.handlers = handlers
        self.whole = whole
        self.counts = counts
        self.head_s = head_s
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most = min(most, max(1, soft - RESERVE))
        self.n_open = 0
        self.serial = 0
        # Both in order of their deadlines, because dicts keep the order of insertion.
        self.reading: dict[int, Connection] = {}
        self.lingering: dict[int, Connection] = {}
        self.fresh: deque[Connection] = deque()
        self.latest: Connection | None = None  # whose first reading was last
        self.is_accepting = False
        self._family, self._type = int(listener.family), int(listener.type)

    # --- accepting -------------------------------------------------------------------------

    def resume(self) -> None:
        """Accept connections."""
        if not self.is_accepting and not self.is_closed:
            self.is_accepting = True
            self.handlers[self.listener.fileno()] = self._ready
            self.poller.register(self.listener, select.EPOLLIN)

    def pause(self) -> None:
        """Leave new connections to the kernel's backlog."""
        if self.is_accepting:
            self.is_accepting = False
            del self.handlers[self.listener.fileno()]
            self.poller.unregister(self.listener)

    def stop(self) -> None:
        """Take what has already connected, and nothing more."""
        while self.is_accepting and self._accept():
            pass
        self.pause()
        while self.fresh:
            self.read_fresh()
        self.is_closed = True
        self.listener.close()
        for connection in [c for c in self.reading.values() if not c.data]:
            self.close(connection)

    def _ready(self, _: int) -> None:
        if not self.fresh:  # else what was accepted before comes first
            self._accept()

    def _accept(self) -> bool:
        """Accept what has come; return whether there may be more."""
        for _turn in range(ACCEPTS):
            if self.n_open >= self.most:
                self.counts["accept_paused"] += 1
                self.pause()
                return False
            try:
                descriptor, address = self.listener._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in OUT_OF_RESOURCES:
                    self.counts["accept_paused"] += 1
                    self.pause()
                return False  # else: that client has gone already
            sock: Any = socket.SocketType(self._family, self._type, 0, descriptor)
            now = time.monotonic()
            self.n_open += 1
            self.serial += 1
            self.counts["accepted"] += 1
            connection = Connection(sock, address[0], self.serial, now)
            connection.deadline = now + self.head_s
            self.reading[self.serial] = connection
            self.fresh.append(connection)
        return True

    def read_fresh(self) -> None:
        """Read for the first time what this turn has accepted; watch who has sent nothing yet.

        Nothing in a turn comes later, since a client that connects sends a moment after: to look
        in vain and to watch costs as much as all the rest of its reading.
        """
        until = time.monotonic() + READING_S
        while self.fresh:
            # Epoll may tell of the listener first although the request before is here too, or that
            # came a moment after we looked: who has sent first is to be dispatched first.
            if self.latest is not None and self.latest.serial in self.reading:
                self._read(self.latest)
            connection = self.latest = self.fresh.popleft()
            if connection.serial not in self.reading:
                continue  # closed meanwhile
            if not self._read(connection):  # its request comes later
                self._watch(connection, self._read)
            if connection.read > until:
                break

    def expire(self, now: float) -> None:
        """Answer 408 to who is too slow, close what lingers, accept again if there is room."""
        while self.reading:
            connection = next(iter(self.reading.values()))
            if now <= connection.deadline:
                break
            if connection.n_answers and not connection.data:
                self.close(connection)  # kept, and not used
            elif connection.head is None or self.whole:
                self.refuse(connection, 408)
            else:  # the body is slow: the worker may wait for it
                self._pass_on(connection)
        while self.lingering:
            connection = next(iter(self.lingering.values()))
            if now <= connection.deadline:
                break
            self.close(connection)
        if not self.is_accepting and self.n_open < self.most:
            self.resume()

    # --- reading ---------------------------------------------------------------------------

    def _read(self, connection: Connection) -> bool:
        """Take what has come; return whether the reading of this request is over."""
        try:
            data = connection.sock.recv(READ, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.counts["client_left"] += 1
            self.close(connection)
            return True
        if connection.head is not None and isinstance(connection.data, bytes):
            # A body that comes in many parts is not copied again with each.
            connection.data = bytearray(connection.data)
        connection.data += data
        return self._parse(connection)

    def _parse(self, connection: Connection) -> bool:
        try:
            if connection.head is None:
                connection.head = head.parse(bytes(connection.data))
        except head.TooLarge:
            self.refuse(connection, 431)
            return True
        except head.Malformed:
            self.refuse(connection, 400)
            return True
        if self.whole:
            return self._read_whole(connection)
        request = connection.head
        if request is None:
            return False
        if len(connection.data) < request.total and not connection.is_enough:
            return False
        self._pass_on(connection)
        return True

    def _read_whole(self, connection: Connection) -> bool:
        """Wait for all of a request, or refuse what cannot be held."""
        request = connection.head
        if request is None:
            return False
        if request.total < 0:
            self.refuse(connection, 411)
            return True
        if request.total > LARGEST_TASK:
            self.refuse(connection, 413)
            return True
        if request.expects and not connection.is_told:
            connection.is_told = True
            connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n", socket.MSG_DONTWAIT)
        if len(connection.data) < request.total:
            return False
        connection.rest = bytes(connection.data[request.total :])
        if connection.rest:
            connection.data = connection.data[: request.total]
        self._pass_on(connection)
        return True

    def _pass_on(self, connection: Connection) -> None:
        if connection.is_watched:
            self._unwatch(connection)
        self.reading.pop(connection.serial, None)
        self.arrive(connection)

    def refuse(self, connection: Connection, status: int) -> None:
        """Answer instead of a worker, and close without a reset."""
        self.counts[f"answered_{status}"] += 1
        self._unwatch(connection)
        self.reading.pop(connection.serial, None)
        self.end(connection, refusal(status))

    # --- answers that come through the master (mode `message`) ------------------------------

    def write(self, connection: Connection, data: bytes) -> None:
        """Write a part of an answer; what the kernel does not take waits."""
        if connection.out or not data:
            connection.out += data
            return
        try:
            sent = connection.sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the client has gone; its end is found when it is read
        if sent < len(data):
            connection.out = data[sent:]
            self._watch(connection, self._write_rest, select.EPOLLOUT)

    def _write_rest(self, connection: Connection) -> bool:
        try:
            sent = connection.sock.send(connection.out, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            connection.out, sent = b"", 0
        connection.out = connection.out[sent:]
        if connection.out:
            return False
        self._unwatch(connection)
        if connection.then is not None:
            then, connection.then = connection.then, None
            then(connection)
        return True

    def end_written(self, connection: Connection) -> None:
        """End a connection when its answer has been written."""
        if connection.out:
            connection.then = self.end
        else:
            self.end(connection)

    def next_request(self, connection: Connection) -> None:
        """Wait for the next request of a kept connection, when its answer has been written."""
        if connection.out:
            connection.then = self.next_request
            return
        connection.n_answers += 1
        connection.accepted = time.monotonic()
        connection.head, connection.is_told, connection.in_pieces = None, False, False
        connection.data, connection.rest = connection.rest, b""
        connection.worker = connection.identity = -1
        self.serial += 1
        connection.serial = self.serial
        if self.is_closed and not connection.data:
            self.close(connection)
            return
        connection.deadline = connection.accepted + self.head_s
        self.reading[connection.serial] = connection
        if not (connection.data and self._parse(connection)):
            self._watch(connection, self._read)

    # --- ending ----------------------------------------------------------------------------

    def end(self, connection: Connection, answer: bytes = b"") -> None:
        """End a connection with a last answer, so that the client can read it to its end."""
        try:
            if answer:
                connection.sock.send(answer, socket.MSG_DONTWAIT)
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close(connection)
            return
        # Closing with unread bytes would reset the connection before the client has read.
        connection.deadline = time.monotonic() + LINGER_S
        self.lingering[connection.serial] = connection
        if not self._discard(connection):
            self._watch(connection, self._discard)

    def _discard(self, connection: Connection) -> bool:
        try:
            while connection.sock.recv(READ, socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            return False
        except OSError:
            pass
        self.close(connection)
        return True

    def drop(self, connection: Connection) -> None:
        """Close a connection that nothing is awaited of: a worker has answered it."""
        connection.sock.close()
        self.n_open -= 1

    def close(self, connection: Connection) -> None:
        """Close a connection, wherever it is."""
        self._unwatch(connection)
        self.reading.pop(connection.serial, None)
        self.lingering.pop(connection.serial, None)
        self.drop(connection)

    def close_all(self) -> None:
        """Close the listener and what is being read or refused."""
        self.pause()
        self.is_closed = True
        self.listener.close()
        for connection in [*self.reading.values(), *self.lingering.values()]:
            self.close(connection)

    def _watch(
        self,
        connection: Connection,
        handler: Callable[[Connection], bool],
        events: int = select.EPOLLIN,
    ) -> None:
        def ready(_: int) -> None:
            handler(connection)

        connection.is_watched = True
        self.handlers[connection.sock.fileno()] = ready
        self.poller.register(connection.sock, events)

    def _unwatch(self, connection: Connection) -> None:
        if connection.is_watched:
            connection.is_watched = False
            del self.handlers[connection.sock.fileno()]
            self.poller.unregister(connection.sock)

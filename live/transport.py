"""The transports under uvicorn's protocol in a worker: a client's socket, or the master's channel.

asyncio's own transport is made for any protocol. This one knows that an HTTP answer has a head and
a body, and often an end of the connection, and lets the three leave in one packet. So they are
cheaper, and no worker can be killed in between, which would leave the client half an answer.
It uses nothing of asyncio but what is public.
"""

import asyncio
import contextlib
import math
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["IN_ONE_WRITE", "Relay", "Spent", "Transport", "Turn", "Watcher"]

IN_ONE_WRITE = 65_536
"""Bytes that a fresh connection's socket takes in one write."""
READ = 65_536
HIGH_WATER, LOW_WATER = 65_536, 16_384  # bytes not taken by the kernel: asyncio's own limits
SPENT_S = 0.05  # by then even a busy master has read a report and closed its duplicate
_NOW = int(socket.MSG_DONTWAIT)  # so that nobody need make the socket non-blocking
_NOTHING = bytearray()  # of everybody, and never written to
_MORE = int(socket.MSG_MORE)


class Spent:
    """Sockets of connections that are over for their clients, kept open for a moment.

    The kernel frees a connection when the last of its descriptors closes, which takes it several
    times as long as to close another one. The master has a duplicate, and there is one master for
    many workers: so that it is not the last, they wait.
    """

    def __init__(self) -> None:
        self._sockets: deque[tuple[float, Any]] = deque()

    def put(self, sock: Any) -> None:
        """Take a socket, to close it later."""
        self._sockets.append((time.monotonic(), sock))

    def close(self, now: float = math.inf) -> None:
        """Close those whose moment is over at this time of `time.monotonic`; by default all."""
        while self._sockets and self._sockets[0][0] < now - SPENT_S:
            self._sockets.popleft()[1].close()


class Turn:
    """What waits for the loop's next turn: one handle of asyncio's for all of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.calls: list[Callable[[], None]] = []

    def soon(self, call: Callable[[], None]) -> None:
        """Call something in the loop's next turn."""
        if not self.calls:
            self.loop.call_soon(self._run)
        self.calls.append(call)

    def _run(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            try:
                call()
            except Exception as error:  # as asyncio does for each handle of its own
                self.loop.call_exception_handler({"message": "Error", "exception": error})


class Watcher(asyncio.Protocol):
    """A protocol whose answers `Transport` carries."""

    def closes_whole(self) -> bool:
        """Whether the answer that has begun is not sent in pieces, and its end closes."""
        raise NotImplementedError

    def tell_pieces(self) -> None:
        """The answer that has begun does not leave in one write."""
        raise NotImplementedError


class Transport(asyncio.Transport):
    """A client's connection.

    Parameters
    ----------
    sock : socket
        Whether it blocks does not matter.
    protocol : Watcher
        Its `connection_made` is not called.
    turn : Turn
    spent : Spent
        Takes the socket when the connection is over.
    """

    __slots__ = (
        "_buffer", "_fd", "_held", "_is_closing", "_is_lost", "_is_paused", "_is_read",
        "_is_slow", "_loop", "_protocol", "_sock", "_spent", "_turn",
    )  # fmt: skip

    def __init__(self, sock: Any, protocol: Watcher, turn: Turn, spent: Spent) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._protocol: Any = protocol
        self._turn = turn
        self._spent = spent
        self._loop = turn.loop
        self._held = b""  # an answer's head, maybe with its body
        self._buffer = _NOTHING  # what the kernel has not taken
        self._is_closing = self._is_lost = self._is_paused = self._is_read = False
        self._is_slow = False  # the protocol was told to pause

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the socket; nothing else is known."""
        return self._sock if name == "socket" else default

    # --- reading ---------------------------------------------------------------------------

    def read_later(self) -> None:
        """Watch for more bytes two turns later: an answer that is complete by then needs none."""
        self._turn.soon(self._read_next_turn)

    def _read_next_turn(self) -> None:
        self._turn.soon(self.read_now)

    def read_now(self) -> None:
        """Watch for bytes."""
        if not (self._is_read or self._is_closing or self._is_paused):
            self._is_read = True
            self._loop.add_reader(self._fd, self._read_ready)

    def pause_reading(self) -> None:
        """Leave bytes in the kernel."""
        self._is_paused = True
        self._unread()

    def resume_reading(self) -> None:
        """Watch for bytes again."""
        if self._is_paused:
            self._is_paused = False
            self.read_now()

    def is_reading(self) -> bool:
        """Whether it is neither paused nor closing."""
        return not (self._is_paused or self._is_closing)

    def _unread(self) -> None:
        if self._is_read:
            self._is_read = False
            self._loop.remove_reader(self._fd)

    def _read_ready(self) -> None:
        try:
            data = self._sock.recv(READ, _NOW)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self.feed(data)
        else:
            self._protocol.eof_received()
            self.close()

    def feed(self, data: bytes) -> None:
        """Give bytes to the protocol; one that cannot bear them loses its connection."""
        try:
            self._protocol.data_received(data)
        except Exception as error:
            context = {"message": "data_received failed", "exception": error, "transport": self}
            self._loop.call_exception_handler(context)
            self._end(error)

    # --- writing ---------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Write; an answer's head waits for its body, and both for an end that is near.

        What waits leaves by `flush`, by `close`, or when the loop turns.
        """
        if self._is_lost:
            return
        if self._held:
            data, self._held = self._held + data, b""
            if self._protocol.closes_whole():
                self._held = data
                return
        elif data[:9] == b"HTTP/1.1 " and data[9:10] != b"1":  # 100 Continue must not wait
            self._held = data
            self._turn.soon(self._let_go)
            return
        self._send(data, _NOW)

    def flush(self, flags: int = _NOW) -> None:
        """Let go of what is held: the answer is complete."""
        if self._held:
            data, self._held = self._held, b""
            self._send(data, flags)

    def _let_go(self) -> None:
        if self._held and not self._is_lost:
            self._protocol.tell_pieces()
            self.flush()

    def _send(self, data: Any, flags: int) -> None:
        if self._is_lost:
            return
        if len(data) > IN_ONE_WRITE:
            self._protocol.tell_pieces()
        if self._buffer:
            self._buffer += data
        else:
            try:
                sent = self._sock.send(data, flags)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._end(error)
                return
            if sent == len(data):
                return
            self._buffer = bytearray(data[sent:])
            self._loop.add_writer(self._fd, self._write_ready)
        if len(self._buffer) > HIGH_WATER and not self._is_slow:
            self._is_slow = True
            self._protocol.pause_writing()

    def _write_ready(self) -> None:
        try:
            sent = self._sock.send(self._buffer, _NOW)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        del self._buffer[:sent]
        if len(self._buffer) <= LOW_WATER and self._is_slow:
            self._is_slow = False
            self._protocol.resume_writing()
        if not self._buffer:
            self._loop.remove_writer(self._fd)
            if self._is_closing:
                self._end(None)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the kernel has not taken."""
        return len(self._buffer)

    # --- ending ----------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether the connection ends."""
        return self._is_closing

    def close(self) -> None:
        """Close, for the client at once, when all that was written has left."""
        if self._is_closing:
            return
        self._is_closing = True
        self._unread()
        self.flush(_NOW | _MORE)  # the end goes with it: told to wait, the kernel sends one packet
        if not self._buffer:
            self._end(None)

    def abort(self) -> None:
        """Close, and forget what has not left."""
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        self._unread()
        self._held = b""
        if self._buffer:
            self._buffer = _NOTHING
            self._loop.remove_writer(self._fd)
        # Closing alone would not end it for the client: the master has a duplicate.
        with contextlib.suppress(OSError):  # the client was faster
            self._sock.shutdown(socket.SHUT_WR)
        self._turn.soon(lambda: self._lose(error))

    def _lose(self, error: Exception | None) -> None:
        protocol, self._protocol = self._protocol, None
        try:
            protocol.connection_lost(error)
        finally:
            self._spent.put(self._sock)


class Relay(asyncio.Transport):
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

    def flush(self) -> None:
        """Do nothing: who tells that the answer is complete takes what is left."""

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

"""As much of an HTTP/1.1 answer as a load generator must understand: where it ends."""

import math

__all__ = ["Answer"]

_LAST_CHUNK = b"0\r\n\r\n"
_UNTIL_CLOSED = -1
_CHUNKED = -2


class Answer:
    """An answer that is being received.

    Attributes
    ----------
    status : int
        0 until the head is complete.
    worker : int
        Process id from ``X-Worker``, 0 if the server does not tell.
    accepted, looked, started, served : float
        When the server says that it had accepted the connection, that it looked for the next one
        after that, and that its handler began and was through, in seconds of CLOCK_MONOTONIC
        (``X-Accepted-Ns``, ``X-Looked-Ns``, ``X-Started-Ns``, ``X-Served-Ns``); NaN if it does not
        tell.
    is_complete : bool
    keeps : bool
        Whether the connection can be used again.
    """

    __slots__ = (
        "_buffer", "_left", "accepted", "is_complete", "keeps", "looked", "served", "started",
        "status", "worker",
    )  # fmt: skip

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self.status = 0
        self.worker = 0
        self.accepted = self.looked = self.started = self.served = math.nan
        self.is_complete = False
        self.keeps = True

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""
        if self.status:
            self._take_body(data)
            return
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head, body = self._buffer[:end], self._buffer[end + 4 :]
        self._buffer = b""
        self._read_head(head)
        if 100 <= self.status < 200:  # an interim answer; the final one follows
            self.status = 0
            self.feed(body)
        else:
            self._take_body(body)

    def end(self) -> None:
        """The server has closed its side."""
        if self.status and self._left == _UNTIL_CLOSED:
            self.is_complete = True
        self.keeps = False

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        parts = first.split(b" ", 2)
        # What is no HTTP counts as a status that nobody sends.
        self.status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 999
        self.keeps = parts[0] == b"HTTP/1.1"
        self._left = _UNTIL_CLOSED
        for line in lines:
            name, _, value = line.partition(b":")
            name, value = name.lower(), value.strip().lower()
            if name == b"content-length" and value.isdigit() and self._left != _CHUNKED:
                self._left = int(value)
            elif name == b"transfer-encoding" and value.endswith(b"chunked"):
                self._left = _CHUNKED
            elif name == b"connection" and value == b"close":
                self.keeps = False
            elif name == b"x-worker" and value.isdigit():
                self.worker = int(value)
            elif name == b"x-accepted-ns" and value.isdigit():
                self.accepted = int(value) * 1e-9
            elif name == b"x-looked-ns" and value.isdigit():
                self.looked = int(value) * 1e-9
            elif name == b"x-started-ns" and value.isdigit():
                self.started = int(value) * 1e-9
            elif name == b"x-served-ns" and value.isdigit():
                self.served = int(value) * 1e-9
        if self.status in (204, 304):
            self._left = 0

    def _take_body(self, data: bytes) -> None:
        if self._left == _CHUNKED:
            # The bodies that a lab receives hold no text that looks like a last chunk.
            self._buffer = (self._buffer + data)[-len(_LAST_CHUNK) :]
            self.is_complete = self._buffer == _LAST_CHUNK
        elif self._left != _UNTIL_CLOSED:
            self._left = max(0, self._left - len(data))
            self.is_complete = self._left == 0

"""A client's connection as the master sees it, and what the kernel knows of it.

The master owns the request's bytes: it reads them and sends them along with the socket, at
every attempt. So a request is replayed exactly when the dead worker has read nothing more and
answered nothing, and the kernel can tell both.
"""

import array
import fcntl
import math
import socket
import struct
import termios
from collections.abc import Callable

from live.head import LARGEST_BODY, Head

__all__ = ["REFUSALS", "Connection", "refusal"]

_TCP_INFO_SIZE = 232
_STATE = (struct.Struct("<B"), 0)  # offsets in struct tcp_info, <linux/tcp.h>
_BYTES_RECEIVED = (struct.Struct("<Q"), 128)
_NOT_SENT = (struct.Struct("<I"), 144)
_BYTES_SENT = (struct.Struct("<Q"), 200)
_TCP_ESTABLISHED = 1

REFUSALS = {
    400: "Bad Request",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


class Connection:
    """One accepted connection and what is known of its first request.

    Attributes
    ----------
    ticket : int
        The dispatcher's number of its request, -1 before and after.
    worker : int
        Where it is, -1 for nowhere.
    in_pieces : bool
        The worker has begun an answer that does not leave in one write.
    rest : bytes
        What came after the request, in mode `message`.
    out, then
        What is still to be written, and who is called afterwards.
    n_answers : int
        Answers before this request, in mode `message`.
    is_told : bool
        The client was told to go on (100 Continue).
    """

    # Slots are quicker to read than the class's defaults or an instance's dictionary.
    __slots__ = (
        "accepted", "address", "data", "deadline", "decided", "handed", "head", "identity",
        "in_pieces", "is_told", "is_watched", "n_answers", "out", "read", "rest", "serial",
        "sock", "then", "ticket", "worker",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, address: str, serial: int, accepted: float) -> None:
        self.sock = sock
        self.address = address
        self.serial = serial
        self.accepted = self.read = accepted
        self.deadline = self.decided = self.handed = math.nan
        self.data: bytes | bytearray = b""
        self.out = self.rest = b""
        self.head: Head | None = None
        self.identity = self.ticket = self.worker = -1
        self.in_pieces = self.is_watched = self.is_told = False
        self.n_answers = 0
        self.then: Callable[[Connection], None] | None = None

    @property
    def is_enough(self) -> bool:
        """Whether the request is here as a whole, or can never be."""
        head = self.head
        if head is None:
            return False
        held = len(self.data)
        if held >= head.total:  # also if the body's end cannot be told
            return True
        return head.expects or held - head.size >= LARGEST_BODY

    def has_answer(self) -> bool:
        """Whether a byte of an answer has left, or is queued to leave."""
        info = self._info()
        return info is None or _read(info, _BYTES_SENT) > 0 or _read(info, _NOT_SENT) > 0

    def is_whole(self) -> bool:
        """Whether all that the client sent is either held here or still in the kernel."""
        info = self._info()
        if info is None:
            return False
        unread = array.array("i", [0])
        fcntl.ioctl(self.sock, termios.FIONREAD, unread)
        taken = _read(info, _BYTES_RECEIVED) - unread[0] - len(self.data)
        # The client's FIN counts as one byte received.
        return taken <= (_read(info, _STATE) != _TCP_ESTABLISHED)

    def is_reset(self) -> bool:
        """Whether the client is certainly gone; one that only said FIN may wait.

        To ask takes the error away, so who is told of one ends the connection.
        """
        return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def _info(self) -> bytes | None:
        try:
            return self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        except OSError:
            return None


def _read(info: bytes, field: tuple[struct.Struct, int]) -> int:
    layout, offset = field
    return int(layout.unpack_from(info, offset)[0])


def refusal(status: int) -> bytes:
    """Return a whole answer that ends the connection."""
    body = f"{status} {REFUSALS[status]}\n"
    return (
        f"HTTP/1.1 {status} {REFUSALS[status]}\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    ).encode()

"""The channel between master and worker: small fixed structs, descriptors by SCM_RIGHTS.

A `SOCK_SEQPACKET` pair keeps message boundaries, so a message is read whole or not at all, and
its end tells either side that the other is gone. A message is a header of 48 bytes (what, which
connection, three stamps and a number) and, where it has one, a payload.
"""

import socket
import struct
from typing import NamedTuple

__all__ = [
    "ACCEPTED",
    "ANSWER",
    "BEAT",
    "CLOSED",
    "CONNECT",
    "DRAIN",
    "FAILED",
    "FINISHED",
    "LARGEST",
    "LAST",
    "LATER",
    "MESSAGE",
    "PIECES",
    "READY",
    "REFUSED",
    "TASK",
    "Message",
    "Receiver",
    "pack",
    "pair",
    "send",
]

CONNECT, TASK, DRAIN = 1, 2, 3
"""Master to worker: here is a connection; here is a request; take no more and leave when done."""

READY, ACCEPTED, FINISHED, CLOSED, LATER, PIECES, REFUSED, ANSWER, BEAT, FAILED = range(10, 20)
"""Worker to master. READY: it has booted. Of a connection: ACCEPTED (taken off the channel),
FINISHED (first request answered), LATER (further requests began and ended), PIECES (an answer
that does not leave in one write has begun), CLOSED, REFUSED (no descriptor came with it), ANSWER
(bytes for the client, in mode `message`). BEAT: its health. FAILED: the traceback of a failed
boot."""

MESSAGE = 20
"""Either way: bytes from one process to another; the serial says to whom."""

LAST = 1
"""Flag: nothing more comes on this connection, or, of an ANSWER, of this answer."""

HEADER = struct.Struct("<BBxxxxxxQdddd")
_DESCRIPTOR = struct.Struct("i")
_SPACE = socket.CMSG_SPACE(_DESCRIPTOR.size)
_SOCKET, _RIGHTS = int(socket.SOL_SOCKET), int(socket.SCM_RIGHTS)
LARGEST = 208 * 1024  # above head, body and one read more; below the socket buffer


class Message(NamedTuple):
    """One message. Stamps are CLOCK_MONOTONIC in seconds; `descriptor` is -1 if none came."""

    kind: int
    flags: int
    serial: int
    first: float
    second: float
    third: float
    value: float
    payload: bytes
    descriptor: int


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new channel."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LARGEST)
    return ends


def pack(
    kind: int,
    serial: int = 0,
    first: float = 0.0,
    second: float = 0.0,
    third: float = 0.0,
    value: float = 0.0,
    *,
    flags: int = 0,
    payload: bytes = b"",
) -> bytes:
    """Return a message's bytes."""
    return HEADER.pack(kind, flags, serial, first, second, third, value) + payload


def send(end: socket.socket, data: bytes, descriptor: int = -1) -> None:
    """Send one packed message, with a descriptor or without."""
    if descriptor < 0:
        end.send(data)
        return
    end.sendmsg([data], [(_SOCKET, _RIGHTS, _DESCRIPTOR.pack(descriptor))])


class Receiver:
    """Receives messages into one buffer of its own."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.buffer = bytearray(LARGEST + HEADER.size)

    def receive(self, want_descriptor: bool = True) -> Message | None:
        """Receive one message; None when the other side is gone.

        Parameters
        ----------
        want_descriptor : bool
            False is cheaper, and right where no descriptors are sent.

        Raises
        ------
        BlockingIOError
            The socket does not block and nothing is there.
        """
        descriptor = -1
        try:
            if want_descriptor:
                size, control, _, _ = self.end.recvmsg_into(
                    [self.buffer], _SPACE, socket.MSG_CMSG_CLOEXEC
                )
                if control:
                    descriptor = _DESCRIPTOR.unpack(control[0][2])[0]
            else:
                size = self.end.recv_into(self.buffer)
        except ConnectionResetError:
            return None
        if size == 0:
            return None
        payload = bytes(self.buffer[HEADER.size : size]) if size > HEADER.size else b""
        return Message._make((*HEADER.unpack_from(self.buffer), payload, descriptor))

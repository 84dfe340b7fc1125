"""The channel between master and worker: small fixed structs, descriptors by SCM_RIGHTS.

A message is a header of 48 bytes (what, by whom, how long, which connection, three stamps and a
number) and, where it has one, a payload. Towards the worker they go over a `SOCK_SEQPACKET` pair,
which keeps a packet's descriptors with its messages, and has as many of either as were due at once:
one wakes the worker no less than many.

Towards the master they go through pipes, of which one read takes all that has come. One is common
to all workers, for reports on connections, which are small: what several workers tell meanwhile
costs the master one read. Up to PIPE_BUF bytes are written to a pipe as a whole or not at all
(pipe(7)), so that reports do not mix, and whoever is killed leaves none half told. What may be
larger goes through a pipe of the worker's own. Only messages of the same pipe are in order.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
from collections.abc import Iterator
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
    "MOST",
    "PIECES",
    "READY",
    "REFUSED",
    "SMALL",
    "TASK",
    "Message",
    "Receiver",
    "Reports",
    "Ways",
    "pack",
    "pair",
    "pipe",
    "send",
    "write",
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

HEADER = struct.Struct("<BBHIQdddd")
SMALL = select.PIPE_BUF - HEADER.size
"""Bytes that the payload of a report on connections may have."""
LARGEST = 208 * 1024  # above head, body and one read more; below the socket buffer
MOST = 32  # messages in a packet
_READ = 65_536
_SPACE = socket.CMSG_SPACE(4 * MOST)
_NO_DESCRIPTORS: Iterator[int] = iter(())
_SOCKET, _RIGHTS = int(socket.SOL_SOCKET), int(socket.SCM_RIGHTS)
_ONE = struct.Struct("i")
_make = tuple.__new__  # a message without the call that a named tuple's own constructor is


class Message(NamedTuple):
    """One message. Stamps are CLOCK_MONOTONIC in seconds; `descriptor` is -1 if none came.

    `sender` is the worker whose report on a connection it is.
    """

    kind: int
    flags: int
    serial: int
    first: float
    second: float
    third: float
    value: float
    payload: bytes
    descriptor: int
    sender: int


class Ways(NamedTuple):
    """The ways of one worker to the master: descriptors of pipes."""

    common: int
    own: int

    def report(self, message: bytes) -> None:
        """Send a report on connections, with at most `SMALL` bytes of payload."""
        _say(self.common, message)

    def tell(self, message: bytes) -> None:
        """Send anything else."""
        _say(self.own, message)


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a way to a worker."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LARGEST)
    return ends


def pipe() -> tuple[int, int]:
    """Return the two ends of a way to the master: to read, which does not block, and to write."""
    to_read, to_write = os.pipe()
    os.set_blocking(to_read, False)
    with contextlib.suppress(OSError):  # over a user's share of such memory; it works without
        fcntl.fcntl(to_write, fcntl.F_SETPIPE_SZ, 2 * LARGEST)
    return to_read, to_write


def pack(
    kind: int,
    serial: int = 0,
    first: float = 0.0,
    second: float = 0.0,
    third: float = 0.0,
    value: float = 0.0,
    *,
    flags: int = 0,
    payload: bytes | bytearray = b"",
    sender: int = 0,
) -> bytes:
    """Return a message's bytes."""
    header = HEADER.pack(kind, flags, sender, len(payload), serial, first, second, third, value)
    return header + payload


def send(end: socket.socket, messages: list[bytes], descriptors: list[int]) -> None:
    """Send packed messages to a worker in one packet; descriptors, in order, are CONNECTs'."""
    if len(descriptors) == 1:  # the usual case
        end.sendmsg(messages, ((_SOCKET, _RIGHTS, _ONE.pack(descriptors[0])),))
    elif descriptors:
        rights = struct.pack(f"{len(descriptors)}i", *descriptors)
        end.sendmsg(messages, [(_SOCKET, _RIGHTS, rights)])
    else:
        end.sendmsg(messages)


def write(to_write: int, message: bytes) -> None:
    """Tell the master, which always reads; so to wait for room in the pipe cannot last."""
    written = os.write(to_write, message)
    while written < len(message):  # a signal came in between
        message = message[written:]
        written = os.write(to_write, message)


def _say(to_write: int, message: bytes) -> None:
    try:
        write(to_write, message)
    except OSError:
        os._exit(1)  # no master: nobody is left to serve for


class Receiver:
    """Receives packets in a worker, into one buffer of its own."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.buffer = bytearray(LARGEST + HEADER.size)

    def receive(self) -> list[Message] | None:
        """Receive the messages of one packet; None when the master is gone.

        Raises
        ------
        BlockingIOError
            The socket does not block and nothing is there.
        """
        try:
            size, control, _, _ = self.end.recvmsg_into(
                [self.buffer], _SPACE, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return None
        if size == 0:
            return None
        # Of more than we have room for, the kernel gives the first ones.
        rights = control[0][2] if control else b""
        descriptors = iter(struct.unpack(f"{len(rights) // 4}i", rights))
        return _unpack(self.buffer, size, descriptors)[0]


class Reports:
    """Receives in the master what is written into a pipe."""

    def __init__(self, to_read: int) -> None:
        self.to_read = to_read
        self.data = b""  # the beginning of a message

    def receive(self) -> list[Message] | None:
        """Receive all that is there; None when nobody is left to write.

        Raises
        ------
        BlockingIOError
            Nothing is there.
        """
        data = os.read(self.to_read, _READ)
        if not data:
            return None
        if self.data:
            data = self.data + data
        messages, end = _unpack(data, len(data), _NO_DESCRIPTORS)
        self.data = data[end:]
        return messages


def _unpack(
    data: bytes | bytearray, size: int, descriptors: Iterator[int]
) -> tuple[list[Message], int]:
    """Return the whole messages in the first bytes of `data`, and where they end."""
    messages = []
    start, begin = 0, HEADER.size
    while begin <= size:
        kind, flags, sender, length, serial, first, second, third, value = HEADER.unpack_from(
            data, start
        )
        end = begin + length
        if end > size:
            break
        payload = bytes(data[begin:end]) if length else b""
        descriptor = next(descriptors, -1) if kind == CONNECT else -1
        fields = (kind, flags, serial, first, second, third, value, payload, descriptor, sender)
        messages.append(_make(Message, fields))
        start, begin = end, end + HEADER.size
    return messages, start

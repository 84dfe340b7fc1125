"""Messages between workers, and between workers and master, as Node's ``process.send``.

They go through the master, over the channel that connections go over too: a small fixed header and
the bytes, never a pickle. So every message costs the master, and large ones keep it from passing
connections on: that is how communication becomes the bottleneck (`benchmarks/ipc.py`).

In a worker::

    from live import ipc

    ipc.on_message(lambda sender, data: ...)
    ipc.send(3, b"to worker 3")
    ipc.send(ipc.MASTER, b"to the master")
    ipc.broadcast(b"to all other workers")

A message to a worker that is not up is dropped, and counted by the master (``ipc_dropped``).
Messages from one sender to one receiver arrive in order.
"""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from lbsim.errors import InputError
from live import channel

if TYPE_CHECKING:
    from live.supervisor import Supervisor

__all__ = ["LARGEST", "MASTER", "Handler", "Post", "attach", "broadcast", "on_message", "send"]

MASTER = -1
"""The master's number."""

LARGEST = 128 * 1024
"""Bytes of a message at most; more is to be sent in pieces, or kept in a store."""

Handler = Callable[[int, bytes], None]
"""Gets the sender's number and the bytes."""

_TO_MASTER, _TO_ALL = 0xFFFFFFFF, 0xFFFFFFFE

_handlers: list[Handler] = []
_tell: list[Callable[[bytes], None]] = []  # of the worker in whose process this is


def on_message(handler: Handler) -> None:
    """Call `handler` for each message to this worker, in its event loop."""
    _handlers.append(handler)


def send(to: int, data: bytes) -> None:
    """Send bytes to a worker, or to `MASTER`.

    Raises
    ------
    InputError
        The message is too large, or this process is not a worker.
    """
    if to < MASTER or to >= _TO_ALL:
        raise InputError(f"to = {to} is no worker; give its index, or ipc.MASTER")
    _post(_TO_MASTER if to == MASTER else to, data)


def broadcast(data: bytes) -> None:
    """Send bytes to all other workers that are up."""
    _post(_TO_ALL, data)


def attach(tell: Callable[[bytes], None]) -> None:
    """Be the worker that this process is; `tell` sends a packed message to the master."""
    _tell[:] = [tell]


def receive(message: channel.Message) -> None:
    """Hand a message from the channel to the handlers."""
    sender = message.serial >> 32
    for handler in _handlers:
        handler(MASTER if sender == _TO_MASTER else sender, message.payload)


def _post(to: int, data: bytes) -> None:
    _check(data)
    if not _tell:
        raise InputError("this process is not a worker of a live server; call from its application")
    _tell[0](channel.pack(channel.MESSAGE, to, payload=data))


def _check(data: bytes) -> None:
    if len(data) > LARGEST:
        raise InputError(
            f"the message has {len(data):,} bytes, and {LARGEST:,} is the most; send it in pieces, "
            "or keep it in a store and send its key"
        )


class Post:
    """The master's part: it passes messages on.

    Parameters
    ----------
    crew : Supervisor
    counts : Counter
        Gets ``ipc_passed`` and ``ipc_dropped``.
    """

    def __init__(self, crew: "Supervisor", counts: "Counter[str]") -> None:
        self._crew = crew
        self._counts = counts
        self._handlers: list[Handler] = []

    def on_message(self, handler: Handler) -> None:
        """Call `handler` for each message to the master."""
        self._handlers.append(handler)

    def send(self, to: int, data: bytes) -> None:
        """Send bytes from the master to a worker."""
        _check(data)
        self._pass(to, _TO_MASTER, data)

    def broadcast(self, data: bytes) -> None:
        """Send bytes from the master to all workers that are up."""
        _check(data)
        for worker in self._crew.workers:
            self._pass(worker.index, _TO_MASTER, data)

    def forward(self, sender: int, message: channel.Message) -> None:
        """Take a message from a worker to where it is to go."""
        if message.serial == _TO_MASTER:
            for handler in self._handlers:
                handler(sender, message.payload)
        elif message.serial == _TO_ALL:
            for worker in self._crew.workers:
                if worker.index != sender:
                    self._pass(worker.index, sender, message.payload)
        else:
            self._pass(message.serial, sender, message.payload)

    def _pass(self, to: int, sender: int, data: bytes) -> None:
        from live.slot import UP

        if not 0 <= to < len(self._crew.workers) or self._crew.workers[to].state != UP:
            self._counts["ipc_dropped"] += 1
            return
        self._counts["ipc_passed"] += 1
        self._crew.send(to, channel.pack(channel.MESSAGE, sender << 32, payload=data))

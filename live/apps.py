"""The lab's application: it works and waits for as long as the request asks.

``/work?cpu_ms=5&wait_ms=20&bytes=100``: the CPU part blocks the loop, the wait is awaited, the
answer has so many bytes. With ``&key=7&miss_ms=50`` the request belongs to a session, and where
its state is not found, finding it elsewhere costs so much waiting. `app` blocks by sleeping to a
deadline, so that many workers fit on few cores; `spin` keeps a core busy; `hello` does nothing,
for benchmarks.
"""

import asyncio
import ctypes
import os
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from live.stores import Memory, Store, open_store

__all__ = ["app", "hello", "make", "sleep_to_deadline", "spin", "spin_to_deadline", "wait"]

LONGEST_MS = 600_000.0
LARGEST_ANSWER = 1 << 24
STATE = b"x" * 256  # of a session

_ITIMERSPEC = struct.Struct("qqqq")
_CLOCK_MONOTONIC = 1
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK and TFD_CLOEXEC have these values


def sleep_to_deadline(seconds: float) -> None:
    """Block the loop without using the processor."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(left)


def spin_to_deadline(seconds: float) -> None:
    """Block the loop and keep the processor busy."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


async def wait(seconds: float) -> None:
    """Await a time to within the kernel's precision.

    ``asyncio.sleep`` is late by a millisecond, because epoll counts in whole ones; a timerfd
    makes the loop wake up in time.
    """
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    descriptor = _libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
    if descriptor < 0:
        await asyncio.sleep(seconds)
        return
    try:
        whole = int(seconds)
        span = _ITIMERSPEC.pack(0, 0, whole, max(1, int((seconds - whole) * 1e9)))
        _libc.timerfd_settime(descriptor, 0, span, None)
        loop.add_reader(descriptor, _resolve, done)
        await done
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


_libc = ctypes.CDLL(None, use_errno=True)


def _resolve(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)


def make(
    block: Callable[[float], None] = sleep_to_deadline,
    wait: Callable[[float], Awaitable[None]] = wait,
    store: "Callable[[], Store] | None" = None,
) -> Any:
    """Return the lab's application with other ways to work and wait.

    Parameters
    ----------
    block : callable
        Blocks the loop for so many seconds.
    wait : callable
        Returns an awaitable for so many seconds.
    store : callable, optional
        Opens the store of sessions, in the worker; in the worker's memory by default.
    """
    opened: list[Store] = []

    async def find(key: str, miss_ms: float, scope: Any) -> None:
        if not opened:
            opened.append(Memory() if store is None else store())
        if opened[0].get(key) is None:
            if miss_ms > 0:
                await wait(miss_ms / 1000)
            opened[0].put(key, STATE)
            if "live" in scope:
                scope["live"].value = miss_ms / 1000

    async def lab(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        query = {k: v[0] for k, v in parse_qs(scope["query_string"].decode("latin-1")).items()}
        try:
            cpu_ms = _number(query, "cpu_ms", LONGEST_MS)
            wait_ms = _number(query, "wait_ms", LONGEST_MS)
            size = int(_number(query, "bytes", LARGEST_ANSWER))
            miss_ms = _number(query, "miss_ms", LONGEST_MS)
        except ValueError as error:
            await _answer(send, 400, str(error).encode())
            return
        while scope["method"] in ("POST", "PUT") and (await receive()).get("more_body"):
            pass
        # Other servers than ours run this application too.
        key = query.get("key") or getattr(scope.get("live"), "session", None)
        if key:
            await find(key, miss_ms, scope)
        if cpu_ms > 0:
            block(cpu_ms / 1000)
        if wait_ms > 0:
            await wait(wait_ms / 1000)
        await _answer(send, 200, b"x" * size if size else str(os.getpid()).encode())

    return lab


async def _lifespan(receive: Any, send: Any) -> None:
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(send: Any, status: int, body: bytes) -> None:
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(body)).encode()),
        (b"x-worker", str(os.getpid()).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _number(query: dict[str, str], name: str, largest: float) -> float:
    value = float(query.get(name, 0))
    if not 0 <= value <= largest:
        raise ValueError(f"{name} = {value} is not between 0 and {largest:g}")
    return value


def _store_of_environment() -> Store:
    """Open the store that ``LIVE_STORE`` names (see `live.stores.open_store`)."""
    return open_store(os.environ.get("LIVE_STORE", "memory"))


app = make(store=_store_of_environment)
spin = make(spin_to_deadline, store=_store_of_environment)


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """ASGI: the smallest answer."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await _answer(send, 200, b"hello\n")

"""Where session state is kept: in the worker, in a file that all workers share, or in Redis.

State in a worker's memory is the fastest to read and is lost with the worker, so requests of a
session must come back to it (sticky). Shared state costs each request a trip, and any worker may
serve it. A store is opened *in the worker*: connections do not survive a fork.

Calls block. In a worker that is an event loop everything else waits meanwhile; what that costs is
what `benchmarks/stores.py` measures.
"""

import sqlite3
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from lbsim import checks
from lbsim.errors import InputError

__all__ = ["Memory", "Redis", "SQLite", "Store", "open_store"]

PURGE_EVERY = 1000  # writes between two removals of what has expired


class Store(Protocol):
    """Session state by key.

    Attributes
    ----------
    is_shared : bool
        Whether another worker finds what this one has put.
    """

    is_shared: bool

    def get(self, key: str) -> bytes | None:
        """Return a session's state; None if there is none, or it has expired."""
        ...

    def put(self, key: str, value: bytes) -> None:
        """Keep a session's state, and begin its time to live anew."""
        ...

    def delete(self, key: str) -> None:
        """Forget a session; nothing happens if there is none."""
        ...

    def close(self) -> None:
        """Give up files and connections."""
        ...


class Memory:
    """State in this process.

    Parameters
    ----------
    capacity : int, default 100,000
        Sessions; one more evicts the one that was used least recently.
    ttl_s : float, optional
        Seconds after the last `put` when a session expires; never by default.

    Attributes
    ----------
    evictions : int
    size : int
        Bytes of all values.
    """

    is_shared = False

    def __init__(self, capacity: int = 100_000, ttl_s: float | None = None) -> None:
        self.capacity = checks.count("Memory", "capacity", capacity)
        self.ttl_s = _ttl("Memory", ttl_s)
        self.evictions = 0
        self.size = 0
        self._rows: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """Return a session's state; None if there is none, or it has expired."""
        row = self._rows.get(key)
        if row is None:
            return None
        value, expires = row
        if time.monotonic() >= expires:
            self.delete(key)
            return None
        self._rows.move_to_end(key)
        return value

    def put(self, key: str, value: bytes) -> None:
        """Keep a session's state, and begin its time to live anew."""
        self.delete(key)
        self._rows[key] = (value, time.monotonic() + self.ttl_s)
        self.size += len(value)
        if len(self._rows) > self.capacity:
            self.delete(next(iter(self._rows)))
            self.evictions += 1

    def delete(self, key: str) -> None:
        """Forget a session; nothing happens if there is none."""
        row = self._rows.pop(key, None)
        if row is not None:
            self.size -= len(row[0])

    def close(self) -> None:
        """Forget everything."""
        self._rows.clear()
        self.size = 0

    def __len__(self) -> int:
        return len(self._rows)


class SQLite:
    """State in one file on this machine, shared by all processes that open it.

    Readers do not wait for the writer (write-ahead log); writers wait for each other. A crash
    of a process loses nothing; after a crash of the machine the last writes may be missing.

    Parameters
    ----------
    path : str or Path
    ttl_s : float, optional
        Seconds after the last `put` when a session expires; never by default.
    """

    is_shared = True

    def __init__(self, path: str | Path, ttl_s: float | None = None) -> None:
        self.ttl_s = _ttl("SQLite", ttl_s)
        self._writes = 0
        try:
            self._file = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS sessions"
                " (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires REAL NOT NULL) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            raise InputError(
                f"{path} cannot be opened as a store of sessions ({error}); give a file that does "
                "not exist yet, in a directory that does"
            ) from error

    def get(self, key: str) -> bytes | None:
        """Return a session's state; None if there is none, or it has expired."""
        row = self._file.execute(
            "SELECT value FROM sessions WHERE key = ? AND expires > ?", (key, time.time())
        ).fetchone()
        return None if row is None else bytes(row[0])

    def put(self, key: str, value: bytes) -> None:
        """Keep a session's state, and begin its time to live anew."""
        now = time.time()
        self._file.execute(
            "INSERT INTO sessions VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
            " SET value = excluded.value, expires = excluded.expires",
            (key, value, now + self.ttl_s),
        )
        self._writes += 1
        if self._writes % PURGE_EVERY == 0:
            self._file.execute("DELETE FROM sessions WHERE expires <= ?", (now,))

    def delete(self, key: str) -> None:
        """Forget a session; nothing happens if there is none."""
        self._file.execute("DELETE FROM sessions WHERE key = ?", (key,))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Redis:
    """State in a Redis server, which machines can share.

    Parameters
    ----------
    url : str
        As ``redis://127.0.0.1:6379/0`` or ``unix:///run/redis.sock``.
    ttl_s : float, optional
        Seconds after the last `put` when a session expires; never by default.
    prefix : str
        Before every key, so that the server can be used for other things too.
    """

    is_shared = True

    def __init__(self, url: str, ttl_s: float | None = None, prefix: str = "session:") -> None:
        try:
            import redis
        except ImportError as error:
            raise InputError(
                f"{url}: the Python package redis is not installed; "
                "install it with: pip install 'lbsim[redis]'"
            ) from error
        ttl = _ttl("Redis", ttl_s)
        self._ttl_ms = None if ttl_s is None else max(1, round(ttl * 1e3))
        self._prefix = prefix
        self._server: Any = redis.Redis.from_url(url)
        try:
            self._server.ping()
        except redis.RedisError as error:
            self._server.close()
            raise InputError(
                f"{url}: no Redis server answers ({error}); start one with redis-server"
            ) from error

    def get(self, key: str) -> bytes | None:
        """Return a session's state; None if there is none, or it has expired."""
        value: bytes | None = self._server.get(self._prefix + key)
        return value

    def put(self, key: str, value: bytes) -> None:
        """Keep a session's state, and begin its time to live anew."""
        self._server.set(self._prefix + key, value, px=self._ttl_ms)

    def delete(self, key: str) -> None:
        """Forget a session; nothing happens if there is none."""
        self._server.delete(self._prefix + key)

    def close(self) -> None:
        """Close the connection."""
        self._server.close()


def open_store(where: str, ttl_s: float | None = None) -> Store:
    """Open a store by name.

    Parameters
    ----------
    where : str
        ``memory``, ``sqlite:PATH``, or a URL as `Redis` takes it.
    ttl_s : float, optional
        Seconds after the last `put` when a session expires; never by default.

    Examples
    --------
    >>> store = open_store("memory")
    >>> store.put("ada", b"cart: 3 books")
    >>> store.get("ada"), store.get("bob")
    (b'cart: 3 books', None)
    """
    if where == "memory":
        return Memory(ttl_s=ttl_s)
    kind = urlsplit(where).scheme
    if kind == "sqlite" and where[7:]:
        return SQLite(where[7:], ttl_s)
    if kind in ("redis", "unix"):
        return Redis(where, ttl_s)
    raise InputError(
        f"store = {where!r} is not known; give memory, sqlite:PATH or redis://HOST:PORT/0"
    )


def _ttl(who: str, ttl_s: float | None) -> float:
    return float("inf") if ttl_s is None else checks.positive(who, "ttl_s", ttl_s)

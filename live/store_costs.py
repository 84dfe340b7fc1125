"""What a session's state costs in each store, measured: one read and one write.

A store's price is paid by every request, and what it is to be weighed against is a request's
own work and the price of a session that is lost (`live.stores`).
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from live.stores import Store, open_store

__all__ = ["costs", "redis_server", "time_pairs"]


def time_pairs(store: Store, size: int, pairs: int, seed: int = 0) -> np.ndarray:
    """Read and write back sessions drawn from 500.

    Parameters
    ----------
    store : Store
    size : int
        Bytes of a session's state.
    pairs : int
    seed : int
        Of the draw; also keeps the sessions of two processes apart.

    Returns
    -------
    ndarray of float64, shape (pairs,)
        Seconds of each read and write.
    """
    keys = [f"{seed}-{i}" for i in np.random.default_rng(seed).integers(0, 500, pairs)]
    value = b"x" * size
    took = np.empty(pairs)
    for i, key in enumerate(keys):
        before = time.perf_counter()
        store.get(key)
        store.put(key, value)
        took[i] = time.perf_counter() - before
    return took


def costs(size: int = 1000, pairs: int = 2000) -> dict[str, np.ndarray]:
    """Measure every store there is on this machine, one process at a time.

    Parameters
    ----------
    size : int
        Bytes of a session's state.
    pairs : int
        Reads and writes of each store.

    Returns
    -------
    dict of str to ndarray, shape (pairs,)
        Seconds of each read and write, for ``memory``, ``sqlite`` and, where a `redis-server`
        can be started on a loopback port, ``redis``.
    """
    found = {}
    with tempfile.TemporaryDirectory() as place, redis_server(Path(place)) as url:
        where = {"memory": "memory", "sqlite": f"sqlite:{place}/sessions.db", "redis": url}
        for name, address in where.items():
            if address is not None:
                store = open_store(address)
                found[name] = time_pairs(store, size, pairs)
                store.close()
    return found


@contextmanager
def redis_server(place: Path) -> Iterator[str | None]:
    """Run a Redis server on a free loopback port; its URL, or None if there is none to run."""
    if shutil.which("redis-server") is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(
        [*command, "--dir", str(place)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        while server.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.01)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()

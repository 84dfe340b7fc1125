"""What a session's state costs in each store: ``python benchmarks/stores.py``.

Each request of the lab's session workload reads its session and writes it back. Printed is the
time of that pair at the median and the 99th percentile, alone and with other processes doing the
same, which is what a shared store is for.
"""

import argparse
import multiprocessing
import tempfile
from pathlib import Path

import numpy as np

from live.store_costs import redis_server, time_pairs
from live.stores import open_store

SIZES = (100, 10_000)  # bytes of a session's state
PROCESSES = (1, 4)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2000, help="reads and writes a process")
    pairs = parser.parse_args().pairs
    print(f"{'store':8} {'bytes':>7} {'processes':>10} {'p50 [µs]':>10} {'p99 [µs]':>10}")
    with tempfile.TemporaryDirectory() as place, redis_server(Path(place)) as url:
        for name, where in {
            "memory": "memory",
            "sqlite": f"sqlite:{place}/sessions.db",
            "redis": url,
        }.items():
            if where is None:
                print(f"{name:8} skipped: redis-server is not installed")
                continue
            for size in SIZES:
                for processes in PROCESSES:
                    p50, p99 = np.quantile(measure(where, size, processes, pairs), [0.5, 0.99])
                    print(f"{name:8} {size:7} {processes:10} {p50 * 1e6:10.1f} {p99 * 1e6:10.1f}")


def measure(where: str, size: int, processes: int, pairs: int) -> np.ndarray:
    """Return the seconds of each read and write."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with context.Pool(processes, initializer=_share, initargs=(barrier,)) as pool:
        jobs = [(where, size, who, pairs) for who in range(processes)]
        return np.concatenate(pool.starmap(_work, jobs, chunksize=1))


def _share(barrier: "multiprocessing.Barrier") -> None:
    global together
    together = barrier


def _work(where: str, size: int, who: int, pairs: int) -> np.ndarray:
    store = open_store(where)
    together.wait()
    took = time_pairs(store, size, pairs, who)
    store.close()
    return took


if __name__ == "__main__":
    main()

"""How far apart processes look that all wake for one connection."""

import mmap
import os
import select
import signal
import socket
import time

import numpy as np

from live.forked import die_with

__all__ = ["herd"]

CONNECTIONS = 60
PAUSE_S = 0.02  # between two: time to fall asleep, as between rare requests
LOOKING_S = 0.004  # within which all have looked


def herd(workers: int) -> float:
    """Return how much later each of so many sleepers looks than the one before, in seconds.

    They wait in ``epoll_wait`` on one listening socket, without EPOLLEXCLUSIVE, so that the kernel
    wakes all of them for a connection. Nobody accepts it before all have looked. The mean over the
    sleepers, and of that the median over some connections.
    """
    if workers < 2:
        return 0.0
    shared = mmap.mmap(-1, 8 * (1 + workers * CONNECTIONS))  # anonymous: the children have it too
    values = np.frombuffer(shared, np.float64)
    turn, looked = values[:1], values[1:].reshape(CONNECTIONS, workers)
    pids: list[int] = []
    parent = os.getpid()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        try:
            for worker in range(workers):
                pid = os.fork()
                if pid == 0:
                    _look(listener, turn, looked[:, worker], parent)
                pids.append(pid)
            for i in range(CONNECTIONS):
                time.sleep(PAUSE_S)
                turn[0] = i
                with socket.create_connection(listener.getsockname()):
                    time.sleep(LOOKING_S / 2)
                    listener.accept()[0].close()
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
    spans = np.ptp(looked[np.all(looked > 0.0, axis=1)], axis=1)
    return float(np.median(spans) / (workers - 1)) if len(spans) else 0.0


def _look(listener: socket.socket, turn: np.ndarray, looked: np.ndarray, parent: int) -> None:
    """Write down when each connection was seen, as long as the parent lives; never returns."""
    try:
        die_with(parent)
        with select.epoll() as poller:
            poller.register(listener, select.EPOLLIN)
            while True:
                poller.poll()
                looked[int(turn[0])] = time.monotonic()
                time.sleep(LOOKING_S)
    finally:
        os._exit(0)

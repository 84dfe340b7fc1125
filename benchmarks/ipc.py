"""Messages between two workers through the master: ``python benchmarks/ipc.py``.

For each size of message: how long one takes to a worker and back (p50, p99), how many a second go
through when 32 are under way, and the share of a core that the master spends on them. Where
that share nears 1, the master has no time left to pass connections on.
"""

import argparse
import asyncio
import json
import os
import time
import urllib.request
from urllib.parse import parse_qs

import numpy as np

from lbsim import Cluster, policies
from live import ipc
from live.machine import processor_time
from live.measuring import server

SIZES = (64, 1024, 8 * 1024, 64 * 1024, 128 * 1024)  # bytes
WINDOW = 32


class Echo:
    """ASGI: /run?size=64&n=1000&window=1 has the other worker send messages back."""

    def __init__(self) -> None:
        self.is_listening = False
        self.back: list[float] = []
        self.sent: list[float] = []
        self.n = 0

    def heard(self, sender: int, data: bytes) -> None:
        """Send a message back, or note that ours has come back and send the next."""
        if data[:1] == b"?":
            ipc.send(sender, b"!" + data[1:])
            return
        self.back.append(time.perf_counter())
        if len(self.sent) < self.n:
            self.post()
        elif len(self.back) == self.n:
            self.done.set()

    def post(self) -> None:
        """Send one message."""
        self.sent.append(time.perf_counter())
        ipc.send(1 - int(os.environ["LIVE_WORKER"]), self.data)

    async def __call__(self, scope: dict, receive: object, send: object) -> None:
        """Answer with the times of all round trips."""
        if scope["type"] == "lifespan":
            return
        if not self.is_listening:
            ipc.on_message(self.heard)
            self.is_listening = True
        query = {k: int(v[0]) for k, v in parse_qs(scope["query_string"].decode()).items()}
        took: list[float] = []
        if query:
            self.n, self.data = query["n"], b"?" + bytes(query["size"] - 1)
            self.sent, self.back = [], []
            self.done = asyncio.Event()
            for _ in range(min(query["window"], self.n)):
                self.post()
            await self.done.wait()
            took = [b - s for s, b in zip(self.sent, self.back, strict=True)]
            took.append(self.back[-1] - self.sent[0])
        body = json.dumps(took).encode()
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=2000, help="of each size")
    n = parser.parse_args().messages
    print(
        f"{'bytes':>8} {'round trip p50':>15} {'p99':>10} {'messages/s':>11} {'MB/s':>8} "
        f"{'master':>7}"
    )
    with server(policies.RoundRobin(), Cluster(2), app=Echo()) as running:
        for _ in range(2):
            ask(running.crew.address, "")  # both listen from now on
        for size in SIZES:
            took = ask(running.crew.address, f"?size={size}&n={n}&window=1")
            p50, p99 = np.quantile(took[:-1], [0.5, 0.99]) * 1e6
            before = processor_time(running.crew.master_pid)
            seconds = ask(running.crew.address, f"?size={size}&n={n}&window={WINDOW}")[-1]
            share = (processor_time(running.crew.master_pid) - before) / seconds
            rate = 2 * n / seconds  # there and back
            print(
                f"{size:8} {p50:12.0f} µs {p99:7.0f} µs {rate:11,.0f} {rate * size / 1e6:8.1f} "
                f"{share:7.0%}"
            )


def ask(address: tuple[str, int], query: str) -> list[float]:
    """Ask whichever worker is next."""
    url = f"http://{address[0]}:{address[1]}/run{query}"
    with urllib.request.urlopen(url, timeout=300) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="live needs Linux")

PATIENCE_S = 30.0


def eventually(condition, what):
    """Wait for a condition, never for a time."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"did not happen in {PATIENCE_S} s: {what}"
        time.sleep(0.01)


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def children(pid):
    """The processes that a process has begun, in whichever of its threads, and not waited for."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for file in files for child in file.read_text().split()}


class Live:
    """A master in its own process, watched through its log."""

    def __init__(self, *arguments, cwd=None, preexec_fn=None):
        root = str(Path(__file__).resolve().parents[2])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "live", "serve", *arguments, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            preexec_fn=preexec_fn,
            env=os.environ | {"PYTHONPATH": root},
        )
        self.events = []
        self.errors = ""
        self.readers = [
            threading.Thread(target=self._follow),
            threading.Thread(target=self._hear),
        ]
        for reader in self.readers:
            reader.start()

    def _follow(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def _hear(self):
        self.errors = self.process.stderr.read()

    def named(self, name):
        return [e for e in list(self.events) if e["event"] == name]

    def pids(self):
        """Pids of the workers that live, by index."""
        pids = {e["worker"]: e["pid"] for e in self.named("spawned")}
        return {index: pid for index, pid in pids.items() if is_alive(pid)}

    def wait_up(self, n):
        eventually(lambda: len(self.named("up")) >= n or self.process.poll() is not None, f"{n} up")
        assert self.process.poll() is None, (self.errors, self.events)
        self.port = self.named("listening")[0]["port"]

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        """Wait for the exit; return status and the last line's counts."""
        status = self.process.wait(PATIENCE_S)
        for reader in self.readers:
            reader.join(PATIENCE_S)
        stopped = self.named("stopped")
        return status, stopped[0] if stopped else {}

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        client.settimeout(PATIENCE_S)
        return client

    def ask(self, target="/work", method="GET", extra=""):
        """Send one request on its own connection; return all bytes of the answer."""
        with self.connect() as client:
            client.sendall(
                f"{method} {target} HTTP/1.1\r\nHost: a\r\n"
                f"Connection: close\r\n{extra}\r\n".encode()
            )
            return read_all(client)


def read_all(client):
    answer = b""
    while data := client.recv(65536):
        answer += data
    return answer


def read_answer(client):
    """Read one answer of a kept connection; return its head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.startswith(b"content-length")
    ]
    while len(body) < length:
        body += client.recv(65536)
    assert len(body) == length
    return head, body


def body_of(answer):
    return answer.partition(b"\r\n\r\n")[2]


def status_of(answer):
    return answer.split(b" ", 2)[1] if answer else b""


class Load:
    """Clients that ask one after another until told to stop."""

    def __init__(self, live, clients, target):
        self.statuses = []
        self.is_over = threading.Event()

        def ask():
            while not self.is_over.is_set():
                self.statuses.append(status_of(live.ask(target)))

        self.threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def flows(self, n=5):
        answered = len(self.statuses)
        eventually(lambda: len(self.statuses) >= answered + n, "requests flow")

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        return set(self.statuses)


def counts_of(live):
    """Stop a server in order; return its counts."""
    live.signal(signal.SIGTERM)
    status, counts = live.end()
    assert status == 0, live.errors
    return counts


@pytest.fixture
def serve():
    running = []

    def start(*arguments, up=None, **options):
        live = Live(*arguments, **options)
        running.append(live)
        if up is not None:
            live.wait_up(up)
        return live

    yield start
    for live in running:
        if live.process.poll() is None:
            live.signal(signal.SIGTERM)
            try:
                live.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                live.process.kill()
        live.end()
        live.process.stdout.close()
        live.process.stderr.close()
        spawned = [e["pid"] for e in live.named("spawned")]
        eventually(lambda: not any(map(is_alive, spawned)), "every worker is gone")  # noqa: B023

"""The live server beside others, and what its master costs: ``python benchmarks/server.py``.

Contenders take turns in one run, on the same cores, under the same load, so that a machine that is
busy for a while slows all of them; what counts are the ratios. Needs ``wrk``; rows of others are
left out where ``node`` is not installed.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from harness import Line, table

from lbsim import policies
from live.machine import processor_time
from live.top import fetch

ROOT = str(Path(__file__).resolve().parents[1])
CONNECTIONS = 64
CLOSE = ("-H", "Connection: close")
HELLO = """
const cluster = require('node:cluster');
if (cluster.isPrimary) {
  cluster.schedulingPolicy = cluster.SCHED_RR;
  for (let i = 0; i < 2; i += 1) cluster.fork();
  cluster.on('listening', (_, a) => console.log(a.port));
} else {
  require('node:http').createServer((_, response) => {
    response.setHeader('Content-Type', 'text/plain');
    response.setHeader('X-Worker', process.pid);
    response.end('hello\\n');
  }).listen(0, '127.0.0.1');
}
"""
# As ``uvicorn APP --workers N`` starts it, but for one option, which what is accepted inherits: it
# answers in two writes, and the second would wait 40 ms on a kept connection for the client to
# acknowledge the first (asyncio sets the option for sockets that say they are TCP; those that
# uvicorn shares among workers do not). So slow a peer would prove nothing.
UVICORN = """
import socket, sys
import uvicorn
from uvicorn.supervisors import Multiprocess

app, workers, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
config = uvicorn.Config(app, workers=workers, port=port, log_level="warning", access_log=False)
shared = config.bind_socket()
shared.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
Multiprocess(config, sockets=[shared]).run()
"""
# 40 µs where such a bare master, which reads the head, takes 28: on a faster or less busy machine.
LIKE_40 = 40 / 28
ARGUMENTS = {
    "ByKind": f"ByKind:groups={(tuple(range(8)), tuple(range(8, 16)))}",
    "SizeInterval": "SizeInterval:cutoffs=(0.5,)",
}


def main() -> None:
    """Measure what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn of wrk")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed; it is the load (Debian: apt-get install wrk)")
    for name in options.only:
        print(f"{name} …", file=sys.stderr, flush=True)
        print(table(CASES[name](options)), flush=True)


# --- servers -------------------------------------------------------------------------------------


@contextlib.contextmanager
def ours(
    *arguments: str, app: str = "live.apps:hello", workers: int = 2
) -> Iterator[tuple[int, int]]:
    """Run our server; yield its port and its master's pid."""
    command = [sys.executable, "-m", "live", "serve", app, "--workers", str(workers), "--port", "0"]
    with _running([*command, *arguments]) as process:
        assert process.stdout is not None
        up = port = 0
        while up < workers:
            event = json.loads(process.stdout.readline())
            port = event.get("port", port)
            up += event["event"] == "up"
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield port, process.pid


@contextlib.contextmanager
def bare(workers: int) -> Iterator[tuple[int, int]]:
    """Run the least that a master can do (`bare.py`)."""
    program = str(Path(__file__).with_name("bare.py"))
    with _running([sys.executable, program, str(workers)]) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid


@contextlib.contextmanager
def uvicorn(app: str = "live.apps:hello", workers: int = 2) -> Iterator[tuple[int, int]]:
    """Run uvicorn alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with _running([sys.executable, "-c", UVICORN, app, str(workers), str(port)]) as process:
        _await(port, process)
        yield port, process.pid


@contextlib.contextmanager
def node() -> Iterator[tuple[int, int]]:
    """Run Node's cluster with SCHED_RR and two workers."""
    with tempfile.NamedTemporaryFile("w", suffix=".js") as script:
        script.write(HELLO)
        script.flush()
        with _running(["node", script.name]) as process:
            assert process.stdout is not None
            ports = [process.stdout.readline() for _ in range(2)]
            yield int(ports[0]), process.pid


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def _await(port: int, server: subprocess.Popen[str]) -> None:
    while server.poll() is None:
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
        time.sleep(0.05)
    sys.exit("the server to compare with ended before it listened; it says why above")


def wrk(port: int, seconds: float, *arguments: str) -> float:
    """Return the requests a second that were answered, of a load of some seconds."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", *arguments]
    url = f"http://127.0.0.1:{port}/"
    said = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    errors = re.search(r"Socket errors.*|Non-2xx.*", said)
    if errors:
        print(f"  wrk: {errors[0]}", file=sys.stderr)
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found is not None, said
    return float(found[1])


# --- cases ---------------------------------------------------------------------------------------


def rates(options: argparse.Namespace) -> list[Line]:
    """Requests a second of a trivial application with two workers."""
    with contextlib.ExitStack() as stack:
        ports = {
            "live": stack.enter_context(ours())[0],
            "uvicorn --workers 2": stack.enter_context(uvicorn())[0],
        }
        if shutil.which("node"):
            ports["Node SCHED_RR"] = stack.enter_context(node())[0]
        found: dict[tuple[str, str], list[float]] = {}
        for _ in range(options.rounds):
            for kind, arguments in (("a connection each", CLOSE), ("kept connections", ())):
                for name, port in ports.items():
                    rate = wrk(port, options.seconds, *arguments)
                    found.setdefault((kind, name), []).append(rate)
    marks = {
        ("a connection each", "uvicorn --workers 2"): 0.75,
        ("a connection each", "Node SCHED_RR"): 1.2,
        ("kept connections", "uvicorn --workers 2"): 0.9,
    }
    return [
        _ratio(kind, name, found[kind, "live"], theirs, marks.get((kind, name)))
        for (kind, name), theirs in found.items()
        if name != "live"
    ]


def _ratio(
    kind: str, name: str, mine: list[float], theirs: list[float], mark: float | None
) -> Line:
    ratio = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
    return Line(
        f"trivial application, {kind}",
        name,
        f"{statistics.median(mine):,.0f}/s",
        f"{statistics.median(theirs):,.0f}/s",
        ratio,
        "" if mark is None else f"≥ {mark:g} ×",
        None if mark is None else ratio >= mark,
    )


def cpu(options: argparse.Namespace) -> list[Line]:
    """Processor time of the master for each connection, all of it, under every shipped policy.

    The same time of a master that does nothing but accept, read and pass sockets says how much
    of it is Python's and the kernel's on this machine, at this hour.
    """
    lines = []
    kinds = {n: getattr(policies, n) for n in policies.__all__ if n != "parse"}
    names = [n for n, kind in kinds.items() if not (kind.oracle or kind.at_turns)]
    with bare(16) as theirs:
        for name in names:
            policy = ARGUMENTS.get(name, name)
            with ours("--policy", policy, "--key", "ip", workers=16) as mine:
                samples = [
                    [_cpu_each(*master, options.seconds) for master in (mine, theirs)]
                    for _ in range(options.rounds)
                ]
            own, least = (1e6 * statistics.median(column) for column in zip(*samples, strict=True))
            ratio = statistics.median(a / b for a, b in samples)
            lines.append(
                Line(
                    f"master, {name}, 16 workers",
                    "bare master",
                    f"{own:.1f} µs a connection",
                    f"{least:.1f} µs",
                    ratio,
                    f"≤ 40 µs, or {LIKE_40:.3g} ×",
                    own <= 40 or ratio <= LIKE_40,
                )
            )
    return lines


def _cpu_each(port: int, pid: int, seconds: float) -> float:
    """Return a master's processor time for each connection under a load, in seconds."""
    before = processor_time(pid)
    rate = wrk(port, seconds, *CLOSE)
    return (processor_time(pid) - before) / (rate * seconds)


def latency(options: argparse.Namespace) -> list[Line]:
    """What the way through the master adds to a 20 ms handler at low load, against uvicorn."""
    times: dict[str, list[float]] = {"live": [], "uvicorn": []}
    app = "live.apps:app"
    with ours(app=app) as (mine, _), uvicorn(app=app) as (theirs, _):
        for _ in range(options.rounds * max(1, int(options.seconds * 40))):
            for name, port in (("live", mine), ("uvicorn", theirs)):
                begin = time.perf_counter()
                assert _ask(port, "/work?cpu_ms=20").startswith(b"HTTP/1.1 200"), name
                times[name].append(time.perf_counter() - begin)
    lines = []
    for q, mark in ((0.5, 0.5), (0.99, 2.0)):
        a, b = (1e3 * sorted(times[n])[int(q * len(times[n]))] for n in ("live", "uvicorn"))
        lines.append(
            Line(
                f"20 ms handler, one at a time, p{q * 100:.0f}",
                "uvicorn",
                f"{a:.2f} ms",
                f"{b:.2f} ms",
                None,
                f"≤ + {mark} ms",
                a - b <= mark,
            )
        )
    return lines


def _ask(port: int, target: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := client.recv(65536):
            answer += data
        return answer


def memory(options: argparse.Namespace) -> list[Line]:
    """Resident memory of the master before and after 100,000 requests."""
    with ours() as (port, pid):
        wrk(port, 2, *CLOSE)
        before = fetch(str(pid))
        while fetch(str(pid))["counts"]["answered"] < before["counts"]["answered"] + 100_000:
            wrk(port, options.seconds, *CLOSE)
        after = fetch(str(pid))
    grown = (after["resident"] - before["resident"]) / 1e6
    return [
        Line(
            "resident memory of the master",
            "–",
            f"{after['resident'] / 1e6:.1f} MB",
            "",
            None,
            "< 60 MB",
            after["resident"] < 60e6,
        ),
        Line(
            "grown in 100,000 requests",
            "–",
            f"{grown:.2f} MB",
            "",
            None,
            "flat (< 1 MB)",
            grown < 1.0,
        ),
    ]


def shares(options: argparse.Namespace) -> list[Line]:
    """Which of four workers takes how much at 100 requests a second, and what that costs."""
    lines = []
    for case, arguments in {
        "one socket, exclusive wake-ups": ("--mode", "shared", "--exclusive"),
        "one socket": ("--mode", "shared"),
        "a socket each (SO_REUSEPORT)": ("--mode", "reuseport"),
        "passed in turn": ("--policy", "RoundRobin"),
        "passed to the least loaded": ("--policy", "LeastConnections"),
    }.items():
        with ours(*arguments, app="live.apps:app", workers=4) as (port, _):
            took = Counter(pid for pid, _ in _ask_steadily(port, "/work", options))
            slow = sorted(seconds for _, seconds in _ask_steadily(port, "/work?cpu_ms=20", options))
        total = sum(took.values())
        text = " / ".join(f"{100 * n / total:.1f}" for _, n in took.most_common())
        p99 = slow[int(0.99 * len(slow))] * 1e3
        lines.append(Line(f"{case}, 4 workers", "–", f"{text} %", f"p99 {p99:.0f} ms", None))
    return lines


def _ask_steadily(
    port: int, target: str, options: argparse.Namespace, rate: float = 100.0
) -> list[tuple[bytes, float]]:
    """Return of each request which process answered it, and after how long."""
    seen: list[tuple[bytes, float]] = []

    def ask() -> None:
        begin = time.monotonic()
        head = _ask(port, target).lower()
        seen.append((head.split(b"x-worker: ")[1].split(b"\r\n")[0], time.monotonic() - begin))

    _steadily(ask, int(options.rounds * options.seconds * rate), rate)
    return seen


def _steadily(
    ask: Callable[[], None],
    n: int,
    rate: float,
    meanwhile: Callable[[float], None] = lambda _: None,
) -> None:
    """Call `ask` at a rate, in threads, and wait for all; `meanwhile` is told the time gone by."""
    begin = time.monotonic()
    threads = []
    for i in range(n):
        time.sleep(max(0.0, begin + i / rate - time.monotonic()))
        threads.append(threading.Thread(target=ask))
        threads[-1].start()
        meanwhile(time.monotonic() - begin)
    for thread in threads:
        thread.join()


def kills(_: argparse.Namespace) -> list[Line]:
    """Requests lost when workers are killed: 2,000 with a kill every 2 s, then 2 kills a second."""
    return [
        _killing("2,000 requests, 100 a second, a kill -9 every 2 s", 100.0, 20.0, 2.0),
        _killing("60 s, 100 a second, two kills a second", 100.0, 60.0, 0.5),
    ]


def _killing(case: str, rate: float, seconds: float, every: float) -> Line:
    rng = random.Random(1)
    statuses: list[bytes] = []
    n_kills = 0
    with ours(app="live.apps:app", workers=4) as (port, pid):

        def ask() -> None:
            try:
                statuses.append(_ask(port, "/work?cpu_ms=20").split(b" ", 2)[1])
            except (OSError, IndexError) as error:
                statuses.append(type(error).__name__.encode())

        def kill(gone_by: float) -> None:
            nonlocal n_kills
            if gone_by > every * (n_kills + 1):
                up = [w["pid"] for w in fetch(str(pid))["workers"] if w["state"] == "up"]
                if up:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(rng.choice(up), signal.SIGKILL)
                n_kills += 1

        _steadily(ask, int(rate * seconds), rate, kill)
    lost = sum(status != b"200" for status in statuses)
    return Line(
        case, "–", f"{lost} of {len(statuses)} lost ({n_kills} kills)", "", None, "0", lost == 0
    )


CASES: dict[str, Callable[[argparse.Namespace], list[Line]]] = {
    "rates": rates,
    "cpu": cpu,
    "latency": latency,
    "memory": memory,
    "shares": shares,
    "kills": kills,
}

if __name__ == "__main__":
    main()

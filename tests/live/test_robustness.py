"""Clients, workers and limits that misbehave, with real processes and sockets."""

import contextlib
import os
import random
import resource
import select
import signal
import socket
import struct
import threading
import time

import pytest
from conftest import (
    PATIENCE_S,
    Load,
    children,
    counts_of,
    eventually,
    is_alive,
    read_all,
    status_of,
)

from live.top import fetch

LAB = ("live.apps:app", "--workers")
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


def request(target="/work", extra=""):
    return f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{extra}\r\n".encode()


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT])
def test_any_deadly_signal_loses_nothing(serve, number):
    live = serve(*LAB, "2", "--max-attempts", "20", up=2)
    load = Load(live, 4, "/work?cpu_ms=10")
    for _ in range(3):
        load.flows()
        n_up = len(live.named("up"))
        os.kill(random.Random(1).choice(sorted(live.pids().values())), number)
        eventually(lambda n=n_up: len(live.named("up")) > n, "a new worker")
    assert load.stop() == {b"200"}
    eventually(lambda: len(children(live.process.pid)) == 2, "no zombie")
    counts = counts_of(live)
    assert counts["answered"] == counts["accepted"] == len(load.statuses)


def test_killed_during_reload_loses_nothing(serve):
    live = serve(*LAB, "3", "--max-attempts", "20", up=3)
    load = Load(live, 4, "/work?cpu_ms=10")
    before = set(live.pids().values())
    load.flows()
    live.signal(signal.SIGHUP)
    for n_up in (3, 4):
        eventually(lambda n=n_up: len(live.named("up")) > n, "the reload goes on")
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.Random(2).choice(sorted(live.pids().values())), signal.SIGKILL)
    eventually(lambda: not before & set(live.pids().values()), "all are replaced")
    load.flows()
    assert load.stop() == {b"200"}
    counts_of(live)


def test_killed_between_handover_and_acknowledgement(serve):
    live = serve(*LAB, "1", "--policy", "NodeCluster", up=1)
    (pid,) = live.pids().values()
    os.kill(pid, signal.SIGSTOP)
    with live.connect() as client, live.connect() as queued:
        client.sendall(request())
        queued.sendall(request())
        time.sleep(0.2)  # handed over, but never taken; the second waits for its acknowledgement
        os.kill(pid, signal.SIGKILL)
        assert status_of(read_all(client)) == status_of(read_all(queued)) == b"200"


def test_an_end_and_another_s_report_that_the_master_finds_at_once(serve):
    live = serve(*LAB, "2", "--policy", "RoundRobin", up=2)
    pids = list(live.pids().values())
    before = [descriptors(pid) for pid in pids]
    with live.connect() as first, live.connect() as second:
        first.sendall(request("/work?wait_ms=1000"))
        second.sendall(request("/work?wait_ms=1000"))
        eventually(
            lambda: all(descriptors(pid) > n for pid, n in zip(pids, before, strict=True)),
            "each has a connection",
        )
        victim, _ = pids
        live.signal(signal.SIGSTOP)
        os.kill(victim, signal.SIGKILL)  # its end is seen first, and takes what there is to hear
        eventually(lambda: not is_alive(victim), "it has ended")
        answered, _, _ = select.select([first, second], [], [], PATIENCE_S)
        time.sleep(0.05)  # its report goes into the pipe after the answer
        live.signal(signal.SIGCONT)
        assert answered
        assert status_of(read_all(first)) == status_of(read_all(second)) == b"200"


def test_slow_clients_hinder_nobody_and_are_served(serve):
    live = serve(*LAB, "1", up=1)
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(live.connect()) for _ in range(50)]
        for byte in request():
            for client in slow:
                client.sendall(bytes([byte]))
            if byte == ord(":"):
                assert status_of(live.ask()) == b"200"
        assert {status_of(read_all(client)) for client in slow} == {b"200"}


def test_who_sends_no_head_is_told_and_holds_up_no_stop(serve):
    live = serve(*LAB, "1", "--head-s", "0.5", up=1)
    with live.connect() as silent, live.connect() as half:
        half.sendall(b"GET /wo")
        assert status_of(read_all(half)) == b"408"
        assert status_of(read_all(silent)) == b"408"
    live = serve(*LAB, "1", up=1)
    with live.connect():
        counts_of(live)


def test_slow_body_is_the_worker_s_to_wait_for(serve):
    live = serve(*LAB, "1", "--head-s", "0.3", up=1)
    with live.connect() as client:
        client.sendall(b"PUT /work HTTP/1.1\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab")
        time.sleep(0.6)  # past the limit for the head
        client.sendall(b"cd")
        assert status_of(read_all(client)) == b"200"


def test_clients_that_vanish_while_queued_cost_no_worker_anything(serve):
    live = serve(*LAB, "1", "--policy", "CentralQueue", up=1)
    with live.connect() as busy:
        busy.sendall(request("/work?cpu_ms=500"))
        time.sleep(0.1)  # so that it is in service
        for _ in range(5):
            with live.connect() as client:
                client.sendall(request("/work?cpu_ms=5000"))
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                time.sleep(0.02)  # into the queue
        assert status_of(read_all(busy)) == b"200"
    assert status_of(live.ask()) == b"200"
    counts = counts_of(live)
    assert (counts["client_left"], counts["answered"]) == (5, 2)


def test_clients_that_vanish_while_served_leave_nothing(serve):
    live = serve(*LAB, "1", up=1)
    (pid,) = live.pids().values()
    live.ask()
    before = descriptors(live.process.pid) + descriptors(pid)
    for n in range(20):
        with live.connect() as client:
            client.sendall(request("/work?wait_ms=50&bytes=300000"))
            if n % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    eventually(lambda: descriptors(live.process.pid) + descriptors(pid) <= before, "all is closed")
    assert status_of(live.ask()) == b"200"


@pytest.mark.parametrize("n", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_connections_one_after_another_leave_no_descriptor(serve, n):
    live = serve("live.apps:hello", "--workers", "2", up=2)
    pids = [live.process.pid, *live.pids().values()]
    live.ask()

    def now():
        return [descriptors(pid) for pid in pids]

    before = now()
    for _ in range(n):
        with socket.create_connection(("127.0.0.1", live.port)) as client:
            client.sendall(request())
            assert client.recv(4096)[:15] == b"HTTP/1.1 200 OK"
    eventually(lambda: sum(now()) <= sum(before), f"as before: {before}")
    counts = counts_of(live)
    assert counts["answered"] == counts["accepted"] == n + 1


def few(n):
    """Return what limits a child's descriptors."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


def test_descriptor_limit_pauses_accepting_and_crashes_nothing(serve):
    live = serve(*LAB, "1", up=1, preexec_fn=few(160))
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(live.connect()) for _ in range(100)]
        late = idle[-1]
        late.sendall(request())
        late.settimeout(0.5)
        with pytest.raises(TimeoutError):
            late.recv(1)
        for client in idle[:-1]:
            client.close()
        late.settimeout(30)
        assert status_of(read_all(late)) == b"200"
    assert status_of(live.ask()) == b"200"
    assert counts_of(live)["accept_paused"] >= 1


@pytest.mark.parametrize("path", ["/status", "/metrics"])
def test_whoever_watches_a_master_without_descriptors_does_not_end_it(serve, path):
    live = serve("live.apps:hello", "--workers", "1", "--admin", "127.0.0.1:0", up=1)
    (listening,) = live.named("listening")
    pid = live.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = (n for n in range(len(used) + 2) if n not in used)
    next(free)  # for the one who asks
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (next(free), limits[1]))

    def watch():
        with socket.create_connection(listening["admin"], timeout=PATIENCE_S) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
            return status_of(read_all(client))

    assert watch() == b"503"
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert watch() == b"200"
    assert status_of(live.ask()) == b"200"


def test_worker_without_descriptors_gives_back_what_it_cannot_take(serve, tmp_path):
    (tmp_path / "poor.py").write_text(
        "import os, resource\n"
        "from live.apps import app\n"
        "from live import asgi\n"
        "n = len(os.listdir('/proc/self/fd')) + 6\n"
        "if os.environ['LIVE_WORKER'] == '0':\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))\n"
    )
    live = serve("poor:app", "--workers", "2", "--policy", "RoundRobin", up=2, cwd=tmp_path)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(live.connect()) for _ in range(40)]
        for client in clients:
            client.sendall(request("/work?wait_ms=300"))
        assert {status_of(read_all(client)) for client in clients} == {b"200"}
    assert counts_of(live)["refused_by_worker"] >= 1


@pytest.mark.parametrize("mode", ["pass", "shared"])
def test_worker_whose_application_took_all_descriptors_still_says_how_it_is(serve, tmp_path, mode):
    (tmp_path / "greedy.py").write_text(
        "import os, resource\n"
        "from live.apps import hello\n"
        "taken = []\n"
        "async def app(scope, receive, send):\n"
        "    if not taken and scope['type'] == 'http':\n"
        "        n = len(os.listdir('/proc/self/fd')) + 8\n"
        "        resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))\n"
        "        try:\n"
        "            while True:\n"
        "                taken.append(os.open('/dev/null', os.O_RDONLY))\n"
        "        except OSError:\n"
        "            pass\n"
        "    await hello(scope, receive, send)\n"
    )
    live = serve("greedy:app", "--workers", "1", "--mode", mode, up=1, cwd=tmp_path)
    assert status_of(live.ask()) == b"200"

    def worker():
        (only,) = fetch(str(live.process.pid))["workers"]
        return only

    # What it said last was said after all were taken, and it goes on to.
    for _ in range(3):
        before = worker()["reported"]
        eventually(lambda before=before: worker()["reported"] > before, "it says how it is")
    assert worker()["restarts"] == 0


def test_full_backlog_delays_and_loses_nothing(serve):
    live = serve(*LAB, "1", "--backlog", "4", up=1)
    live.signal(signal.SIGSTOP)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(status_of(live.ask()))) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.3)  # the kernel's queue is full; more connections are not even opened
    live.signal(signal.SIGCONT)
    for thread in threads:
        thread.join()
    assert answers == [b"200"] * 12


def test_fuzzed_requests_leave_the_server_whole(serve):
    live = serve(*LAB, "2", up=2)
    pids = live.pids()
    good = b"POST /work?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nCookie: s=1\r\n\r\nabc"
    rng = random.Random(7)
    for _ in range(300):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data))
            what = rng.randrange(3)
            if what == 0:
                data[at] = rng.randrange(256)
            elif what == 1:
                del data[at : at + rng.randrange(1, 9)]
            else:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
        with live.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                read_all(client)
    assert status_of(live.ask()) == b"200"
    assert live.pids() == pids
    eventually(lambda: descriptors(live.process.pid) < 16, "all are closed")


def test_request_on_a_kept_connection_of_a_dead_worker_ends_cleanly(serve):
    live = serve(*LAB, "1", up=1)
    (pid,) = live.pids().values()
    with live.connect() as client, live.connect() as idle:
        for each in (client, idle):
            each.sendall(b"GET /work HTTP/1.1\r\nHost: a\r\n\r\n")
            assert each.recv(4096).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /work?cpu_ms=5000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)  # into the work
        os.kill(pid, signal.SIGKILL)
        assert read_all(client) == read_all(idle) == b""  # no reset
    counts = counts_of(live)
    assert (counts["lost_on_kept_connection"], counts["kept_closed"]) == (1, 2)


@pytest.mark.slow
def test_two_kills_a_second_for_a_minute_lose_nothing(serve):
    live = serve(*LAB, "4", "--policy", "LeastConnections", up=4)
    load = Load(live, 8, "/work?cpu_ms=20")
    rng = random.Random(3)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(0.5)
        pids = sorted(live.pids().values())
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(pids), signal.SIGKILL)
    assert load.stop() == {b"200"}
    counts = counts_of(live)
    assert counts["answered"] == counts["accepted"] == len(load.statuses)

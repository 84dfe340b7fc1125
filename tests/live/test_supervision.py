"""Real processes, really killed: what clients see of it."""

import os
import resource
import select
import signal
import subprocess
import threading
import time

import pytest
from conftest import eventually, is_alive, read_all, status_of

from live.slot import UP
from live.supervisor import Supervisor

LAB = ("live.apps:app", "--workers")


def hammer(live, n_clients, stop, statuses, target):
    def client():
        while not stop.is_set():
            statuses.append(status_of(live.ask(target)))

    threads = [threading.Thread(target=client) for _ in range(n_clients)]
    for thread in threads:
        thread.start()
    return threads


def test_kill_9_under_load_loses_nothing(serve):
    live = serve(*LAB, "3", "--policy", "LeastConnections", "--max-attempts", "20", up=3)
    stop, statuses = threading.Event(), []
    threads = hammer(live, 6, stop, statuses, "/work?cpu_ms=20")
    for kill in range(6):
        n_up = len(live.named("up"))
        answered = len(statuses)
        eventually(lambda a=answered: len(statuses) > a + 5, "requests flow")
        os.kill(list(live.pids().values())[kill % len(live.pids())], signal.SIGKILL)
        eventually(lambda n=n_up: len(live.named("up")) > n, "a new worker")
    stop.set()
    for thread in threads:
        thread.join()
    live.signal(signal.SIGTERM)
    status, counts = live.end()
    assert status == 0
    assert set(statuses) == {b"200"}
    assert counts["answered"] == counts["accepted"] == len(statuses)
    assert counts["redispatched"] >= 1


def test_all_workers_killed_at_once_delays_but_loses_nothing(serve):
    live = serve(*LAB, "2", up=2)
    stop, statuses = threading.Event(), []
    threads = hammer(live, 4, stop, statuses, "/work?cpu_ms=20")
    eventually(lambda: len(statuses) > 5, "requests flow")
    for pid in live.pids().values():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(live.named("up")) >= 4, "both are back")
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {b"200"}


def test_killed_with_post_is_502_unless_asked(serve):
    for extra, expected in (((), b"502"), (("--retry-all",), b"200")):
        live = serve(*LAB, "1", *extra, up=1)
        answers = []
        client = threading.Thread(
            target=lambda: answers.append(live.ask("/work?cpu_ms=400", "POST"))  # noqa: B023
        )
        client.start()
        (pid,) = live.pids().values()
        time.sleep(0.2)  # into the work; the outcome does not depend on how far
        os.kill(pid, signal.SIGKILL)
        client.join()
        assert status_of(answers[0]) == expected


def test_request_that_kills_every_worker_ends_as_502(serve, tmp_path):
    (tmp_path / "deadly.py").write_text(
        "import os, signal\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    live = serve("deadly:app", "--workers", "1", up=1, cwd=tmp_path)
    assert status_of(live.ask()) == b"502"
    live.signal(signal.SIGTERM)
    live.end()  # the log is read by a thread of its own: complete only now
    # max_attempts were killed; who came after them left as asked.
    assert [e["code"] for e in live.named("exited")].count(-signal.SIGKILL) == 3


def test_worker_killed_in_mid_answer_ends_the_connection(serve, tmp_path):
    (tmp_path / "half.py").write_text(
        "import os, signal\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    await send({'type': 'http.response.start', 'status': 200,\n"
        "                'headers': [(b'content-length', b'10')]})\n"
        "    await send({'type': 'http.response.body', 'body': b'half', 'more_body': True})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    live = serve("half:app", "--workers", "1", up=1, cwd=tmp_path)
    assert live.ask().endswith(b"half")
    live.signal(signal.SIGTERM)
    assert live.end()[1]["lost_answer_begun"] == 1


def test_stopped_worker_is_found_and_its_request_served(serve):
    live = serve(*LAB, "1", "--hang-s", "2", up=1)
    (pid,) = live.pids().values()
    os.kill(pid, signal.SIGSTOP)
    assert status_of(live.ask()) == b"200"
    assert live.named("hung")[0]["pid"] == pid


def test_reload_under_load_replaces_every_worker_and_loses_nothing(serve):
    live = serve(*LAB, "2", up=2)
    before = set(live.pids().values())
    stop, statuses = threading.Event(), []
    threads = hammer(live, 4, stop, statuses, "/work?cpu_ms=10")
    eventually(lambda: len(statuses) > 5, "requests flow")
    live.signal(signal.SIGHUP)
    eventually(lambda: len(live.named("up")) == 4, "two new workers")
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {b"200"}
    assert not before & set(live.pids().values())
    assert {e["code"] for e in live.named("exited")} == {0}


def test_stop_waits_for_requests(serve):
    live = serve(*LAB, "1", up=1)
    with live.connect() as client:
        client.sendall(b"GET /work?cpu_ms=500 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert not live.named("drain")
        eventually(lambda: live.process.poll() is None, "running")
        time.sleep(0.2)  # let the master take the request
        live.signal(signal.SIGTERM)
        assert status_of(read_all(client)) == b"200"
    assert live.end()[0] == 0


def test_master_killed_leaves_no_worker(serve):
    live = serve(*LAB, "2", up=2)
    pids = list(live.pids().values())
    live.signal(signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, pids)), "no orphan")


def test_app_that_cannot_start_stops_the_master_with_its_traceback(serve, tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('no database')\n")
    live = serve("broken:app", "--workers", "1", cwd=tmp_path)
    assert live.end()[0] == 3
    assert "RuntimeError: no database" in live.errors


def test_port_in_use_is_one_line(serve, capsys):
    live = serve(*LAB, "1", up=1)
    from live.cli import main

    assert main(["serve", "live.apps:app", "--port", str(live.port)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "Address already in use" in message


def test_scaling_up_and_down_while_it_runs(serve):
    live = serve(*LAB, "2", "--most-workers", "3", up=2)
    stop, statuses = threading.Event(), []
    threads = hammer(live, 4, stop, statuses, "/work?cpu_ms=5")
    live.signal(signal.SIGTTIN)
    eventually(lambda: len(live.named("up")) == 3, "a third worker")
    live.signal(signal.SIGTTIN)
    eventually(lambda: live.named("not_scaled"), "there is no fourth")
    for left in (2, 1):
        live.signal(signal.SIGTTOU)
        eventually(lambda n=left: len(live.pids()) == n, "one leaves")
    live.signal(signal.SIGTTOU)
    eventually(lambda: len(live.named("not_scaled")) == 2, "the last one stays")
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {b"200"}
    assert {e["code"] for e in live.named("exited")} == {0}


def test_a_worker_that_grows_is_replaced(serve, tmp_path):
    (tmp_path / "greedy.py").write_text(
        "from live.apps import app as lab\n"
        "kept = []\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'http':\n"
        "        kept.append(bytearray(b'x' * 200_000_000))\n"
        "    await lab(scope, receive, send)\n"
    )
    live = serve("greedy:app", "--workers", "1", "--memory-mb", "150", up=1, cwd=tmp_path)
    assert status_of(live.ask()) == b"200"
    eventually(lambda: len(live.named("up")) == 2, "another worker")
    assert live.named("memory")[0]["bytes"] > 150e6
    assert live.named("exited")[0]["code"] == 0


def test_a_reload_with_a_bug_keeps_the_workers_that_serve(serve, tmp_path):
    module = tmp_path / "shop.py"
    module.write_text("from live.apps import app\n")
    live = serve("shop:app", "--workers", "2", up=2, cwd=tmp_path)
    module.write_text("raise RuntimeError('no database')\n")
    live.signal(signal.SIGHUP)
    eventually(lambda: live.named("failed"), "the first one cannot boot")
    assert "no database" in live.named("failed")[0]["traceback"]
    assert status_of(live.ask()) == b"200"
    assert list(live.pids()) == [1]
    module.write_text("from live.apps import app\n")
    live.signal(signal.SIGHUP)
    eventually(lambda: len(live.named("up")) == 4, "two new ones")
    assert status_of(live.ask()) == b"200"


def test_a_master_that_was_stopped_blames_no_worker(serve):
    live = serve(*LAB, "1", "--hang-s", "1", up=1)
    (pid,) = live.pids().values()
    live.signal(signal.SIGSTOP)
    time.sleep(2.5)  # longer than the limit
    live.signal(signal.SIGCONT)
    assert status_of(live.ask()) == b"200"
    assert list(live.pids().values()) == [pid]
    assert not live.named("hung")


class Notebook:
    """An owner of workers who only writes down."""

    def __init__(self):
        self.events = []

    def log(self, event, **fields):
        self.events.append(event)


@pytest.fixture
def silent():
    """A supervisor that allows 1 s of silence, and its one worker, heard last at 0.4 s."""
    process = subprocess.Popen(["sleep", "60"])
    owner = Notebook()
    supervisor = Supervisor(
        owner, 1, 1, "", select.epoll(), {}, needs_ack=False, door=None, cookie=None,
        ledger=None, hang_s=1.0, drain_s=10.0, memory_limit=None,
    )  # fmt: skip
    (worker,) = supervisor.workers
    worker.state, worker.pid, worker.beat = UP, process.pid, 0.4
    yield supervisor, owner
    process.kill()
    process.wait()
    supervisor.close()
    supervisor.poller.close()


def test_the_time_a_master_was_stopped_is_nobodys_silence(silent):
    supervisor, owner = silent
    # It was stopped between a turn and the next, before it could read what had been written.
    for now in (0.8, 3.3, 3.35, 3.85):
        supervisor.manage_workers(now)
    assert owner.events == []
    supervisor.manage_workers(4.0)
    assert owner.events == ["hung"]


def test_a_worker_silent_for_longer_than_the_limit_is_hung(silent):
    supervisor, owner = silent
    for now in (0.8, 1.35):
        supervisor.manage_workers(now)
    assert owner.events == []
    supervisor.manage_workers(1.45)
    assert owner.events == ["hung"]


def test_no_process_to_be_had_is_no_end(serve):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    live = serve(*LAB, "1", up=1)
    (pid,) = live.pids().values()
    resource.prlimit(live.process.pid, resource.RLIMIT_NOFILE, (3, hard))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: live.named("not_spawned"), "the system has no descriptor left")
    resource.prlimit(live.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    assert status_of(live.ask()) == b"200"


def test_who_only_waited_behind_a_deadly_request_is_not_given_up(serve, tmp_path):
    (tmp_path / "deadly.py").write_text(
        "import os, signal\n"
        "from live.apps import app as lab\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'http' and scope['path'] == '/deadly':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    await lab(scope, receive, send)\n"
    )
    live = serve("deadly:app", "--workers", "1", up=1, cwd=tmp_path)
    (pid,) = live.pids().values()
    os.kill(pid, signal.SIGSTOP)  # so that all of them are with it before the first is begun
    with live.connect() as deadly, live.connect() as innocent:
        deadly.sendall(b"GET /deadly HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        time.sleep(0.1)
        innocent.sendall(b"GET /work HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        time.sleep(0.1)
        os.kill(pid, signal.SIGCONT)
        assert status_of(read_all(deadly)) == b"502"
        assert status_of(read_all(innocent)) == b"200"

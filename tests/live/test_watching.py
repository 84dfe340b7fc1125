import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from lbsim.errors import InputError
from live import top
from live.tally import Tally, quantile
from tests.live.conftest import PATIENCE_S, eventually

WORK = ("live.apps:app", "--workers", "2", "--admin", "127.0.0.1:0")


def admin_of(live):
    host, port = live.named("listening")[0]["admin"]
    return f"{host}:{port}"


def get(live, path):
    with urllib.request.urlopen(f"http://{admin_of(live)}{path}", timeout=PATIENCE_S) as answer:
        return answer.read().decode()


def samples(text):
    """Return Prometheus' samples as its own client reads them."""
    parser = pytest.importorskip("prometheus_client.parser")
    return {
        (s.name, *sorted(s.labels.items())): s.value
        for family in parser.text_string_to_metric_families(text)
        for s in family.samples
    }


def test_status_and_metrics_tell_the_same(serve):
    live = serve(*WORK, up=2)
    for _ in range(20):
        live.ask("/work?cpu_ms=2")
    eventually(lambda: json.loads(get(live, "/status"))["counts"].get("answered") == 20, "20")
    status = json.loads(get(live, "/status"))
    assert status["pid"] == live.process.pid
    assert (status["up"], status["in_flight"], status["held"], status["restarts"]) == (2, 0, 0, 0)
    assert [w["answered"] for w in status["workers"]] == [10, 10], "ties rotate"
    assert {w["pid"] for w in status["workers"]} == set(live.pids().values())
    assert all(sum(w["buckets"].values()) == 10 for w in status["workers"])
    assert all(w["seconds"] >= 10 * 0.002 for w in status["workers"])

    found = samples(get(live, "/metrics"))
    for worker in "01":
        assert found["live_latency_seconds_count", ("worker", worker)] == 10
        assert found["live_latency_seconds_bucket", ("le", "0.001"), ("worker", worker)] == 0
        assert found["live_latency_seconds_bucket", ("le", "+Inf"), ("worker", worker)] == 10
        assert found["live_worker_resident_bytes", ("worker", worker)] > 1e6
        assert found["live_worker_in_flight", ("worker", worker)] == 0
    assert found[("live_workers_up",)] == 2
    assert found["live_events_total", ("event", "answered")] == 20


def test_a_restart_and_later_requests_are_counted(serve):
    live = serve(*WORK, up=2)
    victim = live.pids()[1]
    os.kill(victim, signal.SIGKILL)
    live.wait_up(3)
    with live.connect() as client:  # three requests on one connection
        for i in range(3):
            last = "close" if i == 2 else "keep-alive"
            client.sendall(f"GET /work HTTP/1.1\r\nHost: a\r\nConnection: {last}\r\n\r\n".encode())
            assert client.recv(65536).startswith(b"HTTP/1.1 200")

    def answered():
        return sum(w["answered"] for w in json.loads(get(live, "/status"))["workers"])

    eventually(lambda: answered() == 3, "three answers counted")
    restarts = {w["worker"]: w["restarts"] for w in json.loads(get(live, "/status"))["workers"]}
    assert restarts == {0: 0, 1: 1}
    assert samples(get(live, "/metrics"))["live_worker_restarts_total", ("worker", "1")] == 1
    eventually(
        lambda: all(w["cpu_s"] > 0.0 for w in json.loads(get(live, "/status"))["workers"]),
        "every worker has reported its processor time",
    )


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /status HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /?x HTTP/1.1\r\n\r\n", b"200"),
        (b"\r\n\r\n", b"405"),
        (b"x" * 5000, b""),
    ],
)
def test_odd_visitors(serve, request_, status):
    live = serve(*WORK, up=2)
    host, port = admin_of(live).split(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(5)]
    with socket.create_connection((host, int(port)), PATIENCE_S) as visitor:
        visitor.sendall(request_)
        try:
            assert visitor.recv(65536)[9:12] == status
        except ConnectionResetError:
            assert status == b""
    for visitor in idle:
        visitor.close()
    assert live.ask().startswith(b"HTTP/1.1 200")


def test_a_blocking_handler_makes_the_loop_busy_though_it_only_sleeps(serve):
    live = serve("live.apps:app", "--workers", "1", "--admin", "127.0.0.1:0", up=1)

    def worker():
        return json.loads(get(live, "/status"))["workers"][0]

    live.ask("/work?cpu_ms=1500")
    seen = worker()["reported"]
    eventually(lambda: worker()["reported"] > seen, "a heartbeat after it")
    now = worker()
    assert 1.5 <= now["busy_s"] <= now["age_s"]
    assert now["cpu_s"] < 1.0
    seen = now
    eventually(lambda: worker()["reported"] > seen["reported"] + 1.0, "a quiet second")
    quiet = worker()
    passed = quiet["reported"] - seen["reported"]
    assert quiet["busy_s"] - seen["busy_s"] < 0.5 * passed, "an idle loop waits"


def test_a_policy_hears_how_busy_workers_are(serve):
    """Among workers without requests, the one whose loop was blocked lately is avoided."""
    live = serve(*WORK, "--policy", "LeastLoaded", up=2)

    def workers():
        return json.loads(get(live, "/status"))["workers"]

    def n_answered():
        return sum(w["answered"] for w in workers())

    def ask(target="/work"):
        """Ask, and wait until the master knows that this worker is idle again."""
        counted = n_answered() + 1
        live.ask(target)
        eventually(lambda: n_answered() == counted, "counted")

    def is_avoided():
        heard = [w["reported"] for w in workers()]
        before = [w["answered"] for w in workers()]
        ask("/work?cpu_ms=700")
        now = workers()
        blocked = next(i for i in (0, 1) if now[i]["answered"] > before[i])
        # A heartbeat every half second, and none while it is blocked.
        eventually(lambda: workers()[blocked]["reported"] > heard[blocked] + 0.7, "a heartbeat")
        for _ in range(4):
            ask()
        # Without the report they would take turns. On a slow machine it may be out of date.
        return workers()[blocked]["answered"] == now[blocked]["answered"]

    eventually(is_avoided, "four requests in a row at the other worker")


def test_where_the_kernel_chooses_what_workers_say_is_shown(serve):
    live = serve(*WORK, "--mode", "shared", up=2)
    for _ in range(6):
        live.ask("/work?cpu_ms=1")

    def status():
        return json.loads(get(live, "/status"))

    eventually(lambda: sum(w["answered"] for w in status()["workers"]) == 6, "six answers")
    now = status()
    assert now["policy"] is None
    assert now["in_flight"] is None
    assert "shared: the kernel chooses" in top.render(None, now, 200)[0]
    assert sum(w["seconds"] for w in now["workers"]) >= 0.006
    assert "live_worker_in_flight{" not in get(live, "/metrics")


def test_top_finds_the_master_and_shows_its_workers(serve):
    live = serve("live.apps:app", "--workers", "2", up=2)
    live.ask()
    pid = live.process.pid
    assert pid in top.masters()
    shown = subprocess.run(
        [sys.executable, "-m", "live", "top", str(pid), "--once", "--every", "0.1"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout
    assert f"pid {pid}, serving" in shown
    assert "2 of 2 workers up, restarts: 0" in shown
    for worker_pid in live.pids().values():
        assert str(worker_pid) in shown
    live.signal(signal.SIGTERM)
    live.end()
    assert pid not in top.masters()


def test_nobody_there():
    with pytest.raises(InputError, match=r"no master answers at 1 \(.*; give the pid of one"):
        top.fetch("1")
    with pytest.raises(InputError, match=r"no master answers at nonsense"):
        top.fetch("nonsense")


def test_a_bad_admin_address(serve):
    live = serve("live.apps:app", "--admin", "9090")
    status, _ = live.end()
    assert status == 2
    assert "address = '9090' is not of the form HOST:PORT; write 127.0.0.1:9090" in live.errors


# --- without processes -----------------------------------------------------------------------


def snapshot(time, answered, buckets, **changes):
    worker = {
        "worker": 0, "pid": 11, "state": "up", "age_s": time, "restarts": 0, "in_flight": 3,
        "slots": 4, "answered": answered, "seconds": 1.0, "buckets": buckets, "connections": 2,
        "lag_s": 0.0015, "cpu_s": 0.5 * time, "busy_s": 0.75 * time,
        "resident": 42_000_000, "silent_s": 0.1, "reported": time,
    }  # fmt: skip
    return {
        "time": time, "uptime_s": time, "pid": 7, "address": ["127.0.0.1", 80],
        "policy": "Random()", "mode": "pass", "state": "serving", "up": 1,
        "workers": [worker | changes],
        "restarts": 0, "held": 5, "in_flight": 3, "connections": 4, "cpu_s": 0.1 * time,
        "resident": 50_000_000, "counts": {"answered": answered, "lost_attempts": 2},
    }  # fmt: skip


def test_rates_and_quantiles_are_those_of_the_interval():
    slow, fast = Tally(1), Tally(1)
    slow.add(0, 1.0)
    fast.add(0, 0.01)
    (old,) = slow.sparse(0)
    (new,) = fast.sparse(0)
    before = snapshot(10.0, 100, {str(old): 100})
    now = snapshot(12.0, 120, {str(old): 100, str(new): 20})
    lines = top.render(before, now, 200)
    assert lines[1].startswith("10.0 requests/s, p50 10.2 ms, p99 10.2 ms; 3 in flight, 5 held")
    assert "master 50 MB, 10 % cpu" in lines[2]
    assert "lost attempts 2" in lines[3]
    row = lines[-1].split()
    assert row[:4] == ["0", "11", "up", "3/4"]
    assert "75 %  50 %" in lines[-1], "busy and processor time between two heartbeats"
    assert "1.5 ms" in lines[-1]
    assert all(len(line) <= 60 for line in top.render(before, now, 60))


def test_a_worker_that_was_replaced_begins_anew():
    before = snapshot(10.0, 100, {})
    now = snapshot(12.0, 100, {}, pid=12, age_s=1.0, cpu_s=0.25, reported=12.0)
    assert "25 %" in top.render(before, now, 200)[-1]
    assert top.render(None, now, 200)[1].startswith("8.3 requests/s, p50 -, p99 -")


def test_counted_quantiles_are_within_a_sixteenth():
    tally = Tally(1)
    for i in range(1, 2001):
        tally.add(0, i / 1000.0)
    for q, exact in ((0.01, 0.02), (0.5, 1.0), (0.99, 1.98)):
        (found,) = quantile(tally.sparse(0).items(), [q])
        assert exact <= found <= exact * (1.0 + 1.0 / 16.0) + 1e-6
    tally.add(0, 0.0)
    tally.add(0, 1e9)

"""The other ways for a request to get to a worker: as a message, and by the kernel's choice."""

import os
import signal
import threading
import time
from collections import Counter

import numpy as np
import pytest
from conftest import Load, body_of, counts_of, eventually, read_all, read_answer, status_of

from live.trace import read

APP = "live.apps:app"
STREAM = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for i in range(5):
        await send({"type": "http.response.body", "body": b"%d;" % i, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
"""


def test_message_balances_every_request_of_a_kept_connection(serve, tmp_path):
    trace = str(tmp_path / "trace")
    live = serve(APP, "--mode", "message", "--policy", "RoundRobin", "--trace", trace, up=2)
    with live.connect() as client:
        pids = []
        for i in range(4):
            client.sendall(b"GET /work?id=%d HTTP/1.1\r\nHost: a\r\n\r\n" % i)
            pids.append(read_answer(client)[1])
    assert pids[0] == pids[2] != pids[1] == pids[3]
    assert counts_of(live)["answered"] == 4
    rows = np.sort(read(trace), order="started")
    assert rows["id"].tolist() == [0, 1, 2, 3]
    assert (rows["finished"] >= rows["started"]).all()
    assert (rows["started"] >= rows["accepted"]).all()
    assert (rows["accepted"] >= rows["decided"]).all()


def test_message_carries_large_requests_and_answers(serve):
    live = serve(APP, "--mode", "message", "--workers", "1", up=1)
    big = 1_500_000
    with live.connect() as client:
        for _ in range(2):
            threading.Thread(
                target=client.sendall,
                args=(
                    b"PUT /work?bytes=3000000 HTTP/1.1\r\nHost: a\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (big, b"b" * big),
                ),
            ).start()
            assert len(read_answer(client)[1]) == 3_000_000
    assert len(body_of(live.ask("/work?bytes=3000000"))) == 3_000_000


def test_message_knows_where_a_request_ends(serve):
    live = serve(APP, "--mode", "message", "--workers", "1", up=1)
    with live.connect() as client:
        client.sendall(
            b"PUT /work?bytes=11 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
            b"GET /work?bytes=22 HTTP/1.1\r\nConnection: close\r\n\r\n"
        )
        answer = read_all(client)
    parts = [part.split(b"\r\n\r\n")[1] for part in answer.split(b"HTTP/1.1 200")[1:]]
    assert list(map(len, parts)) == [11, 22]
    with live.connect() as client:
        client.sendall(b"PUT /work HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 100")
        client.sendall(b"abc")
        assert read_answer(client)[0].startswith(b"HTTP/1.1 200")
    for field, status in (
        (b"Transfer-Encoding: chunked", b"411"),
        (b"Content-Length: 99999999", b"413"),
    ):
        with live.connect() as client:
            client.sendall(b"POST /work HTTP/1.1\r\n" + field + b"\r\n\r\n")
            assert status_of(read_all(client)) == status
    assert status_of(live.ask("\x00")) == b"400"  # the worker's answer, not the application's


def test_message_streams(serve, tmp_path):
    (tmp_path / "stream.py").write_text(STREAM)
    live = serve("stream:app", "--mode", "message", "--workers", "1", up=1, cwd=tmp_path)
    answer = live.ask()
    assert [answer.count(b"%d;" % i) for i in range(5)] == [1] * 5
    assert answer.endswith(b"0\r\n\r\n")


def test_message_loses_nothing_when_workers_are_killed_and_reloaded(serve):
    live = serve(APP, "--mode", "message", "--workers", "3", "--max-attempts", "20", up=3)
    load = Load(live, 4, "/work?cpu_ms=10")
    for number in (signal.SIGKILL, signal.SIGKILL, None):
        load.flows()
        n_up = len(live.named("up"))
        if number is None:
            live.signal(signal.SIGHUP)
            n_up += 2
        else:
            os.kill(max(live.pids().values()), number)
        eventually(lambda n=n_up: len(live.named("up")) > n, "a new worker")
    assert load.stop() == {b"200"}
    counts = counts_of(live)
    assert counts["answered"] == counts["accepted"]
    assert counts["redispatched"] >= 1


@pytest.mark.parametrize(
    "mode", [("shared",), ("shared", "--exclusive"), ("reuseport",)], ids=" ".join
)
def test_kernel_chooses_among_workers_that_accept(serve, tmp_path, mode):
    trace = str(tmp_path / "trace")
    live = serve(APP, "--workers", "2", "--mode", *mode, "--trace", trace, up=2)
    assert "the kernel chooses the worker" in live.named("note")[0]["text"]
    for i in range(8):
        assert status_of(live.ask(f"/work?id={i}")) == b"200"
    load = Load(live, 3, "/work?cpu_ms=5")
    load.flows(20)
    if mode[0] == "shared":  # each of the others has a queue in the kernel that dies with it
        live.signal(signal.SIGHUP)
        eventually(lambda: len(live.named("up")) == 4, "reloaded")
        load.flows(20)
    assert load.stop() == {b"200"}
    counts = counts_of(live)
    assert counts["answered"] == 8 + len(load.statuses)
    rows = np.sort(read(trace), order="started")
    assert sorted(rows["id"])[-8:] == list(range(8))
    assert (rows["started"] >= rows["accepted"]).all()


def test_exclusive_wake_up_crowds_one_worker(serve):
    live = serve(APP, "--workers", "4", "--mode", "shared", "--exclusive", up=4)
    served = Counter()
    for _ in range(40):
        served[body_of(live.ask())] += 1
        time.sleep(0.005)  # everybody is idle again
    assert max(served.values()) > 30


def test_session_state_is_missed_where_it_is_not(serve, tmp_path):
    traces = {}
    for policy in ("RoundRobin", "Sticky"):
        traces[policy] = str(tmp_path / policy)
        live = serve(
            APP, "--workers", "2", "--policy", policy, "--key", "query:key",
            "--trace", traces[policy], up=2,
        )  # fmt: skip
        for _ in range(6):
            live.ask("/work?key=me&miss_ms=20")
        counts_of(live)
    misses = {policy: read(path)["miss"] for policy, path in traces.items()}
    assert (misses["RoundRobin"] == 0.02).sum() == 2
    assert (misses["Sticky"] == 0.02).sum() == 1

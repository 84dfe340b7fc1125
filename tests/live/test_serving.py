"""What a client and an application see when nothing goes wrong."""

import json
import signal
import time

import numpy as np
import pytest
from conftest import body_of, eventually, read_all, read_answer

from live.trace import read, read_happenings


def test_round_robin_gives_each_its_turn_and_says_so_in_the_trace(serve, tmp_path):
    trace = str(tmp_path / "trace")
    live = serve(
        "live.apps:app", "--workers", "3", "--policy", "RoundRobin", "--key", "number:key",
        "--trace", trace, up=3,
    )  # fmt: skip
    for i in range(6):
        assert live.ask(f"/work?cpu_ms=1&id={i}&key={100 + i}&kind={i % 2}").startswith(
            b"HTTP/1.1 200"
        )
    live.signal(signal.SIGTERM)
    assert live.end()[0] == 0
    rows = np.sort(read(trace), order="started")
    assert rows["id"].tolist() == list(range(6))
    assert rows["key"].tolist() == list(range(100, 106))
    assert rows["kind"].tolist() == [0, 1] * 3
    # Which worker is up first is the machine's business; from there the turns go round.
    assert [(rows["worker"][0] + i) % 3 for i in range(6)] == rows["worker"].tolist()
    stamps = [rows[name] for name in ("accept", "decided", "accepted", "started", "finished")]
    assert np.all(np.diff(stamps, axis=0) >= 0)
    assert np.all(rows["finished"] - rows["started"] >= 0.001)
    assert np.all(rows["ended"] >= rows["finished"])
    assert set(rows["attempt"]) == {1}
    happened = read_happenings(trace)
    assert sorted(happened["worker"][:3]) == [0, 1, 2]


def test_kept_connection_and_large_bodies_both_ways(serve):
    live = serve("live.apps:app", "--workers", "2", up=2)
    with live.connect() as client:
        pids = set()
        for _ in range(3):
            client.sendall(b"GET /work HTTP/1.1\r\nHost: a\r\n\r\n")
            pids.add(read_answer(client)[1])
        assert len(pids) == 1  # balanced per connection
        big = 300_000
        client.sendall(
            b"PUT /work?bytes=400000 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % big
        )
        client.sendall(b"b" * big)
        assert len(read_answer(client)[1]) == 400_000
    with live.connect() as client:  # and as a first request
        client.sendall(
            b"PUT /work?bytes=400000 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % big
        )
        client.sendall(b"b" * big)
        assert len(read_answer(client)[1]) == 400_000
    live.signal(signal.SIGTERM)
    status, counts = live.end()
    assert (status, counts["answered"], counts["later"]) == (0, 2, 3)


def test_pipelined_requests_are_all_answered_in_order(serve):
    live = serve("live.apps:app", "--workers", "1", up=1)
    with live.connect() as client:
        client.sendall(
            b"".join(b"GET /work?bytes=%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in (11, 22))
            + b"GET /work?bytes=33 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        answer = read_all(client)
    assert [len(part.split(b"\r\n\r\n")[1]) for part in answer.split(b"HTTP/1.1 200")[1:]] == [
        11,
        22,
        33,
    ]


FASTAPI = """
import contextlib, os, pathlib
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

HERE = pathlib.Path(__file__).parent

@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"greeting": "hello"}
    (HERE / f"shut-{os.getpid()}").touch()

app = FastAPI(lifespan=lifespan)

class Item(BaseModel):
    name: str

@app.post("/items")
async def add(item: Item):
    return {"got": item.name}

@app.get("/state")
def state(request: __import__("starlette.requests").requests.Request):
    return request.state.greeting

@app.get("/stream")
async def stream():
    async def parts():
        for i in range(3):
            yield f"{i};"
    return StreamingResponse(parts())

@app.get("/later")
async def later(tasks: BackgroundTasks):
    tasks.add_task((HERE / "done").touch)
    return "soon"

@app.get("/bug")
async def bug():
    raise ValueError("a bug")
"""


def test_fastapi_with_lifespan_streams_threads_background_and_errors(serve, tmp_path):
    pytest.importorskip("fastapi")
    (tmp_path / "shop.py").write_text(FASTAPI)
    live = serve("shop:app", "--workers", "2", up=2, cwd=tmp_path)
    body = json.dumps({"name": "x"})
    with live.connect() as client:
        client.sendall(
            b"POST /items HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        assert json.loads(body_of(read_all(client))) == {"got": "x"}
    assert body_of(live.ask("/state")) == b'"hello"'
    assert b"0;" in body_of(live.ask("/stream"))
    assert body_of(live.ask("/later")) == b'"soon"'
    eventually((tmp_path / "done").exists, "the background task ran")
    assert live.ask("/bug").startswith(b"HTTP/1.1 500")
    assert live.ask("/absent").startswith(b"HTTP/1.1 404")
    live.signal(signal.SIGTERM)
    status, counts = live.end()
    assert (status, counts["answered"], counts["accepted"]) == (0, 6, 6)
    assert len(list(tmp_path.glob("shut-*"))) == 2
    assert "ValueError: a bug" in live.errors


def test_a_request_on_a_kept_connection_counts_as_load(serve):
    # It fills the one slot of its worker, so whatever comes meanwhile goes to the other one.
    live = serve("live.apps:app", "--workers", "2", "--policy", "CentralQueue", up=2)
    with live.connect() as client:
        client.sendall(b"GET /work HTTP/1.1\r\nHost: a\r\n\r\n")
        busy = read_answer(client)[1]
        client.sendall(b"GET /work?cpu_ms=1000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)  # the report is on its way
        others = {body_of(live.ask()) for _ in range(6)}
        assert busy not in others
        read_answer(client)
        eventually(lambda: body_of(live.ask()) == busy, "its slot is free again")


def test_bad_requests_are_answered(serve):
    live = serve("live.apps:app", "--workers", "1", up=1)
    for data, status in (
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000, b"431"),
        (b"GET nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", b"400"),
    ):
        with live.connect() as client:
            client.sendall(data)
            assert read_all(client).split(b" ")[1] == status, data[:20]
    assert live.ask().startswith(b"HTTP/1.1 200")

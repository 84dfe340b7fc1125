"""The load generator against a tiny server whose behaviour each test scripts."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from lbsim import Client, ClosedLoop, Cluster, Deterministic, InputError, Sessions, Workload
from lbsim.engines.record import LOST, OK, SHED, TIMEOUT, UNFINISHED
from live.client import Lateness, Task, replay
from live.client.answers import Answer
from live.client.loop import ENDS

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Worker: 77\r\n\r\nok"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


class Request:
    def __init__(self, text: str, rest: bytes, stream) -> None:
        first, *fields = text.split("\r\n")
        self.method, target, _ = first.split(" ")
        self.query = {k: v[0] for k, v in parse_qs(urlsplit(target).query).items()}
        self.path = urlsplit(target).path
        self.fields = dict(line.split(": ", 1) for line in fields if line)
        self.id = int(self.query["id"])
        length = int(self.fields.get("Content-Length", 0))
        self.body = rest + stream.read(length - len(rest))


def always(request: Request, connection: int) -> bytes:
    return ANSWER


@contextmanager
def server(answer: Callable[[Request, int], bytes | None]) -> Iterator[tuple]:
    """Serve with one thread a connection; `answer(request, connection)` None closes without."""
    heard: list[Request] = []
    numbers = iter(range(10**6))

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            connection = next(numbers)
            try:
                while True:
                    text = ""
                    while not text.endswith("\r\n\r\n"):
                        line = self.rfile.readline().decode()
                        if not line:
                            return
                        text += line
                    request = Request(text, b"", self.rfile)
                    request.source = self.client_address[0]
                    heard.append(request)
                    data = answer(request, connection)
                    if data is None:
                        return
                    self.wfile.write(data)
                    if request.fields.get("Connection") == "close":
                        return
            except ConnectionError:
                return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 1024

    with Server(("127.0.0.1", 0), Handler) as it:
        thread = threading.Thread(target=it.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield it.server_address, heard
        finally:
            it.shutdown()
            thread.join()


def workload(n: int, gap: float = 0.001, **given) -> Workload:
    return Workload.from_arrays(np.arange(n) * gap, np.full(n, 0.002), **given)


def test_sends_every_request_at_its_time_and_reads_every_answer():
    with server(always) as (address, heard):
        task = Task.of(workload(200), address)
        result = replay(task)
    assert result.is_complete
    assert (result.outcome == OK).all()
    assert sorted(request.id for request in heard) == list(range(200))
    assert (result.status == 200).all()
    assert (result.worker == 77).all()
    assert result.due - result.start == pytest.approx(task.arrival, abs=1e-9)
    assert (result.sent >= result.due).all()
    assert (result.finished >= result.sent).all()


def test_a_server_that_stalls_does_not_keep_requests_from_being_sent():
    stalled = threading.Event()

    def answer(request: Request, _: int) -> bytes:
        if request.id == 0:
            stalled.wait(30)
        elif request.id == 49:
            stalled.set()
        return ANSWER

    # A closed loop in disguise would wait for the first answer, which waits for the last request.
    with server(answer) as (address, _):
        result = replay(Task.of(workload(50), address))
    assert (result.outcome == OK).all()
    assert result.finished[0] > result.sent[49]


@pytest.mark.parametrize("processes", [1, 3])
def test_several_processes_share_the_rows(processes):
    with server(always) as (address, heard):
        result = replay(Task.of(workload(60), address), processes=processes)
    assert sorted(request.id for request in heard) == list(range(60))
    assert (result.outcome == OK).all()


def test_outcomes():
    def answer(request: Request, _: int) -> bytes | None:
        return {
            0: ANSWER,
            1: b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
            2: b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
            3: None,
            4: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
            5: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            6: b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
            7: b"HTTP/1.1 103 Early Hints\r\n\r\n" + ANSWER,
        }[request.id]

    with server(answer) as (address, _):
        result = replay(Task.of(workload(8), address))
    assert result.outcome.tolist() == [OK, SHED, LOST, LOST, LOST, OK, OK, OK]
    assert [ENDS[end] for end in result.end] == [
        "answered", "status", "status", "reset", "reset", "answered", "answered", "answered",
    ]  # fmt: skip
    assert result.status.tolist()[:3] == [200, 503, 500]


def test_nobody_listens():
    with server(always) as (address, _):
        pass
    result = replay(Task.of(workload(3), address))
    assert (result.outcome == LOST).all()


def test_a_timeout_counts_from_when_the_request_was_due():
    forever = threading.Event()

    def answer(request: Request, _: int) -> bytes:
        if request.id % 2:
            forever.wait(30)
        return ANSWER

    with server(answer) as (address, _):
        result = replay(Task.of(workload(10), address, Client(timeout=0.5)))
        forever.set()
    assert result.outcome.tolist() == [OK, TIMEOUT] * 5
    assert ((result.finished - result.due)[1::2] >= 0.5).all()


def test_what_the_server_has_lost_is_called_unfinished():
    forever = threading.Event()

    def answer(request: Request, _: int) -> bytes:
        if request.id == 1:
            forever.wait(30)
        return ANSWER

    with server(answer) as (address, _):
        result = replay(Task.of(workload(3), address, grace_s=0.5))
        forever.set()
    assert result.outcome.tolist() == [OK, UNFINISHED, OK]
    assert np.isnan(result.finished[1])


def test_retries_are_tickets_of_their_own():
    def answer(request: Request, _: int) -> bytes | None:
        return ANSWER if request.id % 3 == 2 else None

    with server(answer) as (address, heard):
        result = replay(Task.of(workload(5), address, Client(retries=2, backoff=0.005)))
    assert (result.outcome == OK).all()
    assert sorted(request.id for request in heard) == list(range(15))
    assert [ENDS[end] for end in result.end[:3]] == ["reset", "reset", "answered"]
    assert (result.sent[1::3] - result.ended[0::3] >= 0.005).all()


def test_a_hedge_is_sent_only_where_the_first_copy_is_late():
    forever = threading.Event()

    def answer(request: Request, _: int) -> bytes:
        if request.id == 0:
            forever.wait(30)
        return ANSWER

    with server(answer) as (address, heard):
        result = replay(Task.of(workload(2, gap=0.2), address, Client(hedge_after=0.5)))
        forever.set()
    assert sorted(request.id for request in heard) == [0, 1, 2]
    assert [ENDS[end] for end in result.end] == ["taken back", "answered", "answered", "open"]


def test_a_closed_loop_thinks_between_requests():
    closed = Workload.synthetic(
        12,
        arrivals=ClosedLoop(clients=3, think=Deterministic(0.02)),
        service=Deterministic(0.001),
        seed=1,
    )
    with server(always) as (address, _):
        result = replay(Task.of(closed, address))
    assert (result.outcome == OK).all()
    gaps = result.due[3:] - result.finished[:-3]
    assert gaps == pytest.approx(np.full(9, 0.02), abs=1e-9)


def test_connections_are_kept_and_a_stale_one_is_replaced():
    by_connection: dict[int, int] = {}

    def answer(request: Request, connection: int) -> bytes | None:
        by_connection[connection] = by_connection.get(connection, 0) + 1
        # The fourth request of a connection is not answered, as if it had been closed just then.
        return None if by_connection[connection] == 4 else ANSWER

    with server(answer) as (address, heard):
        result = replay(Task.of(workload(12, gap=0.03), address, keep_alive=True))
    assert (result.outcome == OK).all()
    assert len(by_connection) < 12
    assert "Connection" not in heard[0].fields


def test_what_a_request_carries():
    given = Workload.from_arrays(
        [0.0, 0.01],
        [0.002, 0.003],
        wait=[0.0, 0.004],
        key=[5, 2**62 + 1],
        kind=[0, 3],
        priority=[0, 2],
        size=[np.nan, 0.1 + 0.2],
        payload=[0, 70_000],
    )
    with server(always) as (address, heard):
        replay(Task.of(given, address))
        replay(Task.of(given, address, key_from="ip"))
    first, second, *by_address = heard
    assert first.method == "GET"
    assert first.query == {"id": "0", "cpu_ms": "2.000000", "key": "5"}
    assert second.method == "PUT"
    assert len(second.body) == 70_000
    assert second.query["wait_ms"] == "4.000000"
    assert (second.query["kind"], second.query["priority"]) == ("3", "2")
    assert float(second.query["size"]) == 0.1 + 0.2
    assert int(second.query["key"]) == 2**62 + 1
    assert by_address[0].source == "127.0.0.7"
    assert by_address[0].source != by_address[1].source


def test_a_task_survives_its_file(tmp_path):
    drawn = Workload.synthetic(
        50, service=Deterministic(0.01), load=0.5, cluster=Cluster(2), sessions=Sessions(5), seed=3
    )
    task = Task.of(drawn, ("127.0.0.1", 8000), Client(timeout=1.0, retries=2), key_from="cookie")
    task.save(tmp_path / "task.npz")
    again = Task.load(tmp_path / "task.npz")
    assert again.client == task.client
    assert [again.request(t) for t in range(150)] == [task.request(t) for t in range(150)]
    assert np.array_equal(again.arrival, task.arrival)


def test_unknown_place_of_a_key():
    with pytest.raises(InputError, match=r"key_from = 'url' is not known; give one of query"):
        Task.of(workload(1), ("127.0.0.1", 1), key_from="url")


def test_an_answer_in_pieces_is_complete_at_its_last_byte():
    for answer in (
        ANSWER,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ):
        parser = Answer()
        for i in range(len(answer)):
            assert not parser.is_complete
            parser.feed(answer[i : i + 1])
        assert parser.is_complete
        assert parser.keeps


def test_a_generator_that_was_late_says_that_the_run_is_not_valid():
    due = np.arange(1000) * 0.01
    assert Lateness.of(due, due + 1e-4).is_valid
    late = np.where(np.arange(1000) % 50 == 0, 0.02, 1e-4)
    verdict = Lateness.of(due, due + late)
    assert not verdict.is_valid
    assert "NOT VALID" in str(verdict)

"""Messages between real workers, through a real master."""

import json
import sys
import time
import urllib.request
from functools import partial
from urllib.parse import parse_qs

import pytest

from lbsim import Cluster, InputError, policies
from live import ipc
from live.measuring import server

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="live needs Linux")


class Postman:
    """ASGI: /send?to=1&text=hi, /broadcast?text=hi, /got; every request says who answers."""

    def __init__(self) -> None:
        self.got: list[tuple[int, str]] = []
        self.is_listening = False

    async def __call__(self, scope, receive, send):
        import os

        from live import ipc

        if scope["type"] == "lifespan":
            return
        query = {k: v[0] for k, v in parse_qs(scope["query_string"].decode()).items()}
        if not self.is_listening:
            ipc.on_message(lambda sender, data: self.got.append((sender, data.decode())))
            self.is_listening = True
        text = query.get("text", "").encode() * int(query.get("times", 1))
        try:
            if scope["path"] == "/send":
                ipc.send(int(query["to"]), text)
            elif scope["path"] == "/broadcast":
                ipc.broadcast(text)
            answer = {"me": int(os.environ["LIVE_WORKER"]), "got": self.got}
        except InputError as error:
            answer = {"error": str(error)}
        body = json.dumps(answer).encode()
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})


def ask(address, path):
    with urllib.request.urlopen("http://{}:{}".format(*address) + path, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture
def crew():
    # Rotation: request i is answered by worker i modulo 3.
    with server(policies.RoundRobin(), Cluster(3), app=Postman()) as running:
        for _ in range(3):
            ask(running.crew.address, "/got")  # each listens from now on
        yield partial(ask, running.crew.address)
        running.crew.stop()


def until_got(crew, worker, expected):
    """Ask around until a worker has got what it should, and say so if it never does."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        answer = crew("/got")
        if answer["me"] == worker and answer["got"] == expected:
            return
    raise AssertionError(f"worker {worker} did not get {expected}")


def test_one_worker_to_another(crew):
    assert crew("/send?to=2&text=hello")["me"] == 0
    until_got(crew, 2, [[0, "hello"]])
    until_got(crew, 1, [])


def test_a_broadcast_reaches_all_others_in_order(crew):
    for text in ("one", "two", "three"):
        # Back to worker 0 each time: three requests a round.
        crew(f"/broadcast?text={text}")
        crew("/got")
        crew("/got")
    expected = [[0, "one"], [0, "two"], [0, "three"]]
    until_got(crew, 1, expected)
    until_got(crew, 2, expected)
    until_got(crew, 0, [])


def test_large_messages_and_messages_to_nobody(crew):
    assert crew(f"/send?to=1&text=x&times={ipc.LARGEST}")["me"] == 0
    crew("/send?to=77&text=lost")
    assert (
        "131,072 is the most; send it in pieces"
        in crew(f"/send?to=1&text=x&times={ipc.LARGEST + 1}")["error"]
    )
    until_got(crew, 1, [[0, "x" * ipc.LARGEST]])


def test_messages_to_and_from_the_master():
    class Crew:
        def __init__(self):
            self.workers = []

    from collections import Counter

    from live import channel

    counts: Counter[str] = Counter()
    post = ipc.Post(Crew(), counts)
    heard = []
    post.on_message(lambda sender, data: heard.append((sender, data)))
    told = []
    ipc.attach(told.append)
    ipc.send(ipc.MASTER, b"hi")
    kind, _, _, _, serial, *_ = channel.HEADER.unpack_from(told[0])
    message = channel.Message(kind, 0, serial, 0.0, 0.0, 0.0, 0.0, b"hi", -1, 4)
    post.forward(4, message)
    assert heard == [(4, b"hi")]
    post.send(0, b"nobody is there")
    assert counts["ipc_dropped"] == 1
    ipc._tell.clear()
    with pytest.raises(InputError, match="this process is not a worker"):
        ipc.send(1, b"")
    with pytest.raises(InputError, match="to = -2 is no worker"):
        ipc.send(-2, b"")

"""The worker's transport, in one process: what leaves when, and what stays behind."""

import asyncio
import contextlib
import gc
import socket
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from live.asgi import Exchange, Server
from live.transport import SPENT_S

CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
KEEP = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Heard:
    """What the server told (`live.asgi.Listener`)."""

    wants_identity = False

    def __init__(self):
        self.said = []

    def __getattr__(self, name):
        return lambda *arguments: self.said.append((name, *arguments[1:]))


def run(app, scene):
    """Run ``scene(client, server)`` beside a server of `app`, with the client's request taken."""

    async def main():
        heard = Heard()
        server = Server(app, heard, None)
        server.set_date()
        with socket.create_server(("127.0.0.1", 0)) as door:
            client = socket.create_connection(door.getsockname())
            sock, _ = door.accept()
        with client:
            await scene(
                client,
                server,
                heard,
                lambda data: server.serve(sock, data, Exchange(1, 0.0, 0, 0)),
            )
            while server.state.connections:
                await asyncio.sleep(0)
            server.spent.close()
            assert sock.fileno() == -1

    # In a thread of its own: browser tests in this process leave a loop running.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(main())).result()


def now(client):
    """Return the bytes that are there already."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while data := client.recv(1 << 20, socket.MSG_DONTWAIT):
            found += data
    return found


def is_ended(client):
    """Whether the server has said that nothing follows."""
    try:
        return client.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


async def answer(send, *parts):
    length = str(sum(map(len, parts))).encode()
    headers = [(b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for i, part in enumerate(parts):
        more = i + 1 < len(parts)
        await send({"type": "http.response.body", "body": part, "more_body": more})


@pytest.mark.parametrize("data", [CLOSE, KEEP])
def test_an_answer_has_left_when_it_has_been_sent(data):
    seen = []

    async def app(scope, receive, send):
        await answer(send, b"hello")
        seen.append((now(clients[0]), is_ended(clients[0])))  # the loop has not turned

    clients = []

    async def scene(client, server, heard, take):
        clients.append(client)
        take(data)
        while not seen:
            await asyncio.sleep(0)
        text, ended = seen[0]
        assert text.startswith(b"HTTP/1.1 200 OK")
        assert text.endswith(b"\r\n\r\nhello")
        assert ended == (data is CLOSE)
        assert [what for what in heard.said if what[0] in ("finished", "in_pieces")] == [
            ("finished", data is CLOSE)
        ]
        client.shutdown(socket.SHUT_WR)

    run(app, scene)


@pytest.mark.parametrize("data", [CLOSE, KEEP])
def test_a_part_of_an_answer_leaves_before_the_next_is_made(data):
    seen = []

    async def app(scope, receive, send):
        headers = [(b"content-length", b"6")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        seen.append(now(clients[0]))
        await send({"type": "http.response.body", "body": b"two"})

    clients = []

    async def scene(client, server, heard, take):
        clients.append(client)
        take(data)
        while not heard.said or heard.said[-1][0] != "finished":
            await asyncio.sleep(0)
        assert seen[0].endswith(b"\r\n\r\none")
        assert now(client) == b"two"
        assert ("in_pieces",) in heard.said
        client.shutdown(socket.SHUT_WR)

    run(app, scene)


def test_a_head_leaves_when_the_loop_turns_and_a_long_body_when_the_client_reads():
    body = bytes(range(256)) * 40_000
    may_go = asyncio.Event()

    async def app(scope, receive, send):
        headers = [(b"content-length", str(len(body) + 1).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await may_go.wait()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"!"})

    async def scene(client, server, heard, take):
        take(CLOSE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            await asyncio.sleep(0)
            head += now(client)
        may_go.set()
        for _ in range(10):
            await asyncio.sleep(0)
        (protocol,) = server.state.connections
        assert protocol.flow.write_paused  # the application is told to wait
        got = b""
        while len(got) <= len(body):
            await asyncio.sleep(0)
            got += now(client)
        assert got == body + b"!"
        while server.state.connections:
            await asyncio.sleep(0)
        assert is_ended(client)

    run(app, scene)


def test_a_client_that_resets_ends_its_connection_and_nothing_else():
    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    async def scene(client, server, heard, take):
        take(CLOSE)
        await asyncio.sleep(0.01)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        while not server.is_idle:
            await asyncio.sleep(0)
        assert heard.said[-1] == ("closed", False)

    run(app, scene)


def test_a_connection_that_is_over_leaves_nothing_to_the_garbage_collector():
    async def app(scope, receive, send):
        await answer(send, b"hello")

    async def scene(client, server, heard, take):
        take(CLOSE)
        (protocol,) = server.state.connections
        alive = [weakref.ref(protocol), weakref.ref(protocol.cycle)]
        del protocol
        while not server.is_idle:
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # the handler's task is let go of
        assert [ref() for ref in alive] == [None, None]

    gc.collect()
    gc.disable()
    try:
        run(app, scene)
    finally:
        gc.enable()


def test_a_socket_closes_last_here_after_the_moment_that_its_other_owner_needs():
    async def app(scope, receive, send):
        await answer(send, b"hello")

    async def scene(client, server, heard, take):
        before = time.monotonic()
        take(CLOSE)
        (protocol,) = server.state.connections
        sock = protocol.transport.get_extra_info("socket")
        while not server.is_idle:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert now(client).endswith(b"hello")
        assert is_ended(client)
        server.spent.close(before + SPENT_S)
        assert sock.fileno() >= 0
        server.spent.close(time.monotonic() + SPENT_S)
        assert sock.fileno() == -1

    run(app, scene)

"""The clients' side of the master, in this process."""

import select
import socket
from collections import Counter

import pytest

from live.front import Front
from live.listener import listen

GET = b"GET / HTTP/1.1\r\n\r\n"


@pytest.fixture
def front():
    with select.epoll() as poller:
        listener = listen("127.0.0.1", 0, 8)
        made = Front(listener, poller, {}, Counter(), head_s=5.0, most=10, whole=False)
        yield made
        made.close_all()


def test_who_sends_first_comes_first_also_if_looked_at_a_moment_too_early(front, monkeypatch):
    arrived, looks = [], []
    front.arrive = arrived.append
    first, second = (socket.create_connection(front.listener.getsockname()) for _ in range(2))
    second.sendall(GET)
    read = Front._read

    def look(front, connection):
        found = read(front, connection)
        if not looks:
            first.sendall(GET)
        looks.append(connection.serial)
        return found

    monkeypatch.setattr(Front, "_read", look)
    front.resume()
    with first, second:
        while len(arrived) < 2:
            for descriptor, events in front.poller.poll(5.0):
                front.handlers[descriptor](events)
            front.read_fresh()
        assert looks == [1, 1, 2]
        assert [connection.serial for connection in arrived] == [1, 2]
        for connection in arrived:
            front.close(connection)
    assert front.n_open == 0

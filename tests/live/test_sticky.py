"""Sessions stay where they are, whatever names them, and move when their worker dies."""

import os
import re
import signal

import pytest
from conftest import body_of, counts_of, eventually

STICKY = ("live.apps:app", "--workers", "3", "--policy", "Sticky")


@pytest.mark.parametrize(
    ("key", "target", "extra"),
    [
        ("ip", "/work", ""),
        ("query:user", "/work?user=ada{}", ""),
        ("header:x-user", "/work", "X-User: ada{}\r\n"),
        ("cookie:sid", "/work", "Cookie: a=b; sid=ada{}\r\n"),
    ],
)
def test_a_session_stays(serve, key, target, extra):
    live = serve(*STICKY, "--key", key, up=3)
    for user in range(2):
        pids = {body_of(live.ask(target.format(user), extra=extra.format(user))) for _ in range(6)}
        assert len(pids) == 1


@pytest.mark.parametrize("mode", ["pass", "message"])
def test_the_server_gives_out_the_cookie_and_the_session_moves_when_its_worker_dies(serve, mode):
    live = serve(*STICKY, "--key", "cookie:sid", "--mode", mode, up=3)
    first = live.ask()
    (value,) = re.findall(rb"set-cookie: sid=([0-9a-f]{32}); Path=/; HttpOnly", first)
    cookie = f"Cookie: sid={value.decode()}\r\n"
    home = body_of(first)
    again = [live.ask(extra=cookie) for _ in range(6)]
    # Already the request that brought no cookie has bound the session to its worker.
    assert {body_of(answer) for answer in again} == {home}
    assert not any(b"set-cookie" in answer for answer in again)
    assert b"sid=" + value not in live.ask()  # somebody else is somebody else
    os.kill(int(home), signal.SIGKILL)
    eventually(lambda: len(live.named("up")) == 4, "it is back")
    moved = {body_of(live.ask(extra=cookie)) for _ in range(6)}
    assert len(moved) == 1
    assert moved != {home}


def test_moves_are_counted(serve):
    live = serve(*STICKY, "--key", "query:user", up=3)
    home = body_of(live.ask("/work?user=ada"))
    os.kill(int(home), signal.SIGSTOP)  # so that it is down while the session is asked for
    os.kill(int(home), signal.SIGKILL)
    assert body_of(live.ask("/work?user=ada")) != home
    counts = counts_of(live)
    assert counts["session_moves"] in (0, 1)  # 0: it was back before the request came
    assert counts["session_evictions"] == 0

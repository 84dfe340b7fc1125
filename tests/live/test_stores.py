"""One contract for every store of sessions."""

import multiprocessing
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from lbsim import InputError
from live.stores import Memory, Store, open_store


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a real Redis server on a free loopback port."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    pytest.importorskip("redis")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = tmp_path_factory.mktemp("redis")
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", place],
        stdout=subprocess.DEVNULL,
    )
    try:
        while True:  # until it listens, or is dead
            assert server.poll() is None, "redis-server did not start"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.01)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def where(request, tmp_path) -> str:
    if request.param == "memory":
        return "memory"
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/sessions.db"
    return request.getfixturevalue("redis_url")


@pytest.fixture
def opened(where, request) -> Callable[..., Store]:
    stores = []

    def open_(ttl_s: float | None = None) -> Store:
        stores.append(open_store(where, ttl_s))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


def test_get_gives_back_what_was_put_last(opened):
    store = opened()
    assert store.get("a") is None
    store.put("a", b"1")
    store.put("b", b"2")
    store.put("a", b"3")
    assert (store.get("a"), store.get("b")) == (b"3", b"2")


def test_any_bytes_and_any_key(opened):
    store = opened()
    value = bytes(range(256)) * 400
    for key in ("", "ä'; DROP TABLE sessions; --", "9" * 500, "a b\r\nc"):
        store.put(key, value)
        assert store.get(key) == value
    store.put("a", b"")
    assert store.get("a") == b""


def test_delete(opened):
    store = opened()
    store.put("gone", b"1")
    store.delete("gone")
    store.delete("gone")
    assert store.get("gone") is None


def test_a_session_expires_after_its_last_put(opened):
    store = opened(ttl_s=0.2)
    store.put("mortal", b"1")
    assert store.get("mortal") == b"1"
    until = time.monotonic() + 30
    while store.get("mortal") is not None:
        assert time.monotonic() < until
        time.sleep(0.01)
    store.put("mortal", b"2")
    assert store.get("mortal") == b"2"


def test_others_see_it_exactly_if_it_is_shared(opened):
    first, second = opened(), opened()
    first.put("seen", b"1")
    assert second.get("seen") == (b"1" if first.is_shared else None)
    assert first.is_shared == second.is_shared


def write_many(where: str, who: int) -> None:
    store = open_store(where)
    for i in range(100):
        store.put(f"{who}-{i}", b"x" * 100)
        store.put("everybody's", b"%d" % who)
    store.close()


def test_many_processes_write_at_once(opened, where):
    if where == "memory":
        pytest.skip("a process of its own has a memory of its own")
    store = opened()
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(where, who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert all(store.get(f"{who}-{i}") == b"x" * 100 for who in range(3) for i in range(100))
    assert store.get("everybody's") in (b"0", b"1", b"2")


def test_memory_evicts_what_was_used_least_recently_and_counts():
    store = Memory(capacity=2)
    store.put("a", b"1")
    store.put("b", b"22")
    store.get("a")
    store.put("c", b"333")
    assert [store.get(k) for k in "abc"] == [b"1", None, b"333"]
    assert (len(store), store.size, store.evictions) == (2, 4, 1)


def test_sqlite_purges_what_has_expired(tmp_path, monkeypatch):
    monkeypatch.setattr("live.stores.PURGE_EVERY", 10)
    store = open_store(f"sqlite:{tmp_path}/s.db", ttl_s=1e-3)
    for i in range(50):
        store.put(str(i), b"x")
        time.sleep(2e-3)
    (rows,) = store._file.execute("SELECT count(*) FROM sessions").fetchone()
    store.close()
    assert rows < 20


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("mongo", r"store = 'mongo' is not known; give memory, sqlite:PATH or redis:"),
        ("sqlite:", r"store = 'sqlite:' is not known"),
        ("sqlite:/nowhere/s.db", r"/nowhere/s.db cannot be opened .*in a directory that does"),
        ("redis://127.0.0.1:1/0", r"no Redis server answers .*start one with redis-server"),
    ],
)
def test_messages(where, message):
    with pytest.raises(InputError, match=message):
        open_store(where)

import shutil

from live import store_costs
from live.stores import Memory


def test_every_store_there_is_has_a_price():
    found = store_costs.costs(size=100, pairs=50)
    assert list(found) == ["memory", "sqlite"] + ["redis"] * bool(shutil.which("redis-server"))
    assert all(len(took) == 50 and (took > 0).all() for took in found.values())


def test_pairs_are_written_back():
    store = Memory()
    store_costs.time_pairs(store, size=7, pairs=20, seed=3)
    assert 0 < len(store) <= 20
    assert {len(store.get(f"3-{i}") or b"x" * 7) for i in range(500)} == {7}

"""Occupancy and paths against brute force, on small cases full of ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbsim.errors import InputError
from lbsim.stats.occupancy import occupancy
from lbsim.stats.paths import count_path, queue_lengths

NEVER = float("nan")


@st.composite
def histories(draw):
    """Requests at whole seconds, so that nearly everything ties; some never get on."""
    n_workers = draw(st.integers(1, 4))
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        times = sorted(draw(st.lists(st.integers(0, 9), min_size=4, max_size=4)))
        come, sent, begun, done = map(float, times)
        reached = draw(st.sampled_from(["done", "given up", "queued", "serving", "held", "shed"]))
        if reached in ("held", "shed"):
            sent = begun = NEVER
        if reached in ("queued", "given up"):
            begun = NEVER
        if reached in ("queued", "serving", "held"):
            done = NEVER
        worker = draw(st.integers(0, n_workers - 1)) if sent == sent else -1
        rows.append((come, sent, begun, done, worker))
    down = draw(
        st.lists(
            st.tuples(st.integers(0, n_workers - 1), st.integers(0, 9), st.integers(0, 9)).map(
                lambda t: (t[0], float(min(t[1:])), float(max(t[1:])))
            ),
            max_size=3,
        )
    )
    places = draw(st.lists(st.integers(1, 2), min_size=n_workers, max_size=n_workers))
    return n_workers, rows, down, places


def brute_force(n_workers, rows, down, places, begin, end):
    """The definition, evaluated in the middle of every unit of time."""
    until = [np.inf if row[3] != row[3] else row[3] for row in rows]
    busy, present, held_sum, waiting_sum, wasted = (
        np.zeros(n_workers),
        np.zeros(n_workers),
        0,
        0,
        0,
    )
    moments = np.arange(begin, end) + 0.5
    for t in moments:
        serving, queued, held = np.zeros(n_workers), np.zeros(n_workers), 0
        for (come, sent, begun, _, worker), leave in zip(rows, until, strict=True):
            if not come <= t < leave:
                continue
            if not sent <= t:
                held += 1
            elif begun <= t:
                serving[worker] += 1
            else:
                queued[worker] += 1
        up = np.array(
            [not any(w == v and a <= t < b for w, a, b in down) for v in range(n_workers)]
        )
        idle = up & (serving < places)
        wasted += any(
            held or any(queued[u] and u != v for u in range(n_workers))
            for v in np.flatnonzero(idle)
        )
        busy += np.minimum(serving, places) / np.array(places)
        present += serving + queued
        held_sum += held
        waiting_sum += held + queued.sum()
    k = len(moments)
    return busy / k, present / k, held_sum / k, waiting_sum / k, wasted / k


@settings(max_examples=300, deadline=None)
@given(histories(), st.integers(0, 4), st.integers(5, 12))
def test_equals_brute_force(history, begin, end):
    n_workers, rows, down, places = history
    come, sent, begun, done, worker = (np.array(column) for column in zip(*rows, strict=True))
    result = occupancy(
        come,
        sent,
        begun,
        done,
        worker,
        n_workers=n_workers,
        concurrency=places,
        down=down,
        begin=begin,
        end=end,
    )
    expected = brute_force(n_workers, rows, down, places, begin, end)
    np.testing.assert_allclose(result.utilisation, expected[0], atol=1e-12)
    np.testing.assert_allclose(result.at_worker, expected[1], atol=1e-12)
    assert result.held == pytest.approx(expected[2], abs=1e-12)
    assert result.waiting == pytest.approx(expected[3], abs=1e-12)
    assert result.idle_while_waiting == pytest.approx(expected[4], abs=1e-12)


def test_a_handover_at_one_instant_leaves_no_idle_moment():
    # Worker 0 ends one request and takes the next, while worker 1 is down: nobody idles.
    result = occupancy(
        [0.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 2.0], [0, 0], n_workers=2, down=[(1, 0.0, 2.0)]
    )
    assert result.idle_while_waiting == 0.0
    assert result.utilisation.tolist() == [1.0, 0.0]
    assert result.held == 0.5


def test_a_queue_at_the_only_idle_worker_is_not_elsewhere():
    # A hung worker: its request waits at it, and it serves nothing.
    alone = occupancy([0.0], [0.0], [2.0], [3.0], [0], n_workers=1)
    beside = occupancy([0.0], [0.0], [2.0], [3.0], [0], n_workers=2)
    assert alone.idle_while_waiting == 0.0
    assert beside.idle_while_waiting == pytest.approx(2 / 3)


def test_processor_sharing_keeps_a_worker_busy_with_one_request():
    result = occupancy([0, 0], [0, 0], [0, 0], [4, 2], [0, 0], n_workers=1)
    assert result.utilisation.tolist() == [1.0]
    assert result.at_worker.tolist() == [1.5]
    assert result.waiting == 0.0


def test_a_worker_down_for_ever_is_not_idle():
    result = occupancy(
        [0.0], [1.0], [1.0], [2.0], [0], n_workers=2, down=[(0, 0.0, 1.0), (1, 0.0, np.inf)]
    )
    assert result.idle_while_waiting == 0.0


def test_many_workers():
    n = 70_000  # beyond 16 bits
    result = occupancy([0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 2.0], [69_999, 3], n_workers=n)
    assert result.utilisation[69_999] == 0.5
    assert result.utilisation[3] == 0.5
    assert result.utilisation.sum() == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"started": [0.5]}, r"started\[0\] = 0.5 lies before dispatched\[0\] = 1"),
        ({"finished": [0.5], "started": [NEVER]}, r"finished\[0\] = 0.5 lies before dispatched"),
        ({"worker": [2]}, r"worker\[0\] = 2 does not exist; workers are 0 to 1"),
        ({"dispatched": [NEVER]}, r"started\[0\] = 2 has no time before it"),
        ({"worker": [0, 0]}, r"worker has shape \(2,\)"),
        ({"n_workers": 0}, "n_workers = 0 must be at least 1"),
        ({"concurrency": 0}, "concurrency = 0 must be at least 1"),
        ({"down": [(5, 0.0, 1.0)]}, r"down = \(5, 0.0, 1.0\) must name a worker from 0 to 1"),
        ({"begin": 9.0}, r"window \[9, 3\) is empty"),
    ],
)
def test_bad_input_is_explained(change, message):
    given = {
        "arrival_at_master": [0.0],
        "dispatched": [1.0],
        "started": [2.0],
        "finished": [3.0],
        "worker": [0],
        "n_workers": 2,
    }
    with pytest.raises(InputError, match=message):
        occupancy(**{**given, **change})


def test_no_request_needs_a_window():
    with pytest.raises(InputError, match="begin and end must be given"):
        occupancy([], [], [], [], [], n_workers=1)
    empty = occupancy([], [], [], [], [], n_workers=1, begin=0.0, end=1.0)
    assert empty.utilisation.tolist() == [0.0]
    assert empty.idle_while_waiting == 0.0


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted), max_size=8),
    st.floats(0.0, 4.0),
    st.floats(5.0, 12.0),
)
def test_count_path_equals_its_definition(stays, begin, end):
    path = count_path([a for a, _ in stays], [b for _, b in stays])
    at = np.arange(0.0, 11.0, 0.5)
    expected = [sum(a <= t < b for a, b in stays) for t in at]
    assert path.at(at).tolist() == expected
    assert (np.diff(path.times) > 0).all()
    overlap = sum(max(0.0, min(b, end) - max(a, begin)) for a, b in stays)
    assert path.mean(begin, end) == pytest.approx(overlap / (end - begin), abs=1e-12)


def test_path_knows_never():
    path = count_path([NEVER, 1.0], [5.0, NEVER])
    assert path.times.tolist() == [1.0]
    assert path.values.tolist() == [1]
    with pytest.raises(InputError, match="is empty"):
        path.mean(1.0, 1.0)


def test_queue_lengths_skip_what_never_came():
    lengths = queue_lengths([0.0, NEVER, 1.0], [NEVER, 2.0, 1.0], [0, 0, 1], 2, [0.0, 1.0, 5.0])
    assert lengths.tolist() == [[1, 1, 1], [0, 0, 0]]

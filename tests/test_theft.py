"""What a hypervisor takes away, drawn: how likely, how long, and for whom."""

import math

import numpy as np
import pytest

from lbsim import ClosedLoop, Cluster, Deterministic, Workload, policies
from lbsim.theft import SLICE_S, WAKES, apart, together
from tests.test_calibration import NOTHING


def held_up_s(theft: float) -> float:
    """Return the mean of how long slices that overlap hold somebody up, in seconds.

    The time until an M/M/infinity queue in equilibrium is empty: from n customers that of going to
    n - 1, n - 2, …, of which each is a mean first passage of a birth-and-death process.
    """
    offered = -math.log1p(-theft)
    found = until_empty = 0.0
    for n in range(1, 40):
        until_empty += sum(
            offered**k * math.factorial(n - 1) / math.factorial(n + k) for k in range(60)
        )
        found += math.exp(-offered) * offered**n / math.factorial(n) * until_empty
    return SLICE_S * found


@pytest.mark.parametrize("rate", [10.0, 100.0, 10_000.0])
def test_a_stolen_processor_holds_up_all_that_come_meanwhile_and_no_longer(rate):
    share, per_stretch, stretches = 0.1, 4000, 50
    n = per_stretch * stretches
    times = np.random.default_rng(1).exponential(1.0 / rate, n).cumsum()
    late = together(times, np.full(n, share), np.random.default_rng(2))
    for found, expected in ((late > 0.0, share), (late, held_up_s(share))):
        # Requests that come close together wait for the same slices; stretches of 0.4 s (100
        # slices) and more hardly know of each other.
        means = found.reshape(stretches, per_stretch).mean(axis=1)
        error = means.std(ddof=1) / np.sqrt(stretches)
        assert means.mean() == pytest.approx(expected, abs=4 * error)
    assert (np.diff(times + late) >= -1e-9).all()  # nobody overtakes, and nobody is held up by it


def test_no_processor_is_stolen_before_the_hypervisor_takes_one():
    times = np.linspace(0.0, 100.0, 100_001)
    theft = np.where(times < 50.0, 0.0, 0.3)
    late = together(times, theft, np.random.default_rng(3))
    assert not late[times < 49.9].any()
    assert np.mean(late[times > 50.1] > 0.0) == pytest.approx(0.3, abs=0.03)
    assert not together(times, 0.0 * theft, np.random.default_rng(3)).any()


def test_a_share_of_requests_waits_each_for_itself():
    theft = np.repeat([0.0, 0.2], 40_000)
    never, at_times = np.split(apart(theft, np.random.default_rng(4)), 2)
    assert not never.any()
    assert np.mean(at_times > 0.0) == pytest.approx(0.2, abs=4 * 0.4 / np.sqrt(40_000))
    waited = at_times[at_times > 0.0]  # exponential: as long on the average as it varies
    assert waited.mean() == pytest.approx(SLICE_S, abs=4 * SLICE_S / np.sqrt(len(waited)))


def test_who_wakes_while_a_processor_is_stolen_waits_for_the_rest_of_a_slice():
    n = 40_000
    workload = Workload.from_arrays(np.arange(n) * 1.0, np.full(n, 0.01))
    cluster = Cluster(2, discipline="event_loop")
    share = 0.2
    theft = np.where(np.arange(n) < n // 2, 0.0, share)

    def latency(theft: np.ndarray | None) -> np.ndarray:
        predicted = NOTHING.predict(
            workload, policies.RoundRobin(), cluster, replays=1, theft=theft, engine="readable"
        )
        return predicted.latency[0]

    assert np.array_equal(latency(np.zeros(n)), latency(None))
    found = latency(theft)
    assert found[: n // 2] == pytest.approx(0.01)
    # On the way in, at the end of the work, and on the way back: as often as the calibration, which
    # takes it off, says that somebody wakes.
    late = found[n // 2 :] - 0.01
    untouched = (1.0 - share) ** (2 * WAKES)
    assert np.mean(late < 1e-9) == pytest.approx(untouched, abs=4 * 0.5 / np.sqrt(len(late)))
    # A second apart they are independent of each other.
    way_in = 1.0 - (1.0 - share) ** WAKES
    expected = held_up_s(way_in) + WAKES * share * SLICE_S
    assert late.mean() == pytest.approx(expected, abs=4 * late.std() / np.sqrt(len(late)))


def test_clients_of_a_closed_loop_wait_for_stolen_processors_as_often():
    n = 40_000
    workload = Workload.synthetic(
        n, arrivals=ClosedLoop(1, Deterministic(1.0)), service=Deterministic(0.01), seed=1
    )
    cluster = Cluster(2, discipline="event_loop")
    share = 0.2
    theft = np.full(n, share)
    predicted = NOTHING.predict(workload, policies.RoundRobin(), cluster, replays=1, theft=theft)
    late = predicted.latency[0] - 0.01
    expected = SLICE_S * (1.0 - (1.0 - share) ** WAKES + WAKES * share)
    assert late.mean() == pytest.approx(expected, abs=4 * late.std() / np.sqrt(n))


def test_what_is_stolen_from_a_worker_delays_those_behind_too():
    cluster = Cluster(1, discipline="event_loop")
    workload = Workload.from_arrays([0.0, 0.05], [0.1, 0.1])
    theft = np.array([0.3, 0.0])
    late = NOTHING.predict(workload, policies.RoundRobin(), cluster, replays=4000, theft=theft)
    first, second = (late.latency - [0.1, 0.15]).T
    assert second.mean() == pytest.approx((WAKES + 1) * 0.3 * SLICE_S, rel=0.15)
    # Its own client must wake as well, for which nobody else waits.
    assert (first - second).mean() == pytest.approx(0.3 * SLICE_S, rel=0.15)
    assert (first - second).min() >= -1e-12

"""Calibrations: files, and what they change in a simulation."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from lbsim import (
    ClosedLoop,
    Cluster,
    Crash,
    Deterministic,
    Exponential,
    Faults,
    InputError,
    Policy,
    Workload,
    policies,
    simulate,
)
from lbsim.calibration import PACES, Calibration, regime_of
from lbsim.costs import REGIMES

COSTS = Calibration(
    accept_s=30e-6,
    dispatch_s=20e-6,
    per_byte_s=1e-9,
    worker_accept_s=40e-6,
    worker_turn_s=60e-6,
    overrun={
        "queued": {100.0: (2e-4, 3e-4, 4e-4)},
        "acknowledged": {100.0: (4e-4, 4e-4)},
        "held": {100.0: (8e-4, 9e-4, 1e-3)},
    },
    before={100.0: (1e-4, 2e-4, 9e-4)},
    rest={100.0: (3e-4, 5e-4)},
    restart_s=0.3,
    machine={"cores": 2},
)


def fixed(overrun: float, before: tuple[float, float], rest: float, *costs: float) -> Calibration:
    """Costs that do not vary."""
    spreads = {regime: {1.0: (overrun, overrun)} for regime in REGIMES}
    accept, dispatch, taken, turn = costs or (0.0, 0.0, 0.0, 0.0)
    return Calibration(
        accept, dispatch, 0.0, taken, turn, spreads, {1.0: before}, {1.0: (rest, rest)}, 0.1
    )


NOTHING = fixed(0.0, (0.0, 0.0), 0.0)


def poisson(n: int = 400, workers: int = 4) -> Workload:
    cluster = Cluster(workers)
    return Workload.synthetic(n, service=Exponential(0.01), load=0.7, cluster=cluster, seed=1)


def test_a_file_gives_back_what_was_saved(tmp_path):
    COSTS.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == COSTS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "is not a calibration .*write one with: live calibrate"),
        ("[1]", "is not a calibration"),
        (json.dumps({"version": 5, "accept_s": 1.0}), "is not a calibration"),
        (json.dumps({"version": 9, **vars(COSTS)}), "has version 9, and this lbsim reads 5"),
        (
            json.dumps({"version": 5, **vars(COSTS), "accept_s": -1.0}),
            "accept_s = -1 must be finite",
        ),
        (
            json.dumps({"version": 5, **vars(COSTS), "rest": {"100": [2, 1]}}),
            "rest, 100/s is not an ascending",
        ),
        (
            json.dumps({"version": 5, **vars(COSTS), "rest": {"7": [1, 2]}}),
            "all need the same ones",
        ),
        (
            json.dumps(
                {"version": 5, **vars(COSTS), "overrun": {regime: {} for regime in REGIMES}}
            ),
            "overrun is of no rate",
        ),
        (
            json.dumps({"version": 5, **vars(COSTS), "making": {"7": 1e-4}}),
            r"making is of the rates 7.0, before of 100.0",
        ),
        (
            json.dumps({"version": 5, **vars(COSTS), "levels": [0.0]}),
            "making and levels = 0 must be",
        ),
    ],
)
def test_bad_files(tmp_path, text, message):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=message):
        Calibration.load(tmp_path / "c.json")


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"does not exist; write a calibration with"):
        Calibration.load(tmp_path / "none.json")


def test_a_calibrated_cluster_has_the_machine_s_costs(tmp_path):
    COSTS.save(tmp_path / "c.json")
    faults = Faults(Crash(1, 2.0), detect_s=0.5)
    cluster = Cluster.calibrated(tmp_path / "c.json", 4, speeds=[1, 2, 1, 1], faults=faults)
    assert cluster.discipline == "event_loop"
    assert cluster.speeds == (1, 2, 1, 1)
    assert (cluster.master.accept_s, cluster.master.dispatch_s) == (30e-6, 20e-6)
    assert cluster.master.per_byte_s == 1e-9
    assert (cluster.overhead_s, cluster.accept_s, cluster.turn_s) == pytest.approx(
        (3e-4, 40e-6, 60e-6)
    )
    assert (cluster.faults.restart_s, cluster.faults.detect_s) == (0.3, 0.5)
    blocking = Cluster.calibrated(tmp_path / "c.json", 4, discipline="fcfs")
    assert (blocking.accept_s, blocking.turn_s) == (0.0, 0.0)
    assert blocking.overhead_s == pytest.approx(3e-4 + 40e-6 + 60e-6)
    replace(COSTS, worker_setup_s=2e-4, setup_share=0.25).save(tmp_path / "c.json")
    cluster = Cluster.calibrated(tmp_path / "c.json", 4)
    assert (cluster.setup_s, cluster.setup_share) == (2e-4, 0.25)
    assert cluster.overhead_s == pytest.approx(3e-4 - 50e-6)  # it costs no more than before
    assert Cluster.calibrated(tmp_path / "c.json", 4, discipline="fcfs").setup_s == 0


def test_without_costs_a_prediction_is_the_simulation():
    workload, cluster = poisson(), Cluster(4, discipline="event_loop")
    policy = policies.LeastConnections()
    predicted = NOTHING.predict(workload, policy, cluster, replays=3, seed=5)
    run = simulate(workload, policy, cluster, seed=5)
    assert np.array_equal(predicted.latency, np.tile(run.latency, (3, 1)))


def test_costs_that_do_not_vary_shift_a_request_that_never_waits():
    n = 20
    workload = Workload.from_arrays(np.arange(n) * 1.0, np.full(n, 0.01))
    costs = fixed(7e-3, (8e-3, 8e-3), 16e-3, 1e-3, 2e-3, 4e-3, 5e-3)
    for policy in (policies.RoundRobin(), policies.CentralQueue()):
        predicted = costs.predict(workload, policy, Cluster(2, discipline="event_loop"), replays=2)
        # before, accept, dispatch, the worker's accept and its turn, then the work and the rest
        assert predicted.latency == pytest.approx(0.01 + 8e-3 + 1e-3 + 2e-3 + 4e-3 + 5e-3 + 16e-3)


def test_an_idle_worker_wakes_and_a_busy_one_does_not():
    wakes = replace(NOTHING, waking={1.0: (2e-3, 2e-3)})
    requests = Workload.from_arrays([0.0, 0.005, 1.0], [0.01, 0.01, 0.01])
    for cluster in (Cluster(1, discipline="event_loop"), Cluster(1)):
        latency = wakes.predict(requests, policies.LeastConnections(), cluster, replays=2).latency
        assert latency[0] == pytest.approx([0.012, 0.017, 0.012])
    # The cluster knows how slow the machine is in the mean; the rest comes with each request.
    pace = np.array([1.0, 1.0, 2.5])
    loop = Cluster(1, discipline="event_loop")
    seen, costly, _ = wakes.perturb(requests, 1, loop, pace=pace)
    assert costly.wake_s == pytest.approx((3e-3, 3e-3))
    assert seen.arrival == pytest.approx([0.0, 0.005, 1.002])


def test_how_long_workers_wake_is_drawn_in_each_replay():
    wakes = replace(NOTHING, waking={1.0: (1e-3, 3e-3)})
    requests = Workload.from_arrays(np.arange(40.0), np.full(40, 0.01))
    loop = Cluster(2, discipline="event_loop")
    latency = wakes.predict(requests, policies.LeastConnections(), loop, replays=20).latency
    assert (np.ptp(latency, axis=0) > 1e-3).all()
    assert latency.mean() == pytest.approx(0.012, abs=2e-4)


def test_what_a_held_request_s_worker_wakes_is_a_part_of_its_overrun():
    costs = replace(COSTS, waking={100.0: (1e-4, 3e-4)})
    loop = Cluster(2, discipline="event_loop")
    assert costs.overhead(loop, "held") == pytest.approx(COSTS.overhead(loop, "held") - 2e-4)
    assert costs.overhead(loop, "queued") == COSTS.overhead(loop, "queued")
    assert costs.overhead(Cluster(2), "held") == COSTS.overhead(Cluster(2), "held")


@pytest.mark.parametrize("dispatch_s", [0.0, 1e-3])
def test_a_worker_is_occupied_for_what_was_measured_whoever_hands_it_the_next(dispatch_s):
    """With a master it must wake for a request that was held, without one it takes it at once."""
    costs = fixed(5e-3, (0.0, 0.0), 0.0, 0.0, dispatch_s, 0.0, 0.0)
    costs = replace(costs, waking={1.0: (2e-3, 2e-3)})
    loop = Cluster(1, discipline="event_loop")
    together = Workload.from_arrays([0.0, 0.0, 0.0], [0.01, 0.01, 0.01])
    latency = costs.predict(together, policies.SharedAccept(), loop, replays=2).latency
    assert np.diff(latency, axis=1) == pytest.approx(0.015)


def test_a_request_that_waits_pays_for_where_it_waits():
    cluster = Cluster(1, discipline="event_loop")
    workload = Workload.from_arrays([0.0, 0.0], [0.01, 0.01])
    for policy in (policies.RoundRobin(), policies.CentralQueue()):
        second = COSTS.predict(workload, policy, cluster, replays=50).latency[:, 1]
        spread = COSTS.overrun[regime_of(policy, cluster)][100.0]
        before = np.mean(COSTS.before[100.0])
        # It begins when the first one's work and overrun are over (all its costs included).
        expected = (
            0.02 + 30e-6 + 20e-6 + 40e-6 + np.mean(spread) + before + np.mean(COSTS.rest[100.0])
        )
        assert np.mean(second) == pytest.approx(expected, abs=2e-4)


def test_where_the_next_request_waits():
    cluster = Cluster(2)
    assert regime_of(policies.LeastConnections(), cluster) == "queued"
    assert regime_of(policies.LeastConnections(), Cluster(2, slots=1)) == "held"
    assert regime_of(policies.CentralQueue(), cluster) == "held"
    assert regime_of(policies.BoundedQueue(2), cluster) == "queued"
    assert regime_of(policies.NodeCluster(), cluster) == "acknowledged"


def test_jitter_differs_between_replays_and_repeats_with_its_seed():
    workload, cluster = poisson(), Cluster(4, discipline="event_loop")
    first, again, other = (
        COSTS.predict(workload, policies.LeastConnections(), cluster, replays=4, jitter_seed=s)
        for s in (1, 1, 2)
    )
    assert np.array_equal(first.latency, again.latency)
    assert not np.array_equal(first.latency, other.latency)
    assert not np.array_equal(first.latency[0], first.latency[1])
    low, middle, high = first.interval(0.99)
    assert low < middle < high
    assert first.median().shape == (400,)


def test_the_way_is_that_of_the_workload_s_rate():
    costs = replace(
        NOTHING,
        before={10.0: (4e-3, 4e-3), 1000.0: (1e-3, 1e-3)},
        rest={10.0: (0.0, 0.0), 1000.0: (0.0, 0.0)},
    )
    for rate, expected in ((1.0, 4e-3), (10.0, 4e-3), (100.0, 2.5e-3), (1000.0, 1e-3)):
        workload = Workload.from_arrays(np.arange(501) / rate, np.full(501, 1e-9))
        _, _, outside = costs.perturb(workload, 1, Cluster(2))
        assert outside == pytest.approx(expected, rel=1e-2)


def test_workers_are_more_in_each_other_s_way_the_more_requests_come():
    overrun = {regime: {10.0: (1e-3, 1e-3), 1000.0: (5e-3, 5e-3)} for regime in REGIMES}
    costs = replace(NOTHING, overrun=overrun)
    cluster = Cluster(2)
    for rate, expected in ((1.0, 1e-3), (100.0, 3e-3), (9999.0, 5e-3)):
        workload = Workload.from_arrays(np.arange(501) / rate, np.full(501, 1e-9))
        _, costly, _ = costs.perturb(workload, 1, cluster)
        assert costly.overhead_s == pytest.approx(expected, rel=1e-2)
    assert costs.apply(cluster).overhead_s == pytest.approx(1e-3)
    assert costs.apply(cluster, rate=1e6).overhead_s == pytest.approx(5e-3)


def test_own_overrun_delays_those_behind_and_not_oneself():
    overrun = {regime: {1.0: (0.0, 0.02)} for regime in REGIMES}
    costs = replace(NOTHING, overrun=overrun, rest={1.0: (0.01, 0.01)})
    one = Workload.from_arrays(np.arange(20) * 10.0, np.full(20, 0.1))
    cluster = Cluster(1, discipline="event_loop")
    latency = costs.predict(one, policies.RoundRobin(), cluster, replays=3).latency
    assert latency == pytest.approx(0.11)
    two = Workload.from_arrays([0.0, 0.0], [0.1, 0.1])
    second = costs.predict(two, policies.RoundRobin(), cluster, replays=200).latency[:, 1]
    assert second.min() < 0.213
    assert second.max() > 0.227


def test_replays_differ_by_as_much_as_the_machine_did():
    sure = replace(COSTS, levels=(1.0, 1.0, 1.0))
    unsure = replace(COSTS, levels=(0.8, 1.0, 1.2))
    workload, cluster = poisson(), Cluster(4, discipline="event_loop")
    low, middle, high = unsure.predict(workload, policies.RoundRobin(), cluster).interval(0.5)
    tight = sure.predict(workload, policies.RoundRobin(), cluster).interval(0.5)
    assert low < tight[0] < tight[2] < high
    assert middle == pytest.approx(tight[1], rel=0.02)


def test_replays_differ_by_as_much_as_is_not_known_of_the_overrun():
    sure = fixed(1e-3, (0.0, 0.0), 0.0)
    unsure = replace(sure, unsure=dict.fromkeys(REGIMES, 0.1))
    workload, cluster = poisson(), Cluster(4, discipline="event_loop")
    costs = [unsure.perturb(workload, seed, cluster)[1].overhead_s for seed in range(400)]
    assert np.median(costs) == pytest.approx(1e-3, rel=0.02)
    assert np.std(np.log(costs)) == pytest.approx(0.1, rel=0.15)
    low, middle, high = unsure.predict(workload, policies.RoundRobin(), cluster).interval(0.5)
    assert low < middle < high
    same, _, _ = sure.predict(workload, policies.RoundRobin(), cluster, replays=3).interval(0.5)
    assert middle == pytest.approx(same, rel=0.02)


def test_replays_differ_more_where_what_is_slow_comes_in_bunches():
    alone = fixed(1e-3, (0.0, 0.0), 0.0)
    slow_or_fast = {1.0: (0.0,) * 9 + (1e-3,) + (2e-3,) * 9}
    alone = replace(alone, overrun=dict.fromkeys(REGIMES, slow_or_fast))
    together = replace(alone, bunched=dict.fromkeys(REGIMES, (0.1, 0.2)))
    workload, cluster = poisson(), Cluster(4, discipline="event_loop")

    def intervals(costs):
        found = costs.predict(workload, policies.RoundRobin(), cluster)
        return found.interval(0.5), np.mean(found.latency)

    (low, middle, high), mean = intervals(alone)
    (lower, same, higher), same_mean = intervals(together)
    assert higher - lower > 1.5 * (high - low)
    assert same == pytest.approx(middle, rel=0.02)
    assert same_mean == pytest.approx(mean, rel=0.02)


def test_costs_follow_how_long_sockets_take_to_make():
    n = 1000
    workload = Workload.from_arrays(np.arange(n) * 0.01, np.full(n, 0.001))
    cluster, policy = Cluster(1, discipline="event_loop"), policies.RoundRobin()
    costs = replace(fixed(0.002, (0.001, 0.001), 0.002), making={1.0: 50e-6})
    making = np.where(np.arange(n) < n // 2, 50e-6, 75e-6)
    making[::7] = np.nan  # not sent
    slow = costs.predict(workload, policy, cluster, replays=1, making=making).latency[0]
    usual = costs.predict(workload, policy, cluster, replays=1).latency[0]
    assert usual == pytest.approx(0.001 + 0.001 + 0.002)
    assert slow[:100] == pytest.approx(usual[:100])
    assert slow[-100:] == pytest.approx(0.001 + 1.5 * (0.001 + 0.002))
    # Ten times as long: the machine was not ten times as slow.
    assert costs.pace(10 * making, workload, cluster).max() == PACES[1]
    unknown = replace(costs, making={})
    for other, of in ((unknown, making), (costs, np.full(n, np.nan))):
        same = other.predict(workload, policy, cluster, replays=1, making=of).latency[0]
        assert np.array_equal(same, usual)


def test_of_a_closed_loop_one_pace_is_known():
    cluster = Cluster(2)
    workload = Workload.synthetic(
        2000, service=Exponential(0.01), arrivals=ClosedLoop(5, Exponential(0.05)),
        cluster=cluster, seed=1,
    )  # fmt: skip
    costs = replace(COSTS, making={100.0: 50e-6})
    making = np.linspace(0.0, 120e-6, 2000)
    assert costs.pace(making, workload, cluster) == pytest.approx(np.full(2000, 1.2))


def test_calibrations_are_pooled():
    slower = replace(
        COSTS,
        accept_s=50e-6,
        before={100.0: (3e-4, 4e-4, 11e-4)},
        overrun={
            name: {100.0: tuple(2 * v for v in of_rate[100.0])}
            for name, of_rate in COSTS.overrun.items()
        },
        levels=(0.95, 1.05),
        making={100.0: 50e-6},
        unsure=dict.fromkeys(REGIMES, 0.04),
        bunched=dict.fromkeys(REGIMES, (0.1, -0.02)),
    )
    faster = replace(
        COSTS,
        making={100.0: 40e-6},
        unsure=dict.fromkeys(REGIMES, 0.03),
        bunched=dict.fromkeys(REGIMES, (0.2, 0.04)),
    )
    both = Calibration.pooled([faster, slower])
    assert both.making[100.0] == pytest.approx(45e-6)
    assert both.accept_s == pytest.approx(40e-6)
    assert both.before[100.0] == pytest.approx((2e-4, 3e-4, 10e-4))
    assert both.overrun["acknowledged"][100.0] == pytest.approx((6e-4, 6e-4))
    assert len(both.levels) == 3
    assert both.levels[0] < both.levels[1] < both.levels[2]
    assert np.average(both.levels, weights=[2, 1, 1]) == pytest.approx(1.0)
    assert Calibration.pooled([COSTS]).before[100.0] == pytest.approx(COSTS.before[100.0])
    # That a worker was occupied for 1.6 times as long, beside the making and the levels. What is
    # not the error of each is between the two, and the next is one more.
    fast, slow = both.levels[0], (both.levels[1] + both.levels[2]) / 2
    occupied = np.array([1.0 / fast, 1.6 / slow])
    apart, error = np.var(occupied / occupied.mean(), ddof=1), (0.03**2 + 0.04**2) / 2
    expected = math.sqrt(apart - error + apart / 2)
    assert both.unsure["held"] == pytest.approx(expected)
    assert Calibration.pooled([faster]).unsure == pytest.approx(faster.unsure)
    # If they differ by no more than their errors, the next differs from the mean by its error.
    alike = [replace(faster, making={100.0: 40e-6}) for _ in range(4)]
    many = Calibration.pooled(alike)
    assert many.unsure["held"] == pytest.approx(0.03 / 2)
    assert many.levels == pytest.approx((1.0,) * 4)  # one each
    assert both.bunched["held"] == pytest.approx((0.15, 0.01))
    assert both.is_quiet
    assert not Calibration.pooled([COSTS, replace(COSTS, is_quiet=False)]).is_quiet
    other = replace(COSTS, before={7.0: (0.0, 1.0)}, rest={7.0: (0.0, 1.0)})
    crowded = replace(COSTS, overrun={regime: {7.0: (0.0, 1.0)} for regime in REGIMES})
    for each in (other, crowded):
        with pytest.raises(InputError, match="different rates"):
            Calibration.pooled([COSTS, each])


def test_jitter_lets_nobody_overtake():
    wide = fixed(0.0, (0.0, 0.5), 0.0)
    workload = Workload.from_arrays(np.arange(50) * 0.01, np.arange(1, 51) * 1e-3)
    seen, _, outside = wide.perturb(workload, 3, Cluster(2))
    assert (np.diff(seen.arrival) >= 0).all()
    assert np.array_equal(seen.cpu, workload.cpu)
    assert seen.arrival - workload.arrival == pytest.approx(outside)


def test_a_policy_is_blind_if_no_jitter_changes_its_choices():
    workload, cluster = poisson(), Cluster(4, discipline="event_loop")

    def is_blind(policy: Policy) -> bool:
        return COSTS.predict(workload, policy, cluster, replays=5).is_blind

    assert is_blind(policies.RoundRobin())
    assert is_blind(policies.Random())
    assert not is_blind(policies.LeastConnections())


def test_clients_of_a_closed_loop_come_back_later():
    closed = Workload.synthetic(
        40, arrivals=ClosedLoop(clients=4, think=Deterministic(0.1)), service=Exponential(0.01)
    )
    seen, _, outside = COSTS.perturb(closed, 1, Cluster(2))
    assert seen.think - closed.think == pytest.approx(outside)
    predicted = COSTS.predict(closed, policies.RoundRobin(), Cluster(2, discipline="event_loop"))
    assert predicted.latency.shape == (200, 40)

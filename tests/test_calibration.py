"""Calibrations: files, and what they change in a simulation."""

import json

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
from lbsim.calibration import Calibration

COSTS = Calibration(
    accept_s=30e-6,
    dispatch_s=20e-6,
    per_byte_s=1e-9,
    worker_accept_s=40e-6,
    overrun=(2e-4, 3e-4, 4e-4),
    before=(1e-4, 2e-4, 9e-4),
    after=(1e-4, 1e-4),
    restart_s=0.3,
    machine={"cores": 2},
)
NOTHING = Calibration(0.0, 0.0, 0.0, 0.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), 0.1)


def poisson(n: int = 400, workers: int = 4) -> Workload:
    cluster = Cluster(workers)
    return Workload.synthetic(n, service=Exponential(0.01), load=0.7, cluster=cluster, seed=1)


def test_a_file_gives_back_what_was_saved(tmp_path):
    COSTS.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == COSTS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "is not a calibration .*python -m live calibrate"),
        ("[1]", "is not a calibration"),
        (json.dumps({"version": 1, "accept_s": 1.0}), "is not a calibration"),
        (json.dumps({"version": 9, **vars(COSTS)}), "has version 9, and this lbsim reads 1"),
        (
            json.dumps({"version": 1, **vars(COSTS), "accept_s": -1.0}),
            "accept_s = -1 must be finite",
        ),
        (json.dumps({"version": 1, **vars(COSTS), "after": [2, 1]}), "after is not an ascending"),
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
    assert cluster.master.per_byte_s == 0.0  # in mode "pass" no byte crosses the master
    assert COSTS.apply(cluster, mode="message").master.per_byte_s == 1e-9
    assert cluster.overhead_s + cluster.accept_s == pytest.approx(3e-4)
    assert (cluster.faults.restart_s, cluster.faults.detect_s) == (0.3, 0.5)
    blocking = Cluster.calibrated(tmp_path / "c.json", 4, discipline="fcfs")
    assert (blocking.accept_s, blocking.overhead_s) == (0.0, pytest.approx(3e-4))


def test_without_costs_a_prediction_is_the_simulation():
    workload, cluster = poisson(), Cluster(4, discipline="event_loop")
    policy = policies.LeastConnections()
    predicted = NOTHING.predict(workload, policy, cluster, replays=3, seed=5)
    run = simulate(workload, policy, cluster, seed=5)
    assert np.array_equal(predicted.latency, np.tile(run.latency, (3, 1)))


def test_costs_that_do_not_vary_shift_a_request_that_never_waits():
    n = 20
    workload = Workload.from_arrays(np.arange(n) * 1.0, np.full(n, 0.01))
    fixed = Calibration(1e-3, 2e-3, 0.0, 4e-3, (7e-3, 7e-3), (8e-3, 8e-3), (16e-3, 16e-3), 0.1)
    cluster = Cluster(2, discipline="event_loop")
    predicted = fixed.predict(workload, policies.RoundRobin(), cluster, replays=2)
    # accept + dispatch + overrun (the worker's accept is a part of it) + before + after
    assert predicted.latency == pytest.approx(0.01 + 1e-3 + 2e-3 + 7e-3 + 8e-3 + 16e-3)


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


def test_jitter_lets_nobody_overtake():
    wide = Calibration(0.0, 0.0, 0.0, 0.0, (0.0, 0.0), (0.0, 0.5), (0.0, 0.0), 0.1)
    workload = Workload.from_arrays(np.arange(50) * 0.01, np.arange(1, 51) * 1e-3)
    seen, outside = wide.perturb(workload, 3)
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
    seen, outside = COSTS.perturb(closed, 1)
    assert seen.think - closed.think == pytest.approx(outside)
    predicted = COSTS.predict(closed, policies.RoundRobin(), Cluster(2, discipline="event_loop"))
    assert predicted.latency.shape == (200, 40)

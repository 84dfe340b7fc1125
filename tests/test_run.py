import numpy as np
import pytest

import lbsim
from lbsim import Client, Cluster, Crash, Faults, Workload
from lbsim.measures import MEASURES, measure, stays
from lbsim.policies import CentralQueue, LeastConnections, RoundRobin, Sticky


@pytest.fixture(scope="module")
def troubled():
    cluster = Cluster(3, faults=Faults(Crash(0, 1.0), Crash(1, 4.0), restart_s=0.5, detect_s=0.1))
    workload = Workload.synthetic(
        600, service=lbsim.Exponential(0.05), load=0.8, cluster=cluster, sessions=20, seed=3
    )
    client = Client(timeout=1.0, retries=1, hedge_after=0.3)
    return lbsim.simulate(workload, LeastConnections(), cluster, client=client, seed=2)


def test_every_request_is_a_row(troubled):
    frame = troubled.frame()
    assert len(frame) == len(troubled) == 600
    assert set(frame["outcome"]) <= {"ok", "shed", "lost", "timeout", "unfinished"}
    ok = frame[frame["outcome"] == "ok"]
    assert (ok["latency"] == ok["finished"] - ok["arrival"]).all()
    assert (ok["started"] >= ok["dispatched"]).all()
    assert frame[frame["outcome"] != "ok"]["latency"].isna().all()


def test_attempts_account_for_every_handover(troubled):
    attempts = troubled.attempts()
    assert attempts.groupby("request").size().reindex(range(600), fill_value=0).tolist() == (
        troubled.n_attempts.tolist()
    )
    answered = attempts[attempts["ending"] == "answered"]
    assert sorted(answered["request"]) == np.flatnonzero(troubled.outcome == 0).tolist()


def test_nobody_serves_two_at_a_time(troubled):
    for _, rows in troubled.attempts().dropna(subset=["started"]).groupby("worker"):
        rows = rows.sort_values("started")
        assert (rows["started"].to_numpy()[1:] >= rows["ended"].to_numpy()[:-1]).all()


def test_nothing_is_served_by_a_dead_worker(troubled):
    attempts = troubled.attempts()
    for worker, begin, end in troubled.down_spans():
        mine = attempts[(attempts["worker"] == worker) & attempts["started"].notna()]
        assert not ((mine["started"] < end) & (mine["ended"] > begin)).any()


def test_measures_have_all_names_and_sensible_values(troubled):
    figures = measure(troubled)
    assert list(figures) == [m.name for m in MEASURES]
    assert 0.0 < figures["utilisation"] < 1.0
    assert 0.0 <= figures["idle_while_waiting"] <= 1.0
    assert figures["p50"] <= figures["p90"] <= figures["p99"] <= figures["worst"]
    assert figures["redispatched"] > 0
    assert troubled.summary()["mean"] == figures["mean"]


def test_a_central_queue_is_never_idle_while_a_request_waits():
    cluster = Cluster(4)
    workload = Workload.synthetic(
        2000, service=lbsim.Exponential(1.0), load=0.9, cluster=cluster, seed=1
    )
    late = lbsim.simulate(workload, CentralQueue(), cluster).summary()
    blind = lbsim.simulate(workload, RoundRobin(), cluster).summary()
    assert late["idle_while_waiting"] == 0.0
    assert blind["idle_while_waiting"] > 0.3


def test_stickiness_is_measured():
    cluster = Cluster(4)
    workload = Workload.synthetic(
        1000, service=lbsim.Exponential(1.0), load=0.5, cluster=cluster, sessions=50, seed=1
    )
    kept = lbsim.simulate(workload, Sticky(), cluster).summary()
    broken = lbsim.simulate(workload, RoundRobin(), cluster).summary()
    assert kept["kept"] == 1.0
    assert kept["moved"] == 0
    assert broken["kept"] < 0.4


def test_the_story_of_a_slow_request():
    workload = Workload.from_arrays([0.0, 0.1, 0.2], [1.0, 0.1, 0.5])
    run = lbsim.simulate(workload, RoundRobin(), Cluster(2))
    (story,) = run.slowest(1)
    assert story.request == 2
    assert story.worker == 0
    assert [(b.request, b.service) for b in story.behind] == [(0, 1.0)]
    assert story.at_worker == pytest.approx(0.8)
    assert story.idle == ((1, pytest.approx(0.8)),)
    assert str(story) == (
        "request 2: 1.3 s, 800 ms in the queue of worker 0 behind request 0 (1 s), while "
        "worker 1 was idle, 500 ms in service (alone: 500 ms)"
    )


def test_the_same_seed_gives_the_same_run():
    cluster = Cluster(4)
    workload = Workload.synthetic(
        500, service=lbsim.Exponential(1.0), load=0.9, cluster=cluster, seed=1
    )
    policy = lbsim.policies.PowerOfD()
    first = lbsim.simulate(workload, policy, cluster, seed=5)
    second = lbsim.simulate(workload, policy, cluster, seed=5)
    other = lbsim.simulate(workload, policy, cluster, seed=6)
    assert np.array_equal(first.finished, second.finished)
    assert not np.array_equal(first.worker, other.worker)


def test_html_is_escaped():
    class Evil(lbsim.Policy):
        def __init__(self, name="<script>"):
            self.name = name

        def choose(self, request, cluster):
            return cluster.up[0]

    run = lbsim.simulate(Workload.from_arrays([0.0], [1.0]), Evil(), Cluster(1))
    assert "<script>" not in run._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": RoundRobin}, r"is not a policy object; give RoundRobin\(\)"),
        ({"engine": "fast"}, r"engine = 'fast' is not known; give one of auto, readable"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {
        "workload": Workload.from_arrays([0.0], [1.0]),
        "policy": RoundRobin(),
        "cluster": Cluster(1),
    } | arguments
    with pytest.raises(lbsim.InputError, match=message):
        lbsim.simulate(**given)


def test_a_request_waits_again_from_its_workers_death_on():
    cluster = Cluster(2, faults=Faults(Crash(0, 1.0), restart_s=10.0, detect_s=0.5))
    run = lbsim.simulate(Workload.from_arrays([0.0, 0.0], [3.0, 2.0]), RoundRobin(), cluster)
    at_master, dispatched, started, ended, worker = stays(run)
    # Request 0: at worker 0 until it dies at 1; at worker 1 from 1.5, served from 2 on.
    assert at_master.tolist() == [0.0, 1.0, 0.0]
    assert dispatched.tolist() == [0.0, 1.5, 0.0]
    assert started.tolist() == [0.0, 2.0, 0.0]
    assert ended.tolist() == [1.0, 5.0, 2.0]
    assert worker.tolist() == [0, 1, 1]


def test_the_story_of_a_request_whose_worker_died():
    workload = Workload.from_arrays([0.0, 0.5], [2.0, 1.0])
    run = lbsim.simulate(
        workload, RoundRobin(), Cluster(2, faults=[lbsim.Crash(0, 1.0)], max_attempts=3)
    )
    (story,) = run.slowest(1)
    assert story.attempts == 2
    assert str(story).startswith(
        "request 0: 3.5 s, handed over 2 times, 1 s before it was at worker 1, 500 ms in the queue "
        "of worker 1 behind request 1 (1 s)"
    )


def test_a_story_names_all_who_were_idle_and_how_many_more():
    workload = Workload.from_arrays([0.0, 0.1], [1.0, 0.5])

    class Zero(lbsim.Policy):
        def choose(self, request, cluster):
            return cluster.up[0]

    (three,) = lbsim.simulate(workload, Zero(), Cluster(3), engine="readable").slowest(1)
    assert "while workers 1 and 2 were idle" in str(three)
    (many,) = lbsim.simulate(workload, Zero(), Cluster(9), engine="readable").slowest(1)
    assert "while workers 1, 2, 3 and 5 others were idle" in str(many)

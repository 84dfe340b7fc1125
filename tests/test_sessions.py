"""Sessions in memory, and what a moved session gets to see."""

import numpy as np
import pytest

import lbsim
from lbsim import sessions


class Given(lbsim.Policy):
    """Send the n-th request where the list says, if that worker is up."""

    def __init__(self, workers):
        self.workers = workers

    def prepare(self, n_workers):
        self.list = np.array(self.workers, np.int64)
        self.count = 0

    def choose(self, request, cluster):
        worker = self.list[self.count]
        self.count += 1
        return worker


def run(keys, workers, times=None, cluster=None):
    times = np.arange(len(keys), dtype=float) if times is None else times
    workload = lbsim.Workload.from_arrays(times, np.full(len(keys), 0.1), key=keys)
    cluster = lbsim.Cluster(2) if cluster is None else cluster
    return lbsim.simulate(workload, Given(tuple(workers)), cluster)


def steps(path):
    return list(zip(path.times.tolist(), path.values.tolist(), strict=True))


def test_each_worker_keeps_a_copy_for_ever():
    paths = sessions.stored(run([7, 7, 8, 7], [0, 1, 1, 0]))
    assert [steps(path) for path in paths] == [[(0.0, 1)], [(1.0, 1), (2.0, 2)]]


def test_a_shared_store_has_one_copy_of_each():
    (path,) = sessions.stored(run([7, 7, 8, 7], [0, 1, 1, 0]), shared=True)
    assert steps(path) == [(0.0, 1), (2.0, 2)]


def test_an_idle_copy_is_dropped_and_made_again():
    # Session 7 is at worker 0 at 0 and 1 (one copy, dropped at 3), then at 5 (dropped at 7).
    paths = sessions.stored(run([7, 7, 7], [0, 0, 0], times=[0.0, 1.0, 5.0]), idle=2.0)
    assert steps(paths[0]) == [(0.0, 1), (3.0, 0), (5.0, 1), (7.0, 0)]
    assert steps(paths[1]) == []


def test_a_worker_that_dies_forgets_and_a_shared_store_does_not():
    cluster = lbsim.Cluster(2, faults=lbsim.Faults(lbsim.Crash(0, at=1.5), restart_s=0.1))
    crashed = run([7, 8, 7], [0, 0, 0], cluster=cluster)
    assert steps(sessions.stored(crashed)[0]) == [(0.0, 1), (1.0, 2), (1.5, 0), (2.0, 1)]
    assert steps(sessions.stored(crashed, shared=True)[0]) == [(0.0, 1), (1.0, 2)]


def test_a_count_is_wrong_where_the_worker_has_not_seen_all():
    wrong = sessions.wrong_answers(run([7, 7, 8, 7, 7], [0, 1, 1, 0, 0]))
    # 1 of 1, 1 of 2, another session, 2 of 3, 3 of 4.
    assert wrong.tolist() == [False, True, False, True, True]


def test_after_a_crash_the_count_begins_again():
    cluster = lbsim.Cluster(2, faults=lbsim.Faults(lbsim.Crash(0, at=1.5), restart_s=0.1))
    wrong = sessions.wrong_answers(run([7, 7, 7], [0, 0, 0], cluster=cluster))
    assert wrong.tolist() == [False, False, True]


def test_requests_without_a_session_count_for_nothing():
    mixed = run([-1, 7, -1, 7], [0, 0, 1, 0])
    assert steps(sessions.stored(mixed)[0]) == [(1.0, 1)]
    assert not sessions.wrong_answers(mixed).any()


def test_sticky_sessions_give_no_wrong_answer_and_one_copy_each():
    cluster = lbsim.Cluster(4)
    workload = lbsim.Workload.synthetic(
        2000, service=lbsim.Exponential(0.01), sessions=100, load=0.5, cluster=cluster, seed=1
    )
    sticky = lbsim.simulate(workload, lbsim.policies.Sticky(), cluster)
    assert not sessions.wrong_answers(sticky).any()
    copies = sum(int(path.values[-1]) for path in sessions.stored(sticky))
    assert copies == len(np.unique(workload.key))
    rotated = lbsim.simulate(workload, lbsim.policies.RoundRobin(), cluster)
    assert sessions.wrong_answers(rotated).mean() > 0.5
    assert sum(int(p.values[-1]) for p in sessions.stored(rotated)) > 2 * copies


def test_errors_say_what_to_do():
    workload = lbsim.Workload.from_arrays([0.0], [1.0])
    plain = lbsim.simulate(workload, lbsim.policies.Random(), lbsim.Cluster(1))
    with pytest.raises(lbsim.InputError, match=r"has no sessions, .* sessions="):
        sessions.stored(plain)
    with pytest.raises(lbsim.InputError, match="idle = 0"):
        sessions.stored(run([7], [0]), idle=0.0)

"""Wrong answers get the message that helps; right ones pass."""

import pytest

import lbsim
from lbsim import policies
from lbsim.teach import cases, checks
from lbsim.teach.checks import CheckFailed


class Unwritten(lbsim.Policy):
    def choose(self, request, cluster):
        raise NotImplementedError()


class AlwaysThree(lbsim.Policy):
    def choose(self, request, cluster):
        return 3


class WalkOn(lbsim.Policy):
    """The classic bias: from a worker that is down to its neighbour."""

    def choose(self, request, cluster):
        n = len(cluster.is_up)
        worker = int(cluster.rng.random() * n)
        while not cluster.is_up[worker]:
            worker = (worker + 1) % n
        return worker


class Rounded(lbsim.Policy):
    def choose(self, request, cluster):
        return cluster.up[round(cluster.rng.random() * (len(cluster.up) - 1))]


class FreshHash(lbsim.Policy):
    """Even and scattered, but no chance in it."""

    def prepare(self, n_workers):
        self.count = 0

    def choose(self, request, cluster):
        self.count += 1
        return cluster.up[lbsim.hash64(self.count) % len(cluster.up)]


class Neighbour(lbsim.Policy):
    """Sticky, and the heir of a dead worker is always the next one."""

    def choose(self, request, cluster):
        n = len(cluster.is_up)
        worker = lbsim.hash64(request.key) % n
        while not cluster.is_up[worker]:
            worker = (worker + 1) % n
        return worker


class First(lbsim.Policy):
    def choose(self, request, cluster):
        return cluster.up[0]


class RefusesSearches(lbsim.Policy):
    def choose(self, request, cluster):
        return lbsim.SHED if request.kind == 1 else lbsim.least_loaded(cluster, 0)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Unwritten(), r"choose\(\) is not written yet"),
        (Unwritten, r"give Unwritten\(\)"),
        (AlwaysThree(), r"returned 3 .* at t = .* there is no worker 3"),
        (policies.PowerOfD(2), r"at t = .* s your policy picked worker \d, which had \d in flight"),
        (policies.CentralQueue(), "answered -1"),
        (policies.LeastConnections(ties="first"), "always prefers the same one"),
    ],
)
def test_least_loaded_explains(policy, message):
    with pytest.raises(CheckFailed, match=message):
        checks.least_loaded(policy)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Unwritten(), "not written yet"),
        (WalkOn(), r"worker 3 gets too much, .*worker 2, which is down: does it inherit"),
        (Rounded(), r"all up: worker \d gets too little"),
        (policies.RoundRobin(), r"came after worker \d 0 times"),
        (FreshHash(), "another seed .* the same choices"),
    ],
)
def test_fair_random_explains(policy, message):
    with pytest.raises(CheckFailed, match=message):
        checks.fair_random(policy)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Unwritten(), "not written yet"),
        (policies.KeyHash(), r"though worker \d was up all .* hash % len\(cluster.up\)"),
        (policies.Random(), "No worker had crashed yet"),
        (Neighbour(), r"worker 1 crashed at t = 6 s, and (\d+) of its \1 .* to worker 2"),
        (First(), "Your policy does not use all workers"),
    ],
)
def test_sticky_explains(policy, message):
    with pytest.raises(CheckFailed, match=message):
        checks.sticky(policy)


@pytest.mark.parametrize(
    "policy", [policies.Rendezvous(), policies.ConsistentHash(), policies.Sticky()], ids=repr
)
def test_sticky_accepts_memory_and_hashes_that_move_little(policy):
    assert "solved" in repr(checks.sticky(policy))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (policies.LeastWorkLeft(), "no real master knows"),
        (RefusesSearches(), r"left .*% of the requests unanswered"),
        (policies.PowerOfD(2), "may be chance"),
        (policies.Random(), r"that is worse\. The slowest request"),
    ],
    ids=repr,
)
def test_beats_power_of_two_explains(policy, message):
    with pytest.raises(CheckFailed, match=message):
        checks.beats_power_of_two(policy, n=1500)


def test_good_answers_pass():
    assert "solved" in repr(checks.least_loaded(policies.LeastConnections()))
    assert "solved" in repr(checks.fair_random(policies.Random()))
    assert "saved" in repr(checks.beats_power_of_two(policies.CentralQueue()))


@pytest.mark.parametrize("name", cases.CASES)
def test_a_case_is_solved_by_its_truth_alone(name):
    right = cases.truth(name)
    parts = {p: getattr(right, p) for p in ("worker", "since", "key", "kind")}
    assert "solved" in repr(checks.diagnosis(name, right.cause, **parts))
    for cause in cases.CAUSES:
        if cause != right.cause:
            with pytest.raises(CheckFailed, match=f"case {name} is not a {cause}: .*\\d"):
                checks.diagnosis(name, cause, **parts)


def test_a_diagnosis_must_say_where_and_since_when():
    with pytest.raises(CheckFailed, match="now say which worker"):
        checks.diagnosis("a", "slow worker")
    with pytest.raises(CheckFailed, match="but not worker 1"):
        checks.diagnosis("a", "slow worker", worker=1)
    with pytest.raises(CheckFailed, match="is not when it began"):
        checks.diagnosis("a", "slow worker", worker=2, since=3.0)
    with pytest.raises(CheckFailed, match="not one of the answers"):
        checks.diagnosis("a", "gremlins")


def test_every_case_is_bad_enough_to_look_for_a_cause():
    for name in cases.CASES:
        trace = cases.case(name)
        assert (
            trace["latency"].quantile(0.99) > 10 * (trace["finished"] - trace["started"]).median()
        )


def test_a_student_sees_the_message_alone():
    assert CheckFailed("look there")._render_traceback_() == ["Not solved yet: look there"]

import random

import numpy as np
import pytest

import lbsim
from lbsim import HOLD, Policy, PolicyError, check_policy
from tests.conftest import every_policy


@pytest.mark.parametrize("policy", every_policy(), ids=repr)
def test_every_shipped_policy_passes(policy):
    report = check_policy(policy)
    assert len(report.passed) + len(report.notes) >= 8


class Mine(Policy):
    """Ten lines, as a student would write them: the least loaded of the workers of my parity."""

    def __init__(self, penalty=2):
        self.penalty = penalty

    def choose(self, request, cluster):
        best = cluster.up[0]
        for worker in cluster.up:
            wrong = self.penalty if (worker - request.key) % 2 else 0
            if cluster.in_flight[worker] + wrong < cluster.in_flight[best]:
                best = worker
        return best


def test_a_policy_of_ones_own_passes_and_takes_part():
    assert "keeps the contract" in repr(check_policy(Mine()))
    cluster = lbsim.Cluster(3)
    workload = lbsim.Workload.synthetic(
        300, service=lbsim.Exponential(1.0), load=0.7, cluster=cluster, sessions=9, seed=1
    )
    result = lbsim.compare(workload, [Mine(), lbsim.policies.Random()], cluster, replications=3)
    assert result.policies == ["Mine(penalty=2)", "Random()"]


class Down(Policy):
    def choose(self, request, cluster):
        return 0


class Nothing(Policy):
    def choose(self, request, cluster):
        if request.key > 20:
            return cluster.up[0]


class Fraction(Policy):
    def choose(self, request, cluster):
        return len(cluster.up) / 2


class TooFar(Policy):
    def choose(self, request, cluster):
        return len(cluster.up)


class OwnDice(Policy):
    def choose(self, request, cluster):
        return cluster.up[random.randrange(len(cluster.up))]


class Remembers(Policy):
    seen = []

    def choose(self, request, cluster):
        self.seen.append(request.key)
        return cluster.up[0]


class FloatCursor(Policy):
    def prepare(self, n_workers):
        self.cursor = 0

    def choose(self, request, cluster):
        self.cursor = self.cursor + 0.5
        return cluster.up[0]


class Late(Policy):
    def choose(self, request, cluster):
        self.last = cluster.up[0]
        return self.last


class Overflow(Policy):
    def prepare(self, n_workers):
        self.state = 3

    def choose(self, request, cluster):
        self.state = self.state * 6364136223846793005
        return cluster.up[0]


class DividesByZero(Policy):
    def choose(self, request, cluster):
        return cluster.up[int(1 // (cluster.in_flight[cluster.up[0]]))]


class Writes(Policy):
    def choose(self, request, cluster):
        cluster.in_flight[0] = 0
        return cluster.up[0]


class HoldsForEver(Policy):
    def choose(self, request, cluster):
        return HOLD

    def may_take(self, worker, request):
        return bool(request.key != 7)


class NanRank(Policy):
    slots = 1

    def choose(self, request, cluster):
        return HOLD

    def rank(self, request):
        return request.size


class Changes(Policy):
    def __init__(self, weights=(1, 2)):
        self.weights = [2 * weight for weight in weights]

    def choose(self, request, cluster):
        return cluster.up[0]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Down, r"Down.choose returned 0 for request \d+ at t = .* s, but worker 0 is not up; "),
        (Nothing, r"returned None \(is a return missing on some path\?\)"),
        (Fraction, r"Fraction.choose returned .*, which is of type .*float"),
        (TooFar, r"there is no worker 1 \(the workers are 0 to 0\); return a worker in cluster.up"),
        (OwnDice, r"two runs with the same seed differ: .* draw only from cluster.rng"),
        (Remembers, r"a run changed the policy object .* make what changes in prepare\(\)"),
        (FloatCursor, r"self.cursor = .* of type float.*prepare\(\) made it an int"),
        (Late, r"makes self.last during a run; create it in prepare\(\)"),
        (Overflow, r"Overflow.choose raised FloatingPointError|does not fit into 64 bits"),
        (DividesByZero, r"DividesByZero.choose raised .* the line is \d+: return cluster.up\[int"),
        (Writes, r"read-only"),
        (HoldsForEver, r"was held and nobody ever took it.*may_take\(\) accept"),
        (NanRank, r"NanRank.rank returned .*nan.*; return a number that is not NaN"),
        (Changes, r"the constructor changes a parameter; store each as it is given"),
    ],
)
def test_a_broken_policy_is_explained(policy, message):
    with pytest.raises(PolicyError, match=message):
        check_policy(policy())


def test_a_class_in_place_of_an_object():
    with pytest.raises(lbsim.InputError, match=r"give Mine\(\)"):
        check_policy(Mine)


def test_state_arrays_may_be_written_but_not_replaced():
    class Replaces(Policy):
        def prepare(self, n_workers):
            self.table = np.zeros(n_workers)

        def choose(self, request, cluster):
            self.table = self.table + 1.0
            return cluster.up[0]

    with pytest.raises(PolicyError, match=r"write into it, self.table\[i\] = ..., instead of"):
        check_policy(Replaces())

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


class Unprepared(Policy):
    def prepare(self, n_workers):
        self.share = 1.0 / (n_workers - 1)

    def choose(self, request, cluster):
        return cluster.up[0]


class TextInAFloat(Policy):
    def prepare(self, n_workers):
        self.average = 0.0

    def choose(self, request, cluster):
        self.average = "much"
        return cluster.up[0]


class TooLarge(Policy):
    def prepare(self, n_workers):
        self.code = 2**70

    def choose(self, request, cluster):
        return cluster.up[0]


class Maybe(Policy):
    slots = 1

    def choose(self, request, cluster):
        return HOLD

    def may_take(self, worker, request):
        return "yes"


class Beyond(Policy):
    def choose(self, request, cluster):
        return cluster.up[len(cluster.up)]


class ForgetsSelf(Policy):
    def choose(request, cluster):
        return cluster.up[0]


class OneTooMany(Policy):
    def choose(self, request, cluster, worker):
        return cluster.up[worker]


class ShortHook(Policy):
    def choose(self, request, cluster):
        return cluster.up[0]

    def on_complete(self, request, worker):
        pass


class Static(Policy):
    @staticmethod
    def choose(request, cluster):
        return cluster.up[request.key % len(cluster.up)]


class BoomsLate(Policy):
    def prepare(self, n_workers):
        self.seen = 0

    def choose(self, request, cluster):
        self.seen += 1
        if self.seen > 1000:
            raise ValueError("boom")
        return cluster.up[0]


class Misspells(Policy):
    def choose(self, request, cluster):
        return cluster.up[int(np.argmin(cluster.inflight))]


class MisspellsRequest(Policy):
    def choose(self, request, cluster):
        return cluster.up[request.session % len(cluster.up)]


class NeverMade(Policy):
    def choose(self, request, cluster):
        return cluster.up[self.cursor]


class ClassCounter(Policy):
    count = 0

    def choose(self, request, cluster):
        type(self).count += 1
        return cluster.up[self.count % len(cluster.up)]


TURN = [0]


class GlobalCounter(Policy):
    def choose(self, request, cluster):
        TURN[0] += 1
        return cluster.up[TURN[0] % len(cluster.up)]


class NoSlots(Policy):
    slots = 0

    def choose(self, request, cluster):
        return HOLD


class Anything(Policy):
    def __init__(self, *options):
        self.options = options

    def choose(self, request, cluster):
        return cluster.up[0]


class Peeks(Policy):
    def choose(self, request, cluster):
        return cluster.up[int(request.service) % len(cluster.up)]


class InALibrary(Policy):
    def choose(self, request, cluster):
        return cluster.up[int(np.argmin(cluster.up[:0]))]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            Beyond,
            r"IndexError: .*the line is \d+: return .*\. cluster.up lists the workers that are",
        ),
        (
            ForgetsSelf,
            r"has the parameters \(request, cluster\).*self comes first: write def choose",
        ),
        (
            OneTooMany,
            r"\(self, request, cluster, worker\) but is called with \(self, request, clus",
        ),
        (ShortHook, r"write def on_complete\(self, request, worker, latency, now, cluster\)"),
        (
            Static,
            r"Static.choose is a staticmethod, not a plain method; write def choose\(self, re",
        ),
        (BoomsLate, r"BoomsLate.choose raised ValueError: boom at t = .*, size=.*raise ValueError"),
        (Misspells, r"inflight.*A cluster has up, is_up, in_flight, slots, weight, latency, rng"),
        (MisspellsRequest, r"session.*A request has time, key, kind, priority, size, service"),
        (NeverMade, r"no attribute 'cursor'.*Make it in prepare\(self, n_workers\)"),
        (
            ClassCounter,
            r"changed count of .* its class \(from 0 to 397\).* make what changes in prep",
        ),
        (GlobalCounter, r"two runs with the same seed differ"),
        (NoSlots, r"NoSlots.slots = 0 must be a whole number of at least 1"),
        (Anything, r"Anything takes \*options, which cannot be copied for every run; name each"),
        (Peeks, r"request.service is NaN unless the class says oracle = True"),
        (
            InALibrary,
            r"argmin of an empty sequence.*the line is \d+: return cluster.up\[int\(np.arg",
        ),
        (Down, r"Down.choose returned 0 for request \d+ at t = .* s, but worker 0 is not up; "),
        (Nothing, r"returned None \(is a return missing on some path\?\)"),
        (Fraction, r"Fraction.choose returned .*, which is of type .*float"),
        (TooFar, r"there is no worker 1 \(the workers are 0 to 0\); return a worker in cluster.up"),
        (OwnDice, r"two runs with the same seed differ: .* draw only from cluster.rng"),
        (Remembers, r"a run changed seen of the policy object .* make what changes in prepare\(\)"),
        (FloatCursor, r"self.cursor = .* of type float.*prepare\(\) made it an int"),
        (Late, r"makes self.last during a run; create it in prepare\(\)"),
        (Overflow, r"Overflow.choose raised FloatingPointError|does not fit into 64 bits"),
        (DividesByZero, r"DividesByZero.choose raised .* the line is \d+: return cluster.up\[int"),
        (
            Writes,
            r"read-only.*What a policy is shown .* cannot be changed: keep an array of your own",
        ),
        (HoldsForEver, r"was held and nobody ever took it.*may_take\(\) accept"),
        (NanRank, r"NanRank.rank returned .*nan.*; return a number that is not NaN"),
        (Changes, r"the constructor changes a parameter; store each as it is given"),
    ],
)
def test_a_broken_policy_is_explained(policy, message):
    with pytest.raises(PolicyError, match=message):
        check_policy(policy())


def test_a_class_in_place_of_an_object():
    with pytest.raises(lbsim.InputError, match=r"Mine is a class, not an object; give Mine\(\)"):
        check_policy(Mine)


def test_a_class_that_is_no_policy():
    class Stranger:
        pass

    with pytest.raises(lbsim.InputError, match=r"write class Stranger\(lbsim.Policy\), with a met"):
        check_policy(Stranger())


def test_a_silent_look_at_the_true_service_time_is_noted():
    class Quietly(Policy):
        def choose(self, request, cluster):
            return cluster.up[1 if request.service > 1.0 and len(cluster.up) > 1 else 0]

    (note,) = check_policy(Quietly()).notes
    assert "request.service is NaN unless the class says oracle = True" in note


def test_a_run_explains_as_the_check_does():
    workload = lbsim.Workload.from_arrays([0.0, 1.0], [0.5, 0.5])
    with pytest.raises(PolicyError, match="self comes first"):
        lbsim.simulate(workload, ForgetsSelf(), lbsim.Cluster(2))


def test_state_arrays_may_be_written_but_not_replaced():
    class Replaces(Policy):
        def prepare(self, n_workers):
            self.table = np.zeros(n_workers)

        def choose(self, request, cluster):
            self.table = self.table + 1.0
            return cluster.up[0]

    with pytest.raises(PolicyError, match=r"write into it, self.table\[i\] = ..., instead of"):
        check_policy(Replaces())

"""The general path does what the readable engine does, to the last bit. Here it is interpreted."""

import numpy as np
import pytest
from hypothesis import assume, given, settings

from lbsim import Client, Cluster, Crash, Faults, InputError, PolicyError, checked, policies, queues
from lbsim.dispatch import core
from lbsim.engines import readable
from lbsim.engines.compiled import general
from lbsim.engines.compiled.general import build
from lbsim.engines.plan import make_plan, new_core
from lbsim.policy import Policy
from tests.engines.equality import FEATURES, POLICIES, cases, closed_loop, compare, workload


def interpreted(plan, policy):
    policy = checked.fresh(policy, len(plan.workers.speed))
    return general.run(plan, policy, new_core(plan, policy))


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_every_policy_and_feature(policy, feature):
    options, client = FEATURES[feature]
    ties = len(feature + repr(policy)) % 2 == 0  # one half here, both in the slow test
    compare(interpreted, workload(ties=ties), policy, Cluster(4, **options), client)


@pytest.mark.slow
@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_every_policy_and_feature_at_length(feature, ties, seed):
    options, client = FEATURES[feature]
    requests = workload(n=600, ties=ties, seed=seed, waits=seed > 0, load=0.7 + 0.2 * seed)
    for policy in POLICIES:
        compare(interpreted, requests, policy, Cluster(4, **options), client, seed)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("feature", FEATURES)
def test_clients_that_think(feature, ties):
    options, client = FEATURES[feature]
    for policy in (policies.LeastConnections(), policies.NodeCluster(), policies.CentralQueue()):
        compare(interpreted, closed_loop(ties), policy, Cluster(4, **options), client)


@settings(max_examples=200)
@given(cases())
def test_any_combination(case):
    requests, policy, cluster, client = case
    try:
        compare(interpreted, requests, policy, cluster, client)
    except InputError:
        assume(False)  # a policy that needs more workers


@pytest.mark.slow
@settings(max_examples=10_000)
@given(cases())
def test_many_combinations(case):
    requests, policy, cluster, client = case
    try:
        compare(interpreted, requests, policy, cluster, client)
    except InputError:
        assume(False)


@pytest.mark.parametrize("discipline", ["fcfs", "ps", "event_loop"])
def test_a_worker_that_comes_back_to_a_long_queue(discipline):
    # All that is held is handed over at one instant; nothing may be nested that deep.
    options = {} if discipline == "event_loop" else {"concurrency": 2000}
    cluster = Cluster(
        1,
        discipline=discipline,
        faults=Faults(Crash(0, 0.0), restart_s=600.0),
        max_attempts=9,
        **options,
    )
    requests = workload(n=1500, workers=1)
    compare(interpreted, requests, policies.RoundRobin(), cluster)
    compare(interpreted, requests, policies.NodeCluster(), cluster)


def test_a_run_can_be_interrupted_and_gone_on_with():
    requests, cluster = workload(), Cluster(4, **FEATURES["everything"][0])
    client = Client(timeout=3.0, retries=1)

    def in_steps(plan, policy):
        policy = checked.fresh(policy, 4)
        seen = []
        record = general.run(
            plan, policy, new_core(plan, policy), budget=7, look=lambda done: not seen.append(done)
        )
        assert len(seen) > 50
        assert seen == sorted(seen)
        return record

    compare(in_steps, requests, policies.PowerOfD(), cluster, client)


def test_what_is_done_is_kept_when_a_run_ends_early():
    plan = make_plan(workload(), Cluster(4), Client(), 0)
    whole = readable.run(plan, policies.RoundRobin())
    policy = checked.fresh(policies.RoundRobin(), 4)
    part = general.run(plan, policy, new_core(plan, policy), budget=10, look=lambda done: done < 60)
    done = part.outcome == 0
    assert 30 < done.sum() < 80
    assert (part.finished[done] == whole.finished[done]).all()


class Poisoned:
    """NumPy, but what it leaves empty holds numbers that would do harm."""

    def __getattr__(self, name):
        return getattr(np, name)

    def empty(self, shape, dtype=float):
        return np.full(shape, 77, dtype)


@pytest.mark.parametrize(
    "feature", [name for name in FEATURES if "everything" in name or "," in name]
)
def test_what_is_left_empty_is_written_before_it_is_read(feature, monkeypatch):
    for module in (queues, core, build):
        monkeypatch.setattr(module, "np", Poisoned())
    options, client = FEATURES[feature]
    for policy in (policies.LeastConnections(), policies.ByPriority(reserved=1)):
        compare(interpreted, workload(ties=True), policy, Cluster(4, **options), client)


class Wrong(Policy):
    """Chooses a worker that does not exist, from some time on."""

    def choose(self, request, cluster):
        return 5 if request.time > 3.0 else 0


def test_a_bad_choice_is_explained_alike():
    plan = make_plan(workload(), Cluster(4), Client(), 0)
    messages = []
    for engine in (readable.run, interpreted):
        with pytest.raises(PolicyError, match="there is no worker 5") as caught:
            engine(plan, Wrong())
        messages.append(str(caught.value))
    assert messages[0] == messages[1]

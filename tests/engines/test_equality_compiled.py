"""The general path, compiled, does what the readable engine does, to the last bit.

Compiling takes longest, so the kernels are few; each is tried on many clusters and workloads.
The groups of features that make a kernel are those that `general.layout` lists.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbsim import Client, Cluster, Crash, Faults, Master, PolicyError, checked, policies
from lbsim.engines import readable
from lbsim.engines.compiled.kernel import GeneralRun, kernel
from lbsim.engines.compiled.value import policy_value
from lbsim.engines.plan import make_plan
from lbsim.policy import HOLD, SHED, Policy, least_loaded
from tests.engines.equality import (
    CLIENTS,
    FEATURES,
    POLICIES,
    closed_loop,
    clusters,
    compare,
    workload,
)


def compiled(plan, policy):
    """Run on the general path, whatever short path there may be."""
    policy = checked.fresh(policy, len(plan.workers.speed))
    run = GeneralRun(plan, policy, policy_value(policy))
    run.compile()
    return run.run()


KERNELS = {
    "everything": policies.LeastConnections(),
    "trouble, sharing": policies.ByPriority(reserved=1),
    "hedging, event loop, trouble": policies.NodeCluster(),
    "event loop that sleeps": policies.NodeSchedNone(),
    "plain": policies.Sticky(fallback=policies.BoundedQueue(k=1), capacity=8),
}


@pytest.mark.parametrize("feature", KERNELS)
def test_few_kernels_on_many_workloads(feature):
    options, client = FEATURES[feature]
    for seed in range(10):
        requests = workload(n=300, ties=seed % 2 == 0, waits=seed % 3 > 0, seed=seed)
        compare(compiled, requests, KERNELS[feature], Cluster(4, **options), client, seed)


@settings(max_examples=100)
@given(st.data(), st.booleans(), st.integers(0, 9))
def test_one_kernel_on_any_cluster_with_trouble_and_a_busy_master(data, ties, seed):
    cluster = data.draw(clusters(4, 20.0, "fcfs", ("faults", "master")))
    client = data.draw(CLIENTS.filter(lambda c: c != Client(take_back=c.take_back)))
    compare(compiled, workload(80, ties=ties, seed=seed), KERNELS["everything"], cluster, client)


@settings(max_examples=100)
@given(st.data(), st.booleans(), st.integers(0, 9))
def test_one_kernel_on_any_cluster_that_shares(data, ties, seed):
    cluster = data.draw(clusters(4, 20.0, "ps", ("faults",)))
    if cluster.master.is_free:
        policy = KERNELS["trouble, sharing"]
        compare(compiled, workload(80, ties=ties, seed=seed), policy, cluster)


@pytest.mark.parametrize("workers", [1, 60, 200])
def test_the_number_of_workers_makes_no_new_kernel(workers):
    policy = policies.LeastConnections()
    cluster = Cluster(
        workers, faults=Faults(Crash(0, 1.0), detect_s=0.5), master=Master(dispatch_s=1e-3)
    )
    before = len(kernel.overloads)
    for seed in range(3):
        requests = workload(n=1000, workers=workers, ties=seed == 1, seed=seed)
        compare(compiled, requests, policy, cluster, Client(timeout=9.0, hedge_after=2.0), seed)
    assert len(kernel.overloads) <= before + (before == 0)


class Renamed(Policy):
    """A user's policy with a table, a helper, chance, hooks, and answers of all kinds."""

    def prepare(self, n_workers):
        self.last = np.zeros(n_workers)
        self.answers = 0
        self.down = 0

    def choose(self, request, cluster):
        place = int(cluster.rng.random() * (len(cluster.up) + 1))
        if place == len(cluster.up):
            return SHED if request.priority == 2 and self.down else HOLD
        worker = cluster.up[place]
        return other_if_slow(self.last, worker, cluster)

    def on_complete(self, request, worker, latency, now, cluster):
        self.last[worker] = latency
        self.answers += 1

    def on_down(self, worker, now, cluster):
        self.last[worker] = 0.0
        self.down += 1

    def rank(self, request):
        return -request.time

    def may_take(self, worker, request):
        return (worker + request.kind) % 3 > 0


def other_if_slow(last, worker, cluster):
    if last[worker] > 3.0:
        return cluster.up[(worker * 7) % len(cluster.up)]
    return worker


def test_a_policy_written_on_the_spot():
    options, client = FEATURES["trouble"]
    for seed in range(4):
        requests = workload(n=400, ties=seed == 1, seed=seed)
        compare(compiled, requests, Renamed(), Cluster(4, slots=3, **options), client, seed)


class Wrong(policies.LeastConnections):
    """Chooses a worker that is not up, once in a while."""

    def choose(self, request, cluster):
        if request.time > 3.0:
            return 0
        return least_loaded(cluster, 0)


def test_a_bad_choice_is_explained_alike():
    cluster = Cluster(4, faults=Faults(Crash(0, 2.0), restart_s=9.0))
    plan = make_plan(workload(), cluster, Client(), 0)
    messages = []
    for engine in (readable.run, compiled):
        with pytest.raises(PolicyError, match=r"returned 0 .* worker 0 is not up") as caught:
            engine(plan, Wrong())
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "feature",
    [
        "everything",
        "trouble, sharing",
        "hedging, event loop, trouble",
        "sleeping event loop, busy master, trouble",
    ],
)
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_every_policy(policy, feature):
    options, client = FEATURES[feature]
    for seed in range(6):
        requests = workload(n=300, ties=seed % 2 == 0, waits=seed % 3 > 0, seed=seed)
        compare(compiled, requests, policy, Cluster(4, **options), client, seed)


@pytest.mark.slow
@pytest.mark.parametrize("feature", FEATURES)
def test_every_feature(feature):
    options, client = FEATURES[feature]
    for seed in range(6):
        requests = workload(n=600, ties=seed % 2 == 0, waits=seed % 3 > 0, seed=seed)
        compare(compiled, requests, policies.PowerOfD(), Cluster(4, **options), client, seed)
        compare(compiled, closed_loop(seed % 2 == 0), policies.PowerOfD(), Cluster(4, **options),
                client, seed)  # fmt: skip

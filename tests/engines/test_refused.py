"""Policies that Numba does not compile run all the same, and the user is told why."""

import warnings

import numpy as np
import pytest

import lbsim
from lbsim.engines.compiled.fingerprint import reach_of
from lbsim.engines.compiled.kernel import kernel
from lbsim.engines.compiled.reasons import reason


class Dictionary(lbsim.Policy):
    def prepare(self, n_workers):
        self.home = {}

    def choose(self, request, cluster):
        return self.home.setdefault(int(request.key), int(cluster.up[0]))


class InnerFunction(lbsim.Policy):
    def choose(self, request, cluster):
        return min(cluster.up, key=lambda worker: cluster.in_flight[worker])


class Printing(lbsim.Policy):
    def prepare(self, n_workers):
        self.names = ["a"] * n_workers

    def choose(self, request, cluster):
        return len(self.names) - 1


class Super(lbsim.policies.RoundRobin):
    def choose(self, request, cluster):
        return super(Super, self).choose(request, cluster)  # noqa: UP008


WORKLOAD = lbsim.Workload.from_arrays(np.arange(40) * 0.5, np.ones(40), key=np.arange(40) % 3)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (
            Dictionary(),
            r"self\.home is a dict.*arrays in prepare.*line \d+, in choose: return self",
        ),
        (InnerFunction(), r"lambda.*'cluster'.*loop.*line \d+, in choose: return min"),
        (Printing(), r"self\.names is a list"),
        (Super(), r"super with arguments.*line \d+, in choose: return super"),
    ],
    ids=repr,
)
def test_refused_with_line_and_reason(policy, words):
    with pytest.warns(lbsim.SlowPolicyWarning, match=f"(?s){words}.*about .* s for 40 requests"):
        run = lbsim.simulate(WORKLOAD, policy, lbsim.Cluster(3), engine="compiled")
    assert run.source == "readable"


class BadHook(lbsim.policies.LeastConnections):
    def on_complete(self, request, worker, latency, now, cluster):
        self.answers = float(str(worker))

    def prepare(self, n_workers):
        lbsim.policies.LeastConnections.prepare(self, n_workers)
        self.answers = 0.0


class BadRank(lbsim.policies.CentralQueue):
    def rank(self, request):
        return np.lexsort((np.zeros(2),))[0] + request.key


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (BadHook(), r"float\(…\) is not known.*line \d+, in on_complete: self\.answers"),
        (BadRank(), r"np\.lexsort.*line \d+, in rank: return"),
        (Printing(), r"self\.names is a list"),
    ],
    ids=repr,
)
def test_refused_without_compiling_the_kernel_around_it(policy, words, monkeypatch):
    # That takes many times as long: Numba tries each function on the way down in several ways.
    compiled = []
    monkeypatch.setattr(kernel, "compile", compiled.append)
    cluster = lbsim.Cluster(3, master=lbsim.Master(dispatch_s=0.01))
    with pytest.warns(lbsim.SlowPolicyWarning, match=f"(?s){words}"):
        lbsim.simulate(WORKLOAD, policy, cluster, engine="compiled")
    assert not compiled


def test_short_runs_are_not_worth_compiling():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lbsim.simulate(WORKLOAD, Dictionary(), lbsim.Cluster(3)).source == "readable"


def test_unknown_field_is_named():
    error = TypeError("Unknown attribute 'last' of type Policy_0123")
    assert "self.last is not made in prepare()" in reason(error, reach_of(InnerFunction()))


class Drawing(lbsim.Policy):
    """Draws in the ways that people know."""

    def choose(self, request, cluster):
        if request.key == 0:
            return cluster.rng.choice(cluster.up)
        if request.key == 1:
            return cluster.up[cluster.rng.integers(len(cluster.up))]
        return cluster.up[cluster.rng.integers(0, 2)]


class MakesArrays(lbsim.Policy):
    def choose(self, request, cluster):
        idle = [worker for worker in cluster.up if cluster.in_flight[worker] == 0]
        return idle[0] if len(idle) > 0 else cluster.up[-1]


@pytest.mark.parametrize("policy", [Drawing(), MakesArrays()], ids=repr)
def test_compiled_all_the_same(policy):
    runs = [
        lbsim.simulate(WORKLOAD, policy, lbsim.Cluster(3), engine=engine)
        for engine in ("readable", "compiled")
    ]
    assert runs[1].source == "compiled"
    np.testing.assert_array_equal(runs[0].worker, runs[1].worker)

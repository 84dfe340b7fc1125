import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lbsim
from lbsim.dispatch import INDEX_FROM, Requests, make_core, view, worker_leaving, worker_up
from lbsim.dispatch.sight import change_load
from lbsim.policies import LeastConnections, PowerOfD
from lbsim.policy import UNLIMITED, Policy, least_loaded


def core_of(n):
    requests = Requests(*(np.zeros(1, kind) for kind in (int, int, int, float, float)))
    rng = np.random.default_rng(0)
    policy = Policy()
    core = make_core(policy, requests, np.full(n, UNLIMITED), np.ones(n), rng)
    for worker in range(n):
        worker_up(core, policy, 0.0, worker)
    return core, policy


@pytest.mark.parametrize("n", [INDEX_FROM, 63, 64, 65, 100])
@given(data=st.data())
def test_the_search_tree_gives_the_same_answer_as_a_scan(n, data):
    core, policy = core_of(n)
    loads = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    for worker, load in enumerate(loads):
        change_load(core, 0.0, worker, load)
    down = data.draw(st.sets(st.integers(0, n - 1), max_size=n - 1))
    for worker in sorted(down):
        worker_leaving(core, policy, 0.0, worker)
    seen = view(core, 0.0)
    assert len(seen.index) > 0
    scanned = seen._replace(index=np.zeros(0, np.int64))
    for start in {0, 1, n // 2, n - 1, n, data.draw(st.integers(0, 3 * n))}:
        assert least_loaded(seen, start) == least_loaded(scanned, start)


def test_least_loaded_takes_the_first_from_start_on():
    core, _ = core_of(4)
    core.in_flight[:] = [1, 0, 2, 0]
    found = [least_loaded(view(core, 0.0), start) for start in range(5)]
    assert found == [1, 1, 3, 3, 1]


def test_repr_equality_and_clone_follow_from_the_constructor():
    policy = PowerOfD(d=3)
    assert repr(policy) == "PowerOfD(d=3, distinct=True)"
    assert policy == PowerOfD(3)
    assert hash(policy) == hash(PowerOfD(3))
    assert policy != PowerOfD(2)
    twin = policy.clone()
    assert twin == policy
    assert twin is not policy


def test_a_nested_policy_is_cloned_too():
    policy = lbsim.policies.Sticky(fallback=LeastConnections())
    assert policy.clone().fallback is not policy.fallback


def test_a_policy_that_does_not_store_its_parameter_is_told_so():
    class Forgetful(Policy):
        def __init__(self, depth):
            pass

    with pytest.raises(lbsim.PolicyError, match=r"does not store its parameter 'depth'.*add self"):
        Forgetful(3).clone()


def test_a_policy_without_choose_is_told_so():
    with pytest.raises(lbsim.PolicyError, match="has no choose"):
        Policy().choose(None, None)


def test_what_a_policy_sees_is_read_only():
    core, _ = core_of(3)
    with pytest.raises(ValueError, match="read-only"):
        view(core, 0.0).in_flight[0] = 7

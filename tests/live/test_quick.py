"""Shipped policies choose the same on lists and memoryviews as behind the guard on arrays."""

import numpy as np
import pytest

from lbsim import dispatch
from lbsim.checked import fresh
from lbsim.policies import LeastConnections, RoundRobin, Sticky
from lbsim.policy import HOLD, SHED, UNLIMITED, Policy
from live.quick import is_shipped, prepared, quick, quick_dispatch
from tests.conftest import every_policy

N, TICKETS = 5, 400


def life(policy, core, dispatch=dispatch):
    """Drive a core through arrivals, answers, deaths and returns; return all it answered."""
    rng = np.random.default_rng(3)
    answers, at, now = [], {}, 0.0

    def follow(worker, ticket):
        while ticket != dispatch.NONE:
            at[int(ticket)] = worker
            answers.append((int(ticket), worker))
            ticket = dispatch.pull(core, policy, now, worker)

    for worker in range(N):
        follow(worker, dispatch.worker_up(core, policy, now, worker))
    for ticket in range(TICKETS):
        now += float(rng.exponential(1.0))
        answer = int(dispatch.arrive(core, policy, now, ticket))
        answers.append(answer)
        assert answer >= 0 or answer in (HOLD, SHED)
        if answer >= 0:
            at[ticket] = answer
        worker = int(rng.integers(N))
        follow(worker, dispatch.accepted(core, policy, now, worker))
        for done in [t for t in at if rng.random() < 0.3]:
            worker = at.pop(done)
            follow(worker, dispatch.complete(core, policy, now, worker, done))
        if ticket % 40 == 39:
            worker = int(rng.integers(N))
            for orphan in dispatch.worker_down(core, policy, now, worker).tolist():
                at.pop(orphan, None)
                answer = int(dispatch.retry_due(core, policy, now, orphan))
                answers.append(answer)
                if answer >= 0:
                    at[orphan] = answer
            follow(worker, dispatch.worker_up(core, policy, now, worker))
    return answers


def make_core(policy):
    rng = np.random.default_rng(1)
    requests = dispatch.Requests(
        rng.integers(0, 40, TICKETS),
        rng.integers(0, 3, TICKETS),
        rng.integers(0, 3, TICKETS),
        rng.random(TICKETS),
        rng.random(TICKETS),
    )
    return dispatch.make_core(
        policy, requests, np.full(N, UNLIMITED), np.arange(1.0, N + 1), np.random.default_rng(2)
    )


@pytest.mark.parametrize("policy", every_policy(), ids=repr)
def test_same_choices(policy):
    guarded, bare = fresh(policy, N), prepared(policy, N)
    answers = life(guarded, make_core(guarded))
    assert life(bare, quick(make_core(bare), policy), quick_dispatch(policy)) == answers


def test_who_is_trusted():
    class Mine(Policy):
        def choose(self, request, cluster):
            return cluster.up[0]

    assert is_shipped(Sticky(fallback=LeastConnections()))
    assert not is_shipped(Mine())
    assert not is_shipped(Sticky(fallback=Mine()))
    core = make_core(fresh(Mine(), N))
    assert isinstance(dispatch.view(quick(core, Mine()), 0.0).in_flight, np.ndarray)
    assert isinstance(dispatch.view(quick(core, RoundRobin()), 0.0).in_flight, list)
    assert quick_dispatch(Mine()) is dispatch

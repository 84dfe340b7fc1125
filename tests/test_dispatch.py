"""The dispatcher, one rule at a time; the laws for all policies are in tests/contract."""

import numpy as np

from lbsim import dispatch
from lbsim.dispatch import LOST, NONE, Requests, make_core
from lbsim.policies import CentralQueue, LeastConnections
from lbsim.policy import HOLD, SHED, UNLIMITED, Policy

TICKETS = 12


class Fixed(Policy):
    """Sends everything to worker 0, and writes down what it hears."""

    def prepare(self, n_workers):
        self.heard = []

    def choose(self, request, cluster):
        return 0 if cluster.is_up[0] else cluster.up[0]

    def on_complete(self, request, worker, latency, now, cluster):
        self.heard.append(("complete", worker, latency, int(cluster.in_flight[worker])))

    def on_down(self, worker, now, cluster):
        self.heard.append(("down", worker, cluster.up.tolist()))

    def on_up(self, worker, now, cluster):
        self.heard.append(("up", worker, cluster.up.tolist()))


def make(policy, workers=2, slots=UNLIMITED, **settings):
    policy.prepare(workers)
    core = make_core(
        policy,
        Requests(
            *(np.zeros(TICKETS, kind) for kind in (int, int, int)),
            np.zeros(TICKETS),
            np.zeros(TICKETS),
        ),
        np.full(workers, slots),
        np.ones(workers),
        np.random.default_rng(0),
        **settings,
    )
    for worker in range(workers):
        dispatch.worker_up(core, policy, 0.0, worker)
    return core


def arrive(core, policy, *tickets, now=0.0):
    return [int(dispatch.arrive(core, policy, now, ticket)) for ticket in tickets]


def test_hooks_hear_in_order_and_in_flight_has_already_dropped():
    policy = Fixed()
    core = make(policy)
    arrive(core, policy, 0, 1, now=1.0)
    dispatch.complete(core, policy, 3.5, 0, 0)
    dispatch.worker_down(core, policy, 4.0, 1)
    dispatch.worker_leaving(core, policy, 5.0, 1)
    dispatch.worker_up(core, policy, 6.0, 1)
    assert policy.heard == [
        ("up", 0, [0]),
        ("up", 1, [0, 1]),
        ("complete", 0, 2.5, 1),
        ("down", 1, [0]),
        ("up", 1, [0, 1]),
    ]


def test_what_comes_back_goes_ahead_of_the_queue_in_order_of_arrival():
    policy = CentralQueue()
    core = make(policy, slots=1)
    assert arrive(core, policy, 0, 1, 2, 3) == [0, 1, HOLD, HOLD]
    for worker in (1, 0):
        for ticket in dispatch.worker_down(core, policy, 1.0, worker):
            assert dispatch.retry_due(core, policy, 1.0, ticket) == HOLD
    # First what came back last, then what came back before it, then what never left.
    order = [int(dispatch.worker_up(core, policy, 2.0, 0))]
    while len(order) < 4:
        order.append(int(dispatch.complete(core, policy, 3.0, 0, order[-1])))
    assert order == [0, 1, 2, 3]


def test_several_that_come_back_keep_their_order():
    policy = Fixed()
    core = make(policy, slots=3)
    assert arrive(core, policy, 0, 1, 2, 3, 4) == [0, 0, 0, HOLD, HOLD]
    tickets = dispatch.worker_down(core, policy, 1.0, 0).tolist()
    assert tickets == [0, 1, 2, 3, 4], "served there or waiting for it: all come back, in order"
    dispatch.worker_leaving(core, policy, 1.0, 1)
    assert [int(dispatch.retry_due(core, policy, 1.0, t)) for t in tickets] == [HOLD] * 5
    assert arrive(core, policy, 5) == [HOLD]
    taken = [int(dispatch.worker_up(core, policy, 2.0, 1))]
    while (ticket := int(dispatch.pull(core, policy, 2.0, 1))) != NONE:
        taken.append(ticket)
    assert taken == [0, 1, 2]


def test_attempts_are_counted_and_bounded():
    policy = LeastConnections()
    core = make(policy, max_attempts=2)
    assert arrive(core, policy, 0) == [0]
    for expected in (1, LOST):
        (ticket,) = dispatch.worker_down(core, policy, 1.0, int(core.place[0]))
        assert dispatch.retry_due(core, policy, 1.0, ticket) == expected


def test_a_refusal_is_no_attempt():
    policy = Fixed()
    core = make(policy, max_attempts=1)
    arrive(core, policy, 0)
    assert dispatch.refused(core, policy, 1.0, 0, 0) == 0
    assert core.attempts[0] == 1


def test_the_queue_limit_sheds():
    policy = CentralQueue()
    core = make(policy, workers=1, slots=1, queue_limit=1)
    assert arrive(core, policy, 0, 1, 2) == [0, HOLD, SHED]


def test_choose_is_not_called_when_nobody_is_up():
    policy = Fixed()
    core = make(policy, workers=1)
    dispatch.worker_down(core, policy, 1.0, 0)
    assert arrive(core, policy, 0) == [HOLD]
    assert dispatch.worker_up(core, policy, 2.0, 0) == 0


def test_latency_is_a_moving_average_that_a_restart_forgets():
    policy = LeastConnections()
    core = make(policy, workers=1, latency_gain=0.5)
    arrive(core, policy, 0, 1)
    dispatch.complete(core, policy, 2.0, 0, 0)
    assert core.latency[0] == 2.0
    dispatch.complete(core, policy, 4.0, 0, 1)
    assert core.latency[0] == 3.0
    dispatch.worker_down(core, policy, 5.0, 0)
    assert core.latency[0] == 0.0


def test_cancel_finds_a_ticket_wherever_it_is():
    policy = CentralQueue()
    core = make(policy, workers=1, slots=1)
    arrive(core, policy, 0, 1, 2)
    assert dispatch.cancel(core, 1.0, 1) == NONE
    assert dispatch.cancel(core, 1.0, 0) == 0
    assert dispatch.cancel(core, 1.0, 0) == NONE, "cancelled already"
    assert dispatch.pull(core, policy, 1.0, 0) == 2


def test_resize_lets_more_in():
    policy = CentralQueue(slots=4)
    core = make(policy, workers=1, slots=1)
    arrive(core, policy, 0, 1, 2)
    assert dispatch.resize(core, policy, 1.0, 0, 2) == 1
    assert dispatch.pull(core, policy, 1.0, 0) == NONE


def test_requests_of_kept_connections_are_load_and_go_with_their_worker():
    policy = LeastConnections()
    core = make(policy, slots=2)
    dispatch.kept(core, policy, 1.0, 0, 2, 0, 0.0)
    assert core.in_flight.tolist() == [2, 0]
    assert arrive(core, policy, 0, 1, 2, now=1.0) == [1, 1, HOLD]
    assert dispatch.kept(core, policy, 2.0, 0, 0, 1, 0.25) == 2  # room: the held one follows
    assert core.latency[0] == 0.25
    # Nobody dispatched the other one, so nobody can dispatch it again.
    assert dispatch.worker_down(core, policy, 3.0, 0).tolist() == [2]
    assert core.in_flight.tolist() == [0, 2]


def test_an_attempt_that_had_not_begun_can_be_spared():
    policy = Fixed()
    core = make(policy, max_attempts=1)
    arrive(core, policy, 0, 1)
    assert dispatch.worker_down(core, policy, 1.0, 0).tolist() == [0, 1]
    dispatch.spare(core, 1)
    assert dispatch.retry_due(core, policy, 1.0, 0) == LOST
    assert dispatch.retry_due(core, policy, 1.0, 1) == 1

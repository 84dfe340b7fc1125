"""Exact choices, by hand or from published vectors."""

import json
import math

import numpy as np
import pytest

import lbsim
from lbsim import dispatch
from lbsim.dispatch import Requests, make_core
from lbsim.policies import (
    BoundedLoadHash,
    BoundedQueue,
    ByKind,
    ByPriority,
    CentralQueue,
    ConsistentHash,
    FirstAvailable,
    KeyHash,
    LeastConnections,
    LeastLoaded,
    LeastResponseTime,
    LeastWorkLeft,
    Maglev,
    NodeCluster,
    NodeSchedNone,
    PowerOfD,
    Random,
    Rendezvous,
    ReusePort,
    RoundRobin,
    SharedAccept,
    SizeInterval,
    Sticky,
    WeightedLeastConnections,
    WeightedRandom,
    WeightedRoundRobin,
)
from lbsim.policies.hashing import maglev_table
from lbsim.policy import HOLD, UNLIMITED
from lbsim.queues import NONE

N = 200


class Desk:
    """A dispatcher with everybody up, and requests to give it."""

    def __init__(self, policy, workers, *, weights=None, slots=UNLIMITED, **columns):
        self.policy = policy.clone()
        self.policy.prepare(workers)
        default = {
            "key": np.full(N, -1),
            "kind": np.zeros(N, int),
            "priority": np.zeros(N, int),
            "size": np.full(N, np.nan),
            "service": np.ones(N),
        }
        self.core = make_core(
            self.policy,
            Requests(**{k: np.asarray(columns.get(k, v)) for k, v in default.items()}),
            np.full(workers, slots),
            np.ones(workers) if weights is None else np.array(weights, float),
            np.random.default_rng(5),
        )
        self.next = 0
        for worker in range(workers):
            self.up(worker)

    def up(self, worker, now=0.0):
        return dispatch.worker_up(self.core, self.policy, now, worker)

    def down(self, worker, now=0.0):
        tickets = dispatch.worker_down(self.core, self.policy, now, worker)
        return [int(dispatch.retry_due(self.core, self.policy, now, t)) for t in tickets]

    def arrive(self, count=1, now=0.0):
        chosen = []
        for _ in range(count):
            chosen.append(int(dispatch.arrive(self.core, self.policy, now, self.next)))
            self.next += 1
        return chosen

    def complete(self, worker, ticket, now=0.0):
        return int(dispatch.complete(self.core, self.policy, now, worker, ticket))

    def look(self, worker, now=0.0):
        return int(dispatch.looked(self.core, self.policy, now, worker))

    def idle(self, worker, now=0.0):
        return int(dispatch.idle(self.core, self.policy, now, worker))

    def accept(self, worker, now=0.0):
        return int(dispatch.accepted(self.core, self.policy, now, worker))


# --- rotation --------------------------------------------------------------------------------


def test_round_robin_goes_round():
    assert Desk(RoundRobin(), 3).arrive(7) == [0, 1, 2, 0, 1, 2, 0]


def test_round_robin_passes_over_a_dead_worker_and_keeps_its_place():
    desk = Desk(RoundRobin(), 4)
    assert desk.arrive(2) == [0, 1]
    desk.down(2)
    assert desk.arrive(3) == [3, 0, 1]
    desk.up(2)
    assert desk.arrive(3) == [2, 3, 0]


@pytest.mark.parametrize(
    ("weights", "expected"),
    # nginx's commit message of 2012, and the validation vectors F1 and F3.
    [([5, 1, 1], "aabacaa"), ([5, 2, 3], "acbaacabca"), ([1, 2, 4], "cbcacbc"), ([3, 1], "aaba")],
)
def test_weighted_round_robin_is_nginx_smooth(weights, expected):
    desk = Desk(WeightedRoundRobin(), len(weights), weights=weights)
    rounds = 3
    chosen = "".join("abc"[w] for w in desk.arrive(rounds * len(expected)))
    assert chosen == expected * rounds


def test_weighted_round_robin_keeps_the_weights_that_nginx_keeps():
    # The right-hand column of the table in nginx's commit message: {5, 1, 1} after each choice.
    desk = Desk(WeightedRoundRobin(), 3, weights=[5, 1, 1])
    after = []
    for _ in range(7):
        desk.arrive()
        after.append(desk.policy.credit.tolist())
    assert after == [
        [-2, 1, 1], [-4, 2, 2], [1, -4, 3], [-1, -3, 4], [4, -2, -2], [2, -1, -1], [0, 0, 0],
    ]  # fmt: skip


def test_weighted_round_robin_against_the_shared_vectors(shared):
    vectors = json.loads((shared / "validation" / "vectors.json").read_text())
    cases = [v for v in vectors if v["id"].startswith("V-SWRR-own") and v["expected"].islower()]
    assert len(cases) >= 6
    for case in cases:
        weights = json.loads(case["desc"][case["desc"].index("[") : case["desc"].index("]") + 1])
        chosen = Desk(WeightedRoundRobin(), len(weights), weights=weights).arrive(
            len(case["expected"])
        )
        assert "".join("abc"[w] for w in chosen) == case["expected"], case["desc"]


def test_random_is_uniform_and_repeats():
    assert Desk(Random(), 4).arrive(N) == Desk(Random(), 4).arrive(N)
    counts = np.bincount(Desk(Random(), 4).arrive(N), minlength=4)
    assert ((counts - 50) ** 2 / 50).sum() < 16.3  # chi-square, 3 degrees of freedom, 0.001


def test_weighted_random_follows_the_weights():
    counts = np.bincount(Desk(WeightedRandom(), 3, weights=[6, 3, 1]).arrive(N), minlength=3)
    expected = np.array([120, 60, 20])
    assert ((counts - expected) ** 2 / expected).sum() < 13.8  # 2 degrees of freedom, 0.001


# --- load ------------------------------------------------------------------------------------


def test_least_connections_rotates_its_ties():
    desk = Desk(LeastConnections(), 3)
    assert desk.arrive(3) == [0, 1, 2]
    desk.complete(1, 1)
    assert desk.arrive(2) == [1, 2]
    # At no load at all it still goes round, instead of loving worker 0.
    quiet = Desk(LeastConnections(), 3)
    chosen = []
    for ticket in range(6):
        (worker,) = quiet.arrive()
        quiet.complete(worker, ticket)
        chosen.append(worker)
    assert chosen == [0, 1, 2, 0, 1, 2]


def test_least_connections_first_loves_worker_0():
    desk = Desk(LeastConnections(ties="first"), 3)
    assert desk.arrive(4) == [0, 1, 2, 0]
    desk.complete(0, 0)
    desk.complete(0, 3)
    assert desk.arrive(2) == [0, 0]


def test_least_connections_random_spreads_its_ties():
    chosen = []
    desk = Desk(LeastConnections(ties="random"), 3)
    for ticket in range(N):
        (worker,) = desk.arrive()
        desk.complete(worker, ticket)
        chosen.append(worker)
    assert min(np.bincount(chosen, minlength=3)) > 40


def test_weighted_least_connections_counts_the_new_request():
    desk = Desk(WeightedLeastConnections(), 2, weights=[3, 1])
    # (1/3, 1) -> 0; (2/3, 1) -> 0; (1, 1): a tie, which rotates from after 0 -> 1; …
    assert desk.arrive(8) == [0, 0, 1, 0, 0, 0, 1, 0]


def test_power_of_d_with_all_workers_is_the_shortest_queue():
    desk = Desk(PowerOfD(d=5), 5)
    desk.arrive(100)
    assert desk.core.in_flight.tolist() == [20] * 5


def test_power_of_two_distinct_never_compares_a_worker_with_itself():
    # With two workers, two distinct ones are both: the loads never differ by more than one.
    desk = Desk(PowerOfD(d=2), 2)
    for _ in range(60):
        desk.arrive()
        assert abs(int(desk.core.in_flight[0]) - int(desk.core.in_flight[1])) <= 1
    other = Desk(PowerOfD(d=2, distinct=False), 2)
    gaps = []
    for _ in range(60):
        other.arrive()
        gaps.append(abs(int(other.core.in_flight[0]) - int(other.core.in_flight[1])))
    assert max(gaps) > 1


def test_power_of_d_draws_every_subset_alike():
    policy = PowerOfD(d=2)
    policy.prepare(4)
    desk = Desk(policy, 4)
    seen = set()
    for _ in range(N):
        desk.arrive()
        seen.add(tuple(desk.policy.drawn))
    assert seen == {(a, b) for a in range(4) for b in range(a + 1, 4)}


def test_least_response_time_avoids_the_slow_worker():
    desk = Desk(LeastResponseTime(decay=1.0), 2)
    assert desk.arrive(2) == [0, 1]
    desk.complete(0, 0, now=1.0)  # worker 0: 1 s
    desk.complete(1, 1, now=0.1)  # worker 1: 0.1 s
    # 0.1 (k + 1) stays below 1 for the next nine.
    assert desk.arrive(5, now=1.0) == [1, 1, 1, 1, 1]


def test_least_response_time_jumps_up_and_comes_down():
    policy = LeastResponseTime(decay=2.0)
    policy.prepare(1)
    policy.on_complete(None, 0, 1.0, 0.0, None)
    policy.on_complete(None, 0, 0.1, 2.0, None)
    weight = math.exp(-1.0)
    assert policy.average[0] == 1.0 * weight + 0.1 * (1.0 - weight)
    policy.on_complete(None, 0, 3.0, 2.5, None)
    assert policy.average[0] == 3.0


def test_least_work_left_looks_at_work_not_at_numbers():
    desk = Desk(LeastWorkLeft(), 2, service=np.array([10.0] + [1.0] * (N - 1)))
    assert desk.arrive(11) == [0] + [1] * 10
    assert desk.policy.idle_from.tolist() == [10.0, 10.0]
    assert desk.arrive(1) == [0], "a tie: the next after the last"


def test_least_loaded_prefers_who_was_idle_among_equals():
    desk = Desk(LeastLoaded(), 3)
    assert desk.arrive(3, now=0.0) == [0, 1, 2]
    assert desk.complete(0, 0, now=0.25) == NONE  # busy for half of the window of 0.5 s
    desk.complete(1, 1, now=0.5)
    desk.complete(2, 2, now=0.125)
    # One window later: shares 0.5, 1 and 0.25, and nobody has a request.
    assert desk.arrive(4, now=0.5) == [2, 0, 1, 2]
    assert desk.policy.share.tolist() == [0.5, 1.0, 0.25]


def test_least_loaded_counts_requests_first():
    desk = Desk(LeastLoaded(), 2)
    desk.arrive(1)
    desk.complete(0, 0, now=0.5)
    # Worker 0 was busy, but a request more is worse: 1.0 + 0 and 0 + 1 are equal, so in turn.
    assert desk.arrive(2, now=0.6) == [1, 0]
    heavy = Desk(LeastLoaded(weight=3.0), 2)
    heavy.arrive(1)
    heavy.complete(0, 0, now=0.5)
    assert heavy.arrive(4, now=0.6) == [1, 1, 1, 0]


def test_least_loaded_sees_windows_in_which_nothing_changed():
    desk = Desk(LeastLoaded(), 2)
    desk.arrive(1, now=0.0)
    desk.policy.look(0, True, 2.25)
    desk.policy.look(1, False, 2.25)
    assert desk.policy.share.tolist() == [1.0, 0.0]
    desk.complete(0, 0, now=2.3)
    desk.policy.look(0, False, 9.0)
    assert desk.policy.share.tolist() == [0.0, 0.0]


def test_least_loaded_believes_reports():
    desk = Desk(LeastLoaded(), 3)
    for worker, busy in enumerate([0.9, 0.1, 0.5]):
        dispatch.reported(desk.core, desk.policy, 0.1, worker, busy)
    assert desk.arrive(3, now=5.0) == [1, 2, 0]
    desk.down(1)
    dispatch.reported(desk.core, desk.policy, 0.2, 1, 0.7)  # its last words
    desk.up(1, now=6.0)
    assert desk.policy.share.tolist() == [0.9, 0.0, 0.5]


def test_least_loaded_finds_the_slow_worker_out_at_low_load():
    cluster = lbsim.Cluster(4, speeds=[1.0, 1.0, 1.0, 0.25])
    workload = lbsim.Workload.synthetic(
        4000, service=lbsim.Exponential(0.1), load=0.3, cluster=cluster, seed=1
    )
    share = {}
    for policy in (LeastLoaded(window=2.0), LeastConnections()):
        run = lbsim.simulate(workload, policy, cluster, engine="readable")
        share[type(policy)] = float((run.worker == 3).mean())
    assert share[LeastLoaded] < 0.8 * share[LeastConnections]


def test_first_available_fills_up():
    desk = Desk(FirstAvailable(slots=2), 3)
    assert desk.arrive(7) == [0, 0, 1, 1, 2, 2, HOLD]
    assert desk.complete(1, 2) == 6


# --- late binding ------------------------------------------------------------------------------


def test_central_queue_serves_in_order():
    desk = Desk(CentralQueue(), 2)
    assert desk.arrive(4) == [0, 1, HOLD, HOLD]
    assert desk.complete(1, 1) == 2
    assert desk.complete(0, 0) == 3


def test_central_queue_by_priority_then_arrival():
    desk = Desk(CentralQueue(order="priority"), 1, priority=[0, 2, 1, 1] + [0] * (N - 4))
    desk.arrive(4)
    assert [desk.complete(0, t) for t in (0, 2, 3)] == [2, 3, 1]


def test_central_queue_shortest_first_and_no_estimate_last():
    desk = Desk(CentralQueue(order="shortest"), 1, size=[1.0, np.nan, 5.0, 2.0] + [1.0] * (N - 4))
    desk.arrive(4)
    assert [desk.complete(0, t) for t in (0, 3, 2)] == [3, 2, 1]


def test_bounded_queue_holds_what_is_beyond_k():
    desk = Desk(BoundedQueue(k=2), 2)
    assert desk.arrive(5) == [0, 1, 0, 1, HOLD]
    assert desk.complete(1, 1) == 4
    assert Desk(BoundedQueue(k=8), 2, slots=1).arrive(3) == [0, 1, HOLD], "the smaller limit holds"


# --- Node --------------------------------------------------------------------------------------


def test_node_is_a_free_list_not_a_rotation():
    desk = Desk(NodeCluster(), 3)
    assert desk.arrive(4) == [0, 1, 2, HOLD]
    # Worker 2 acknowledges first: it gets the pending connection, whoever's turn it would be.
    assert desk.accept(2) == 3
    assert desk.accept(1) == dispatch.NONE
    assert desk.accept(0) == dispatch.NONE
    assert desk.arrive(3) == [1, 0, HOLD], "free in the order of acknowledging"


def test_node_takes_a_dead_worker_off_the_list():
    desk = Desk(NodeCluster(), 3)
    desk.down(1)
    assert desk.arrive(3) == [0, 2, HOLD]
    assert desk.up(1) == 2, "a worker that comes up is free and takes what is pending"


def test_node_without_scheduling_takes_one_a_turn():
    desk = Desk(NodeSchedNone(), 3)
    assert desk.arrive(5) == [2, 1, 0, HOLD, HOLD], "the last to sleep first"
    assert desk.look(1) == 3, "at a turn it takes what is held"
    assert desk.complete(1, 1) == dispatch.NONE, "and no more before the next"
    assert desk.look(0) == 4
    assert desk.look(2) == dispatch.NONE
    assert desk.arrive(1) == [HOLD], "who has looked in vain is at work"
    assert desk.idle(2) == 5, "until it has nothing to do"
    assert desk.idle(1) == dispatch.NONE
    assert desk.arrive(1) == [HOLD], "who sleeps is woken for it"
    assert desk.look(0) == 6, "and who is awake takes it first"
    assert desk.look(1) == desk.idle(1) == dispatch.NONE
    assert desk.arrive(1) == [HOLD]
    assert desk.look(1) == 7
    desk.idle(0)
    desk.down(0)
    assert desk.arrive(1) == [HOLD]
    assert desk.core.count[dispatch.CHOICE] == HOLD, "the dead are not woken"


def test_shared_accept_wakes_the_last_to_sleep():
    desk = Desk(SharedAccept(), 3)
    assert desk.arrive(3) == [2, 1, 0]
    desk.complete(1, 1)
    desk.complete(2, 0)
    assert desk.arrive(2) == [2, 1]
    assert Desk(SharedAccept(order="fifo"), 3).arrive(4) == [0, 1, 2, HOLD]


def test_reuse_port_spreads_one_client_over_all():
    chosen = Desk(ReusePort(), 4, key=np.full(N, 7)).arrive(N)
    assert min(np.bincount(chosen, minlength=4)) > 25


# --- sessions ----------------------------------------------------------------------------------

KEYS = np.tile(np.arange(50), 4)


@pytest.mark.parametrize(
    "policy",
    [KeyHash(), ConsistentHash(), Rendezvous(), Maglev(), BoundedLoadHash(c=8.0), Sticky()],
    ids=repr,
)
def test_a_session_stays_where_it_is(policy):
    desk = Desk(policy, 5, key=KEYS)
    chosen = []
    for ticket in range(N):
        (worker,) = desk.arrive()
        desk.complete(worker, ticket)
        chosen.append(worker)
    rounds = np.array(chosen).reshape(4, 50)
    assert (rounds == rounds[0]).all()
    assert len(set(chosen)) == 5


@pytest.mark.parametrize("policy", [ConsistentHash(), Rendezvous()], ids=repr)
def test_only_the_sessions_of_a_lost_worker_move(policy):
    desk = Desk(policy, 5, key=KEYS)
    before = np.array(desk.arrive(50))
    desk.down(2)
    after = np.array(desk.arrive(50))
    assert (after[before != 2] == before[before != 2]).all()
    assert 2 not in after
    desk.up(2)
    assert desk.arrive(50) == before.tolist()


def test_modulo_hashing_moves_nearly_everybody():
    keys = np.arange(N)
    desk = Desk(KeyHash(), 5, key=np.tile(keys[:100], 2))
    before = np.array(desk.arrive(100))
    desk.down(4)
    after = np.array(desk.arrive(100))
    assert (after != before).mean() > 0.6  # expected: 4 in 5


def test_maglev_fills_the_sample_table_of_the_paper():
    # NSDI 2016, table 1: permutations (3, 4), (0, 2), (3, 1) on seven entries.
    offset, skip = np.array([3, 0, 3]), np.array([4, 2, 1])
    table, claimed = np.empty(7, np.int64), np.empty(3, np.int64)
    maglev_table(offset, skip, np.array([0, 1, 2]), claimed, table)
    assert table.tolist() == [1, 0, 1, 0, 2, 2, 0]
    maglev_table(offset, skip, np.array([0, 2]), claimed, table)
    assert table.tolist() == [0, 0, 0, 0, 2, 2, 2]
    maglev_table(offset, skip, np.array([0, 1]), claimed, table)
    assert table.tolist() == [1, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize(("workers", "moved"), [(10, 0.0050), (100, 0.0080)])
def test_maglev_moves_little_when_a_worker_leaves(workers, moved):
    """The paper's size, 65537: besides the entries of the worker that left, well below 1 % move."""
    desk = Desk(Maglev(size=65537), workers, key=np.arange(N))
    desk.arrive()
    before = desk.policy.table.copy()
    desk.down(0)
    desk.arrive()
    after = desk.policy.table
    assert (after != 0).all()
    assert (after[before == 0] != 0).all()
    assert 0.0 < (after != before)[before != 0].mean() < moved
    counts = np.bincount(after, minlength=workers)[1:]
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("points", [10, 100])
def test_shares_of_the_ring_vary_as_they_must(points):
    """The coefficient of variation is sqrt((n - 1) / (n v + 1)): 0.314 and 0.0995 for 100 workers.

    (Lamping and Veach, "A fast, minimal memory, consistent hash algorithm", 2014, table 1.)
    """
    workers = 100
    policy = ConsistentHash(points=points)
    policy.prepare(workers)
    position = policy.position / 2.0**63
    arcs = np.diff(position, prepend=position[-1] - 1.0)
    shares = np.bincount(policy.owner, arcs, minlength=workers)
    assert shares.sum() == pytest.approx(1.0)
    expected = math.sqrt((workers - 1) / (workers * points + 1))
    assert shares.std() * workers == pytest.approx(expected, rel=0.2)


def test_maglev_shares_are_even_to_one_entry():
    policy = Maglev(size=1009)
    desk = Desk(policy, 10, key=np.arange(N))
    desk.arrive()
    counts = np.bincount(desk.policy.table, minlength=10)
    assert counts.max() - counts.min() <= 1


def test_bounded_load_never_exceeds_its_bound():
    desk = Desk(BoundedLoadHash(c=1.25), 7, key=np.full(N, 3))
    for m in range(N):
        desk.arrive()
        assert desk.core.in_flight.max() <= math.ceil(1.25 * (m + 1) / 7)


@pytest.mark.parametrize(
    ("m", "workers", "c", "room"),
    [
        (100, 10, 1.25, 13),
        (101, 10, 1.25, 13),
        (7, 3, 1.1, 3),
        (1, 10, 1.25, 1),
        (150, 7, 1.05, 23),
    ],
)
def test_bounded_load_gives_a_popular_key_all_the_room_there_is(m, workers, c, room):
    # ceil(c m / n), the request that comes included: validation vectors V-BL-1.
    desk = Desk(BoundedLoadHash(c=c), workers, key=np.full(N, 3))
    owner = desk.arrive(m)[0]
    assert desk.core.in_flight[owner] == room
    assert desk.core.in_flight.max() == room


def test_sticky_moves_a_session_once_when_its_worker_dies():
    desk = Desk(Sticky(fallback=RoundRobin()), 3, key=np.zeros(N, int))
    assert desk.arrive(3) == [0, 0, 0]
    assert desk.down(0) == [1, 1, 1]
    assert desk.arrive(2) == [1, 1]
    assert desk.policy.moves == 1
    desk.up(0)
    assert desk.arrive(2) == [1, 1]


def test_sticky_forgets_the_least_recently_used():
    keys = [0, 1, 0, 2, 1, 0]
    desk = Desk(Sticky(fallback=RoundRobin(), capacity=2), 6, key=keys + [0] * (N - 6))
    # 0 -> 0, 1 -> 1, 0 again; 2 evicts 1; 1 evicts 0; 0 evicts 2: new places from the rotation.
    assert desk.arrive(6) == [0, 1, 0, 2, 3, 4]
    assert desk.policy.evictions == 3


def test_sticky_forgets_the_idle():
    desk = Desk(Sticky(fallback=RoundRobin(), idle=10.0), 3, key=np.zeros(N, int))
    assert desk.arrive(1, now=0.0) == [0]
    assert desk.arrive(1, now=10.0) == [0]
    assert desk.arrive(1, now=20.1) == [1]


def test_sticky_table_against_a_dictionary():
    rng = np.random.default_rng(4)
    keys = rng.integers(0, 40, N)
    desk = Desk(Sticky(fallback=RoundRobin(), capacity=16), 5, key=keys)
    model, cursor = {}, -1
    for key in keys.tolist():
        if key in model:
            worker = model.pop(key)
        else:
            if len(model) == 16:
                del model[next(iter(model))]
            cursor = (cursor + 1) % 5
            worker = cursor
        model[key] = worker  # a dictionary keeps the order of insertion: least recent first
        assert desk.arrive() == [worker]


# --- tasks -------------------------------------------------------------------------------------


def test_by_kind_keeps_to_its_group_and_spills():
    policy = ByKind(groups=((0,), (1, 2)), spill=2)
    desk = Desk(policy, 3, kind=[0, 1, 1, 0, 0] + [5] * (N - 5))
    assert desk.arrive(4) == [0, 1, 2, 0]
    assert desk.arrive(1) == [1], "worker 0 has two: the third goes to the least loaded of all"
    assert desk.arrive(1) == [2], "an unknown kind may go anywhere"


def test_by_priority_reserves_workers():
    priority = [1, 1, 1, 0] + [0] * (N - 4)
    desk = Desk(ByPriority(reserved=1), 2, priority=priority)
    assert desk.arrive(3) == [1, HOLD, HOLD], "priority 1 may not use worker 0"
    assert desk.arrive(2) == [0, HOLD]
    assert desk.complete(1, 0) == 4, "the urgent one overtakes"


def test_size_interval_splits_by_size():
    size = [0.1, 5.0, 0.2, 50.0, np.nan] + [0.1] * (N - 5)
    desk = Desk(SizeInterval(cutoffs=(1.0, 10.0)), 3, size=size)
    assert desk.arrive(4) == [0, 1, 0, 2]
    assert desk.arrive(1) == [1], "no estimate: the least loaded of all, ties from after the last"


# --- bad parameters ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (LeastLoaded(window=0.0), r"LeastLoaded: window = 0 must be finite and above 0"),
        (LeastLoaded(weight=-1.0), r"LeastLoaded: weight = -1 must be finite and not negative"),
        (PowerOfD(d=0), r"d = 0 is not a whole number of at least 1; two choices"),
        (LeastConnections(ties="last"), r"ties = 'last' is not known; give one of rotate, first"),
        (LeastResponseTime(decay=0), r"decay = 0 must be finite and above 0; give the seconds"),
        (Maglev(size=100), r"size = 100 must be a prime .*; give 307"),
        (BoundedLoadHash(c=0.9), r"c = 0.9 must be at least 1"),
        (ConsistentHash(points=0), r"points = 0 is not a whole number"),
        (CentralQueue(order="random"), r"order = 'random' is not known; give one of fcfs"),
        (ByKind(groups=((7,),)), r"names worker 7, but the workers are 0 to 2"),
        (ByPriority(reserved=3), r"reserved = 3 of 3 workers leaves nobody"),
        (SizeInterval(cutoffs=(2.0, 1.0)), r"are not ascending"),
        (SizeInterval(cutoffs=(1.0, 2.0, 3.0)), r"make 4 blocks, but there are 3 workers"),
        (Sticky(capacity=0), r"capacity = 0 is not a whole number"),
        (Sticky(idle=-1.0), r"idle = -1.0 must be above 0"),
        (Sticky(fallback=NodeCluster()), r"counts on acknowledgements"),
        (SharedAccept(order="up"), r"order = 'up' is not known"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_parameter_is_refused_with_a_remedy(policy, message):
    with pytest.raises(lbsim.InputError, match=message):
        policy.prepare(3)

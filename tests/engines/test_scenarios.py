"""Small scenarios with exact outcomes: the physics, one rule at a time."""

import math

import numpy as np
import pytest

import lbsim
from lbsim import Client, Cluster, Crash, Faults, Hang, Master, Reload, SlowDown, Workload
from lbsim.engines.record import OUTCOMES
from lbsim.policies import (
    BoundedQueue,
    CentralQueue,
    KeyHash,
    LeastConnections,
    NodeCluster,
    NodeSchedNone,
    RoundRobin,
    SharedAccept,
    Sticky,
)
from lbsim.policy import SHED


def run(arrival, service, cluster, policy=None, client=None, **columns):
    workload = Workload.from_arrays(arrival, service, **columns)
    policy = RoundRobin() if policy is None else policy
    return lbsim.simulate(workload, policy, cluster, engine="readable", client=client)


def outcomes(result):
    return [OUTCOMES[code] for code in result.outcome]


# --- service ---------------------------------------------------------------------------------


def test_first_come_first_served():
    result = run([0, 1, 2], [5, 1, 1], Cluster(1))
    assert result.started.tolist() == [0, 5, 6]
    assert result.finished.tolist() == [5, 6, 7]


def test_speed_and_concurrency():
    result = run([0, 0, 0], [4, 2, 2], Cluster(1, speeds=2.0, concurrency=2))
    assert result.finished.tolist() == [2, 1, 2]


def test_a_synchronous_worker_is_held_while_a_request_waits():
    result = run([0, 0], [1, 1], Cluster(1), wait=[3, 0])
    assert result.finished.tolist() == [4, 5]


def test_processor_sharing():
    # Alone for 1 s, then two share: the first has 2 left and needs 4 more; and so on.
    result = run([0, 1], [3, 1], Cluster(1, discipline="ps"))
    assert result.finished.tolist() == [4, 3]


def test_processor_sharing_does_not_hold_who_waits():
    result = run([0, 0], [1, 1], Cluster(1, discipline="ps"), wait=[2, 0])
    assert result.finished.tolist() == [4, 2]


def test_processor_sharing_queues_beyond_its_concurrency():
    result = run([0, 0, 0], [1, 1, 1], Cluster(1, discipline="ps", concurrency=2))
    assert result.started.tolist() == [0, 0, 2]
    assert result.finished.tolist() == [2, 2, 3]


def test_an_event_loop_runs_handlers_one_by_one_and_awaits_in_parallel():
    result = run([0, 0, 0], [1, 1, 1], Cluster(1, discipline="event_loop"), wait=[5, 5, 0])
    assert result.started.tolist() == [0, 1, 2]
    assert result.finished.tolist() == [6, 7, 3]


def test_an_answer_needs_a_turn_of_the_loop():
    # The wait of request 0 is over at 2, but the loop is blocked until 6.
    result = run([0, 1], [1, 5], Cluster(1, discipline="event_loop"), wait=[1, 0])
    assert result.finished.tolist() == [6, 6]


def test_a_turn_answers_before_it_handles():
    # The turn at 8 finds the answer of request 0 (its waiting was over at 3) and request 2, which
    # was sent when request 1 was acknowledged, and accepted in the turn in which that was handled.
    loop = Cluster(1, discipline="event_loop", accept_s=0.5)
    result = run([0, 2, 2.2], [1, 5, 3], loop, NodeCluster(), wait=[1.5, 0, 0])
    assert result.finished.tolist() == [8, 8, 11]


def test_what_arrives_in_a_turn_is_for_the_next():
    # All come while the loop is blocked by the first; they are accepted together, then handled.
    result = run([0, 1, 1.5], [2, 1, 1], Cluster(1, discipline="event_loop", accept_s=0.25))
    assert result.started.tolist() == [0.25, 2.75, 3.75]


def test_a_turn_that_finds_connections_costs_once():
    # As before, but the first of those that are found together pays for the turn. The turn at
    # 0.75 finds nobody.
    loop = Cluster(1, discipline="event_loop", accept_s=0.25, turn_s=0.5)
    result = run([0, 1, 1.5], [2, 1, 1], loop)
    assert result.started.tolist() == [0.75, 3.75, 4.75]


def test_a_turn_takes_what_comes_while_it_takes_others():
    # The second comes while the first is taken, until 0.75, and is taken until 1.0; the third
    # while a handler runs.
    loop = Cluster(1, discipline="event_loop", accept_s=0.25, turn_s=0.5)
    result = run([0, 0.25, 1.5], [2, 1, 1], loop)
    assert result.started.tolist() == [1, 3, 4.75]


def test_with_acknowledgements_a_turn_takes_what_was_there():
    # The master has the acknowledgement, and sends the second, at 0.75: that is for the next turn.
    loop = Cluster(1, discipline="event_loop", accept_s=0.25, turn_s=0.5)
    result = run([0, 0.25], [2, 1], loop, NodeCluster())
    assert result.started.tolist() == [1.5, 3.5]


def test_a_turn_may_be_all_that_it_costs():
    loop = Cluster(1, discipline="event_loop", turn_s=0.5)
    result = run([0, 1, 1.5], [2, 1, 1], loop)
    assert result.started.tolist() == [0.5, 3, 4]


def test_what_comes_while_a_connection_is_set_up_is_accepted_before_it_is_handled():
    # The master answers an acknowledgement within 0.25: in time for a set-up of 0.5, which then
    # makes the first handler wait for the second one's set-up; without one, far too late.
    master = Master(dispatch_s=0.25)
    loop = Cluster(1, discipline="event_loop", setup_s=0.5, master=master)
    result = run([0, 0, 0], [2, 1, 1], loop, NodeCluster())
    # Handed over at 0.25, 0.5 and 1.0, set up until 0.75, 1.25 and (after the handler) 3.75.
    assert result.started.tolist() == [1.25, 3.75, 4.75]
    loop = loop.changed(setup_share=0.0)
    result = run([0, 0, 0], [2, 1, 1], loop, NodeCluster())
    assert result.started.tolist() == [0.25, 2.25, 3.25]


def test_a_share_of_connections_is_set_up():
    loop = Cluster(1, discipline="event_loop", setup_s=0.25, setup_share=0.5)
    n = 400
    result = run(np.arange(n) * 10.0, np.ones(n), loop)
    setup = result.started - np.arange(n) * 10.0
    assert set(setup.tolist()) == {0.0, 0.25}
    assert 160 < np.count_nonzero(setup) < 240  # four standard deviations
    again = run(np.arange(n) * 10.0, np.ones(n), loop)
    assert (again.started == result.started).all()


def test_overhead_is_work():
    result = run([0], [1], Cluster(1, speeds=2.0, overhead_s=1.0))
    assert result.finished.tolist() == [1.0]


# --- events at one instant -------------------------------------------------------------------


def test_a_completion_comes_before_an_arrival():
    result = run([0, 1], [1, 1], Cluster(1, slots=1, queue_limit=0))
    assert outcomes(result) == ["ok", "ok"]


def test_a_completion_at_the_very_timeout_is_a_completion():
    result = run([0], [1], Cluster(1), client=Client(timeout=1.0))
    assert outcomes(result) == ["ok"]


def test_a_crash_comes_before_a_completion():
    cluster = Cluster(1, faults=Faults(Crash(0, 1.0), restart_s=1.0))
    result = run([0], [1], cluster)
    assert result.finished.tolist() == [3.0]
    assert result.n_attempts.tolist() == [2]


def test_times_are_not_rounded_by_the_clock():
    # now + (time - now) is not always time; the engine must not compute times that way.
    rng = np.random.default_rng(0)
    arrival = np.cumsum(rng.exponential(1e3, 200))
    service = rng.exponential(1e-3, 200)
    result = run(arrival, service, Cluster(1))
    assert (result.arrival == arrival).all()
    assert (result.finished == result.started + service).all()


# --- the master --------------------------------------------------------------------------------


def test_the_master_is_a_single_server():
    result = run([0, 0], [1, 1], Cluster(2, master=Master(accept_s=1.0, dispatch_s=0.5)))
    assert result.dispatched.tolist() == [1.5, 3.0]
    assert result.finished.tolist() == [2.5, 4.0]


def test_payload_costs_the_master():
    cluster = Cluster(1, master=Master(dispatch_s=1.0, per_byte_s=0.001))
    assert run([0], [1], cluster, payload=[500]).dispatched.tolist() == [1.5]


def test_a_pulled_request_costs_a_handover():
    cluster = Cluster(1, master=Master(dispatch_s=0.5))
    result = run([0, 0], [1, 1], cluster, CentralQueue())
    assert result.dispatched.tolist() == [0.5, 2.0]


def test_a_full_master_refuses():
    result = run([0, 0, 0], [1, 1, 1], Cluster(1, slots=1, queue_limit=1))
    assert outcomes(result) == ["ok", "ok", "shed"]
    assert np.isnan(result.latency[2])


def test_a_policy_may_refuse():
    class Picky(lbsim.Policy):
        def choose(self, request, cluster):
            return SHED if request.key == 7 else cluster.up[0]

    result = run([0, 1], [1, 1], Cluster(1), Picky(), key=[7, 8])
    assert outcomes(result) == ["shed", "ok"]


# --- faults ------------------------------------------------------------------------------------


def test_a_crash_is_redispatched_in_order_of_arrival_ahead_of_the_queue():
    cluster = Cluster(2, slots=2, faults=Faults(Crash(0, 1.5), restart_s=10.0))
    result = run([0, 0, 0.5, 0.5, 1.0], [2, 2, 2, 2, 2], cluster, BoundedQueue(k=2))
    # Worker 0 had 0 and 2, worker 1 had 1 and 3; request 4 was held.
    assert result.worker.tolist() == [1, 1, 1, 1, 1]
    assert np.argsort(result.started).tolist() == [1, 3, 0, 2, 4]
    assert outcomes(result) == ["ok"] * 5


def test_without_retry_a_crash_loses_what_the_worker_had():
    cluster = Cluster(2, max_attempts=1, faults=[Crash(0, 0.5)])
    result = run([0, 0], [1, 1], cluster)
    assert outcomes(result) == ["lost", "ok"]
    assert result.attempts()["ending"].tolist() == ["crashed", "answered"]


def test_a_request_that_kills_its_workers_is_lost_in_the_end():
    crashes = [Crash(0, 0.5 + k) for k in range(6)]
    cluster = Cluster(1, max_attempts=3, faults=Faults(*crashes, restart_s=0.2, backoff=1.0))
    result = run([0], [10], cluster)
    assert outcomes(result) == ["lost"]
    assert result.n_attempts.tolist() == [3]


def test_requests_sent_to_a_dead_worker_wait_for_its_detection():
    cluster = Cluster(2, faults=Faults(Crash(0, 1.0), detect_s=2.0, restart_s=9.0))
    result = run([0, 0, 1.5], [0.1, 0.1, 0.1], cluster)
    assert result.finished[2] == pytest.approx(3.1)
    assert result.worker[2] == 1


def test_restarts_back_off():
    crashes = [Crash(0, t) for t in (1.0, 2.0, 4.0)]
    cluster = Cluster(1, faults=Faults(*crashes, restart_s=0.5, backoff=2.0, healthy_s=5.0))
    events = run([0], [0.1], cluster).events()
    up = events[events["event"] == "up"]["time"].tolist()
    assert up == [0.0, 1.5, 3.0, 6.0]


def test_a_hang_delays_what_computes_and_what_waits():
    cluster = Cluster(2, faults=[Hang(0, 1.0, 10.0), Hang(1, 1.0, 10.0)])
    result = run([0, 0], [2, 0.5], cluster, wait=[0, 1.0])
    assert result.finished.tolist() == [12.0, 11.0]


def test_a_slow_down_in_mid_service():
    cluster = Cluster(1, faults=[SlowDown(0, 1.0, 2.0, 0.5)])
    # 1 s at speed 1, 2 s at half speed, the rest at speed 1.
    assert run([0], [3], cluster).finished.tolist() == [4.0]


@pytest.mark.parametrize("discipline", ["ps", "event_loop"])
def test_slow_downs_and_hangs_for_every_discipline(discipline):
    cluster = Cluster(
        1, discipline=discipline, faults=[SlowDown(0, 1.0, 2.0, 0.5), Hang(0, 4.0, 3)]
    )
    # Work done by 1: 1; by 3: 2; by 4: 3; stopped until 7; done at 8.
    assert run([0], [4], cluster).finished.tolist() == [8.0]


@pytest.mark.parametrize("discipline", ["fcfs", "ps", "event_loop"])
def test_a_rolling_reload_loses_nothing_and_takes_one_at_a_time(discipline):
    cluster = Cluster(3, discipline=discipline, faults=Faults(Reload(1.0), restart_s=0.5))
    arrival = np.arange(0, 12, 0.25)
    result = run(arrival, np.full(len(arrival), 0.5), cluster, LeastConnections())
    assert outcomes(result) == ["ok"] * len(arrival)
    assert result.n_attempts.max() == 1
    events = result.events()
    leaving = events[events["event"] == "leaving"]
    ups = events[(events["event"] == "up") & (events["time"] > 0)]
    assert leaving["worker"].tolist() == ups["worker"].tolist() == [0, 1, 2]
    assert (leaving["time"].to_numpy()[1:] == ups["time"].to_numpy()[:-1]).all()


def test_a_worker_that_never_comes_back():
    cluster = Cluster(1, faults=Faults(Crash(0, 1.0), restart_s=math.inf))
    result = run([0, 2], [5, 1], cluster)
    assert outcomes(result) == ["unfinished", "unfinished"]
    with pytest.raises(lbsim.InputError, match="no request of this run was answered"):
        result.quantile(0.5)


# --- sessions ----------------------------------------------------------------------------------


def test_a_session_pays_when_it_moves():
    cluster = Cluster(2, session_miss_s=1.0)
    result = run([0, 10, 20], [1, 1, 1], cluster, key=[5, 5, 5])
    assert result.miss.tolist() == [False, True, True]
    assert result.latency.tolist() == [1.0, 2.0, 2.0]
    sticky = run([0, 10, 20], [1, 1, 1], cluster, Sticky(), key=[5, 5, 5])
    assert sticky.latency.tolist() == [1.0, 1.0, 1.0]


def test_a_session_dies_with_its_worker():
    cluster = Cluster(1, session_miss_s=1.0, faults=Faults(Crash(0, 5.0), restart_s=1.0))
    result = run([0, 10, 20], [1, 1, 1], cluster, KeyHash(), key=[5, 5, 5])
    assert result.miss.tolist() == [False, True, False]


# --- clients -----------------------------------------------------------------------------------


def test_a_timeout_leaves_the_work_to_be_done():
    result = run([0, 0], [3, 1], Cluster(1), client=Client(timeout=2.0))
    assert outcomes(result) == ["timeout", "timeout"]
    assert result.finished.tolist() == [2.0, 2.0]
    ends = result.attempts()["ending"].tolist()
    assert ends == ["wasted", "wasted"]


def test_what_is_queued_can_be_taken_back():
    client = Client(timeout=2.0, take_back="queued")
    result = run([0, 0], [3, 1], Cluster(1), client=client)
    assert result.attempts()["ending"].tolist() == ["wasted", "taken back"]
    client = Client(timeout=2.0, take_back="service")
    result = run([0, 0, 2.5], [3, 1, 1], Cluster(1), client=client)
    assert result.attempts()["ending"].tolist() == ["taken back", "taken back", "answered"]
    assert result.finished[2] == 3.5


def test_retries_back_off_and_the_latency_counts_from_the_first_try():
    client = Client(timeout=1.0, retries=2, backoff=0.5, backoff_factor=2.0, take_back="service")
    cluster = Cluster(1, faults=[Hang(0, 0.0, 4.0)])
    # Tries at 0, 1.5 and 3.5; the last one is served from 4.0 on.
    result = run([0], [0.25], cluster, client=client)
    assert result.finished.tolist() == [4.25]
    assert result.latency.tolist() == [4.25]
    assert result.n_attempts.tolist() == [3]


def test_a_hedge_takes_the_first_answer():
    client = Client(hedge_after=1.0, take_back="service")
    cluster = Cluster(2, speeds=[0.1, 1.0])
    result = run([0], [1], cluster, client=client)
    assert result.latency.tolist() == [2.0]
    assert result.worker.tolist() == [1]
    assert sorted(result.attempts()["ending"]) == ["answered", "taken back"]


def test_a_lost_request_is_sent_again_by_its_client():
    cluster = Cluster(1, max_attempts=1, faults=Faults(Crash(0, 0.5), restart_s=1.0))
    result = run([0], [1], cluster, client=Client(retries=1))
    assert outcomes(result) == ["ok"]
    assert result.finished.tolist() == [2.5]


def test_a_closed_loop_thinks_between_requests():
    workload = Workload.synthetic(
        6,
        arrivals=lbsim.ClosedLoop(clients=2, think=1.0),
        service=lbsim.Deterministic(2.0),
    )
    result = lbsim.simulate(workload, RoundRobin(), Cluster(2), engine="readable")
    assert result.arrival.tolist() == [1, 1, 4, 4, 7, 7]
    assert result.finished.tolist() == [3, 3, 6, 6, 9, 9]


def test_a_hedge_is_void_when_its_try_is_over():
    client = Client(timeout=1.0, hedge_after=1.5, retries=1, backoff=1.0)
    result = run([0], [10], Cluster(3), client=client)
    assert outcomes(result) == ["timeout"]
    assert result.attempts()["dispatched"].tolist() == [0.0, 2.0]


# --- Node --------------------------------------------------------------------------------------


def test_a_blocked_node_worker_holds_one_or_two_connections():
    # Worker 0 gets a long request, then many short ones come.
    arrival = [0.0] + [0.01 * k for k in range(1, 21)]
    service = [1.0] + [0.005] * 20
    loop = {"discipline": "event_loop"}
    late = run(arrival, service, Cluster(2, **loop), NodeCluster())
    blind = run(arrival, service, Cluster(2, **loop), RoundRobin())
    stuck_late = int((late.latency[1:] > 0.5).sum())
    stuck_blind = int((blind.latency[1:] > 0.5).sum())
    assert stuck_blind == 10
    assert 1 <= stuck_late <= 2


def test_node_s_workers_take_one_ahead_without_scheduling():
    # Both workers are busy when the rest comes. Each, as it goes on, first takes another one.
    arrival = [0.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    service = [1.0, 2.0, 5.0, 1.0, 1.0, 1.0, 1.0]
    loop = Cluster(2, discipline="event_loop")
    late = run(arrival, service, loop, SharedAccept())
    ahead = run(arrival, service, loop, NodeSchedNone())
    # Worker 1 (the last to sleep) is done at 1: it takes request 2, which a turn later it begins
    # together with taking request 3. Worker 0 goes on at 2 and shares the rest.
    assert late.worker.tolist() == [1, 0, 1, 0, 0, 0, 0]
    assert ahead.worker.tolist() == [1, 0, 1, 1, 0, 0, 0]
    assert ahead.finished.tolist() == [1.0, 2.0, 6.0, 7.0, 3.0, 4.0, 5.0]


def test_a_loop_with_nothing_to_do_must_wake():
    # Asleep at 0, at work until 3.5, where it finds the next at once; asleep again at 6.
    loop = Cluster(1, discipline="event_loop", wake_s=0.5)
    result = run([0, 2, 6], [3, 1, 1], loop)
    assert result.started.tolist() == [0.5, 3.5, 6.5]
    # What comes while it wakes is found then; a slow-down in the meantime does not wake it.
    faults = Faults(SlowDown(0, 0.125, 9.0, 0.5))
    result = run([0, 0.25], [1, 1], loop.changed(faults=faults))
    assert result.started.tolist() == [0.5, 2.5]


def test_how_long_a_loop_wakes_is_drawn_for_each_request():
    loop = Cluster(1, discipline="event_loop", wake_s=(0.0, 0.25, 1.0))
    n = 400
    arrival = np.arange(n) * 10.0
    wakes = run(arrival, np.ones(n), loop).started - arrival
    assert 0.0 <= wakes.min() < 0.05
    assert 0.95 < wakes.max() <= 1.0
    assert abs(np.median(wakes) - 0.25) < 0.1
    assert (run(arrival, np.ones(n), loop).started - arrival == wakes).all()
    assert (run(arrival, np.ones(n), loop.changed(cost_seed=1)).started - arrival != wakes).any()


def test_whoever_looks_first_takes_what_a_sleeper_was_woken_for():
    # Worker 1 and then worker 0 have served one each, and sleep. Worker 0, the last to sleep,
    # wakes for request 2 at 11, and worker 1 for request 3 at 11.5. But worker 0 looks again at
    # 11, before its handler runs, so that request 3 waits for that.
    loop = Cluster(2, discipline="event_loop", wake_s=1.0)
    requests = [0, 0, 10, 10.5], [1, 2, 5, 1]
    result = run(*requests, loop, NodeSchedNone())
    assert result.worker.tolist() == [1, 0, 0, 0]
    assert result.started.tolist()[2:] == [11.0, 16.0]
    # In a herd worker 1 has woken for request 2 as well, and looks soon after worker 0.
    result = run(*requests, loop.changed(herd_s=0.25, accept_s=0.5), NodeSchedNone())
    assert result.worker.tolist() == [1, 0, 0, 1]
    assert result.started.tolist()[2:] == [11.5, 11.75]


def test_what_a_dying_sleeper_was_woken_for_goes_to_another():
    faults = Faults(Crash(1, 0.5), detect_s=0.25, restart_s=9.0)
    loop = Cluster(2, discipline="event_loop", wake_s=1.0, faults=faults)
    # At first each worker is handed what comes; then they sleep and are woken.
    result = run([0, 0, 10, 20], [1, 1, 1, 1], loop, NodeSchedNone())
    assert outcomes(result) == ["ok"] * 4
    later = loop.changed(faults=Faults(Crash(1, 4.5), detect_s=0.25, restart_s=9.0))
    result = run([0, 0, 4], [1, 1, 1], later, NodeSchedNone())
    assert result.worker.tolist() == [1, 0, 0]
    assert result.started.tolist()[2] == 5.75, "woken when the death is noticed"


def test_an_awaiting_loop_takes_what_comes_without_scheduling():
    arrival = np.arange(0, 1, 0.05)
    loop = Cluster(3, discipline="event_loop")
    result = run(arrival, np.zeros(20), loop, NodeSchedNone(), wait=np.full(20, 10.0))
    assert set(result.worker) == {2}, "the last to sleep, again and again"


def test_node_is_a_rotation_when_handlers_only_await():
    arrival = np.arange(0, 1, 0.05)
    loop = Cluster(3, discipline="event_loop")
    result = run(arrival, np.zeros(len(arrival)), loop, NodeCluster(), wait=np.full(20, 10.0))
    assert result.worker.tolist() == [k % 3 for k in range(20)]


# --- old load information ------------------------------------------------------------------------


def test_load_information_can_be_old():
    arrival = [0.0, 0.1, 0.2, 0.3]
    fresh = run(arrival, [9] * 4, Cluster(2), LeastConnections(ties="first"))
    assert fresh.worker.tolist() == [0, 1, 0, 1]
    board = Cluster(2, info_every_s=0.25)
    assert run(arrival, [9] * 4, board, LeastConnections(ties="first")).worker.tolist() == [
        0,
        0,
        0,
        1,
    ]
    delayed = Cluster(2, info_delay_s=0.15)
    # At 0.2 the request of 0.0 is known, at 0.3 also that of 0.1.
    assert run(arrival, [9] * 4, delayed, LeastConnections(ties="first")).worker.tolist() == [
        0,
        0,
        1,
        1,
    ]


def test_information_exactly_as_old_as_the_delay_is_known():
    cluster = Cluster(2, info_delay_s=0.25)
    result = run([0.0, 0.25], [9, 9], cluster, LeastConnections(ties="first"))
    assert result.worker.tolist() == [0, 1]

"""A workload replayed for real: the same columns, the same choices, real faults."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import pytest
from conftest import children, eventually, is_alive
from nbclient import NotebookClient

import live
from lbsim import (
    Client,
    ClosedLoop,
    Cluster,
    Crash,
    Deterministic,
    Exponential,
    Faults,
    Hang,
    InputError,
    Policy,
    PolicyError,
    Reload,
    Sessions,
    SlowDown,
    Workload,
    plot,
    policies,
    simulate,
)
from lbsim.engines.record import (
    ANSWERED,
    CAME_UP,
    CRASHED,
    CRASHED_AT,
    LEAVING,
    OK,
    STOPPED,
    TIMEOUT,
)
from live.client import Lateness, Replay
from live.client.loop import ANSWERED as CLIENT_ANSWERED
from live.measured import PHASES, record_of
from live.speed import Speed
from live.trace import HAPPENED, TRACE

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="live needs Linux")


def loop(workers: int, **options) -> Cluster:
    return Cluster(workers, discipline="event_loop", **options)


def short(n: int, cluster: Cluster, load: float = 0.5, **options) -> Workload:
    return Workload.synthetic(
        n, service=Exponential(0.004), load=load, cluster=cluster, seed=2, **options
    )


class Ponderer(policies.RoundRobin):
    """Takes its time."""

    def choose(self, request, cluster):
        until = time.perf_counter() + 0.005
        while time.perf_counter() < until:
            pass
        return super().choose(request, cluster)


# --- what a run holds --------------------------------------------------------------------------


def test_a_measured_run_has_the_columns_of_a_simulated_one():
    cluster = loop(3)
    workload = short(150, cluster, wait=Exponential(0.002))
    run = live.measure(workload, policies.LeastConnections(), cluster)
    simulated = simulate(workload, policies.LeastConnections(), cluster)
    assert run.source == "measured"
    assert (run.outcome == OK).all()
    assert run.arrival == pytest.approx(workload.arrival, abs=1e-6)
    assert (run.arrival <= run.dispatched).all()
    assert (run.dispatched <= run.started).all()
    ended = run.record.handovers.ended[run.record.answer]
    # Asked for in milliseconds with six decimals: a nanosecond may be lost.
    assert (ended - run.started >= workload.service - 1e-6).all()
    assert (run.finished >= ended).all()
    assert (run.making > 0).all()
    assert run.frame().dtypes.equals(simulated.frame().dtypes)
    assert run.attempts().dtypes.equals(simulated.attempts().dtypes)
    assert run.events().dtypes.equals(simulated.events().dtypes)
    assert run.summary()["answered"] == 1.0
    assert 0 < run.summary()["utilisation"] < 1
    plot.ccdf({"measured": run, "simulated": simulated})
    assert "measured" in repr(run.slowest(1)[0]) or str(run.slowest(1)[0])


def test_the_phases_of_a_request_add_up_to_its_latency():
    run = live.measure(short(100, loop(2)), policies.CentralQueue(), workers=2)
    phases = run.breakdown()
    assert list(phases.columns) == list(PHASES)
    assert phases.sum(axis=1).to_numpy() == pytest.approx(run.latency, abs=1e-9)
    assert (phases.to_numpy() >= -1e-9).all()


@pytest.mark.parametrize(
    "policy",
    [
        policies.RoundRobin(),
        policies.Random(),
        policies.ConsistentHash(),
        policies.WeightedRoundRobin(),
    ],
)
def test_blind_policies_choose_the_same_workers_simulated_and_measured(policy):
    cluster = loop(8, weights=[1, 2, 1, 1, 3, 1, 1, 1])
    workload = short(300, cluster, load=0.3, sessions=Sessions(40))
    run = live.measure(workload, policy, cluster, seed=7)
    simulated = simulate(workload, policy, cluster, seed=7)
    assert np.array_equal(run.worker, simulated.worker)


def test_a_closed_loop_is_replayed_with_its_clients():
    closed = Workload.synthetic(
        30,
        arrivals=ClosedLoop(clients=3, think=Deterministic(0.01)),
        service=Deterministic(0.002),
        seed=1,
    )
    run = live.measure(closed, policies.RoundRobin(), workers=2)
    assert (run.outcome == OK).all()
    assert run.arrival[3:] - run.finished[:-3] == pytest.approx(np.full(27, 0.01), abs=1e-6)


def test_slots_are_kept_for_real():
    cluster = loop(2, slots=1)
    n = 12
    run = live.measure(
        Workload.from_arrays(np.zeros(n), np.full(n, 0.01)), policies.RoundRobin(), cluster
    )
    rows = run.record.handovers
    for worker in (0, 1):
        mine = rows.worker == worker
        # Nothing is handed to a worker that still has a request.
        assert (np.sort(rows.dispatched[mine])[1:] >= np.sort(rows.ended[mine])[:-1]).all()


def test_a_blocking_worker_waits_in_place_and_an_event_loop_does_not():
    n = 6
    waiting = Workload.from_arrays(np.zeros(n), np.full(n, 1e-3), wait=np.full(n, 0.2))
    overlapped = live.measure(waiting, policies.RoundRobin(), workers=1)
    in_turn = live.measure(waiting, policies.RoundRobin(), Cluster(1))
    assert in_turn.finished.max() >= n * 0.2
    assert overlapped.finished.max() < in_turn.finished.max()


@pytest.mark.parametrize("policy", [policies.RoundRobin(), policies.Sticky()])
def test_a_session_that_is_elsewhere_is_fetched_as_in_the_simulator(policy):
    cluster = loop(3, session_miss_s=0.02)
    n = 30
    workload = Workload.from_arrays(np.arange(n) * 0.03, np.full(n, 1e-3), key=np.arange(n) % 4)
    run = live.measure(workload, policy, cluster)
    simulated = simulate(workload, policy, cluster)
    assert np.array_equal(run.worker, simulated.worker)
    assert np.array_equal(run.miss, simulated.miss)
    assert (run.latency[run.miss] >= 0.02).all()
    assert run.summary()["moved"] == simulated.summary()["moved"]


@pytest.mark.parametrize("mode", ["message", "shared", "reuseport"])
def test_other_modes(mode):
    workload = short(60, loop(2), load=0.3)
    run = live.measure(workload, policies.SharedAccept(), workers=2, mode=mode)
    assert (run.outcome == OK).all()
    assert set(run.worker) <= {0, 1}
    assert (run.started >= run.arrival).all()
    assert (run.finished >= run.started).all()


def test_clients_that_give_up():
    workload = Workload.from_arrays([0.0, 0.01], [0.6, 0.001])
    run = live.measure(
        workload, policies.RoundRobin(), workers=1, client=Client(timeout=0.1, retries=1)
    )
    assert run.outcome[0] == TIMEOUT
    assert run.copies == 2


# --- faults ------------------------------------------------------------------------------------


def test_a_crash_is_a_kill_and_loses_nothing():
    cluster = loop(2, faults=Faults(Crash(0, 0.2), Crash(1, 0.5)))
    run = live.measure(short(200, cluster, load=0.6), policies.LeastConnections(), cluster)
    assert (run.outcome == OK).all()
    events = run.record.happenings
    assert (events.what == CRASHED_AT).sum() == 2
    assert (events.what == CAME_UP).sum() == 2
    assert (events.time[events.what == CRASHED_AT] >= [0.2, 0.5]).all()
    assert run.summary()["redispatched"] >= 1


def test_a_hang_lasts_as_long_as_it_says():
    cluster = loop(1, faults=[Hang(0, 0.05, 0.4)])
    workload = Workload.from_arrays([0.0, 0.1, 0.2], [0.1, 0.001, 0.001])
    run = live.measure(workload, policies.RoundRobin(), cluster)
    # Half of the first request's work is done before, the other half after.
    assert run.finished[0] >= 0.5
    assert (run.finished >= 0.45).all()


def test_a_slow_worker_is_slow():
    cluster = loop(2, faults=[SlowDown(1, 0.0, 10.0, 0.25)])
    n = 10
    run = live.measure(
        Workload.from_arrays(np.arange(n) * 0.02, np.full(n, 0.01)), policies.RoundRobin(), cluster
    )
    rows = run.record.handovers
    service = rows.ended - rows.started
    assert (service[rows.worker == 1] >= 0.04 - 1e-6).all()
    assert service[rows.worker == 0].min() < 0.04


def test_a_rolling_reload_replaces_every_worker_and_loses_nothing():
    cluster = loop(2, faults=[Reload(0.1)])
    run = live.measure(short(250, cluster, load=0.4), policies.LeastConnections(), cluster)
    assert (run.outcome == OK).all()
    events = run.record.happenings
    for what in (LEAVING, STOPPED, CAME_UP):
        assert sorted(events.worker[events.what == what]) == [0, 1]


def test_speed_integrates_its_schedule():
    cluster = Cluster(2, speeds=[2.0, 1.0], faults=[SlowDown(0, 1.0, 1.0, 0.5), Hang(0, 3.0, 2.0)])
    speed = Speed.of(cluster, 0)
    assert speed.end_of(0.0, 1.0) == 0.5
    assert speed.end_of(0.5, 1.5) == 1.5  # half a second at 2, then at 1
    assert speed.end_of(2.5, 2.0) == 5.5  # half a second, then it hangs for two
    assert Speed.of(cluster, 0, hangs=False).end_of(2.5, 2.0) == 3.5
    assert Speed.of(cluster, 1).is_plain


# --- what cannot be done -----------------------------------------------------------------------


class Broken(Policy):
    def prepare(self, n_workers: int) -> None:
        self.count = 0

    def choose(self, request, cluster):
        self.count += 1
        return 0 if self.count < 5 else 17


def test_a_policy_that_breaks_its_contract_is_explained():
    with pytest.raises(PolicyError, match=r"17"):
        live.measure(short(20, loop(2)), Broken(), workers=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda w: live.measure(w, policies.LeastWorkLeft(), workers=2),
            r"LeastWorkLeft.* needs the true service times.*simulate it",
        ),
        (lambda w: live.measure(w, policies.Random(), workers=0), r"workers = 0"),
        (lambda w: live.measure(w, policies.Random()), r"either cluster= or workers="),
        (lambda w: live.measure(w, policies.Random, workers=2), r"is not a policy object"),
        (
            lambda w: live.measure(w, policies.Random(), Cluster(2, discipline="ps")),
            r"discipline 'ps' .* cannot be measured.*give discipline='event_loop'",
        ),
        (
            lambda w: live.measure(w, policies.Random(), Cluster(2, concurrency=3)),
            r"concurrency = \(3, 3\) cannot be measured",
        ),
        (
            lambda w: live.measure(w, policies.Random(), loop(2, info_delay_s=0.1)),
            r"info_delay_s = 0.1 cannot be measured",
        ),
        (
            lambda w: live.measure(w, policies.Random(), loop(3, faults=[Reload(0.0, (1,))])),
            r"a real reload takes all workers",
        ),
        (lambda w: live.measure(w, policies.Random(), workers=2, busy="nap"), r"busy = 'nap'"),
        (
            lambda w: live.measure(w, policies.Random(), workers=2, key_from="url"),
            r"key_from = 'url'",
        ),
        (
            lambda w: live.measure(w, policies.Random(), workers=2, app="no.such:app"),
            r"No module named 'no'",
        ),
    ],
)
def test_what_cannot_be_measured(call: Callable, message):
    with pytest.raises((InputError, RuntimeError), match=message):
        call(Workload.from_arrays([0.0], [0.001]))


# --- from a notebook ---------------------------------------------------------------------------

CELLS = (
    """
import lbsim, live

class Mine(lbsim.Policy):
    "Always the last one that is up."
    def choose(self, request, cluster):
        return cluster.up[-1]
""",
    """
cluster = lbsim.Cluster(3, discipline="event_loop")
workload = lbsim.Workload.synthetic(40, service=0.002, load=0.3, cluster=cluster, seed=1)
run = live.measure(workload, Mine(), cluster)
print(run.source, set(run.worker.tolist()), int((run.outcome == 0).sum()))
""",
)


def test_from_a_running_kernel_with_a_class_defined_in_a_cell():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    assert notebook.cells[1].outputs[0]["text"] == "measured {2} 40\n"


def test_what_a_slow_policy_has_decided_does_not_wait_for_its_next_choices():
    run = live.measure(Workload.from_arrays(np.zeros(20), np.full(20, 1e-3)), Ponderer(), loop(2))
    handed, decided = run.stamps["handed"], run.stamps["decided"]
    assert (handed < decided.max()).sum() > 10


def answered_at_215_ms() -> Replay:
    """What the client of one request saw."""
    due, answered, nothing = np.array([0.200]), np.array([0.215]), np.full(1, np.nan)
    return Replay(
        0.0, due, answered, np.array([OK]), due, due, answered, np.array([CLIENT_ANSWERED]),
        np.array([200]), np.array([1]), nothing, nothing, nothing, nothing, Lateness.of(due, due),
        True,
    )  # fmt: skip


def test_a_handover_that_never_left_comes_before_the_one_that_was_answered():
    """The worker died in the turn of the loop in which it was chosen."""
    stamps = np.zeros(2, TRACE)
    stamps["attempt"] = [2, 1]
    stamps["worker"] = [1, 0]
    stamps["ending"] = [ANSWERED, CRASHED]
    stamps["accept"] = stamps["read"] = 0.201
    stamps["decided"] = [0.204, 0.202]
    stamps["handed"] = [0.205, np.nan]
    stamps["accepted"] = [0.206, np.nan]
    stamps["started"] = [0.207, np.nan]
    stamps["finished"] = [0.214, np.nan]
    stamps["ended"] = [0.215, 0.203]
    record, rows = record_of(answered_at_215_ms(), stamps, np.zeros(0, HAPPENED), 1)
    assert rows["worker"].tolist() == [0, 1]
    assert record.answer.tolist() == [1]
    assert (np.diff(record.handovers.ended) > 0).all()


def test_an_answer_counts_though_its_worker_died_before_it_could_report():
    stamps = np.zeros(1, TRACE)
    stamps["ending"] = CRASHED
    for name in ("accepted", "started", "finished"):
        stamps[name] = np.nan
    stamps["accept"] = stamps["read"] = stamps["decided"] = stamps["handed"] = 0.201
    stamps["ended"] = 0.219
    record, _ = record_of(answered_at_215_ms(), stamps, np.zeros(0, HAPPENED), 1)
    assert record.answer.tolist() == [0]
    assert record.handovers.ending.tolist() == [ANSWERED]
    assert record.handovers.ended.tolist() == [0.215]


def test_who_is_killed_while_measuring_leaves_nobody_behind():
    code = (
        "import live, numpy as np\n"
        "from lbsim import Workload, policies\n"
        "work = Workload.from_arrays(np.arange(600) * 0.1, np.full(600, 0.01))\n"
        "live.measure(work, policies.RoundRobin(), workers=2,"
        " progress=lambda done: print(done, flush=True))\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    ) as measuring:
        assert measuring.stdout is not None
        measuring.stdout.readline()  # requests are being sent
        below = descendants(measuring.pid)
        assert len(below) >= 3  # a master and its workers at least
        measuring.kill()
    eventually(lambda: not any(map(is_alive, below)), "nobody is left")


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    return [found for child in children(pid) for found in (child, *descendants(child))]

"""Measuring what the machine costs: that it is done, not what comes out."""

import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import children, eventually, is_alive
from scipy.stats import kstest

from lbsim import Cluster
from lbsim.bunches import ALONE, uniforms
from lbsim.calibration import Calibration
from lbsim.costs import REGIMES
from lbsim.errors import InputError
from lbsim.spread import mean
from lbsim.theft import SLICE_S
from live.calibrate import WORKERS, calibrate, calibrate_node
from live.cli import main
from live.experiments.busy import Busy, bunched_of, makings_of, overtaking_of
from live.experiments.common import (
    ATTEMPTS,
    accepted_by_worker,
    connected,
    decided_unseen,
    gaps_of,
    spread_of,
    undisturbed,
    without,
)
from live.experiments.herd import herd
from live.experiments.sparse import levels_of
from live.machine import Disturbance

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="live needs Linux")


def test_the_command_writes_costs_that_make_sense(tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    command = [sys.executable, "-m", "live", "calibrate", "--seconds", "2", "--out", "c.json"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "accept_s" in done.stdout
    costs = Calibration.load(tmp_path / "c.json")
    assert 0 < costs.accept_s < 0.1
    assert 0 < costs.accept_s + costs.dispatch_s < 0.1
    # How a worker's costs divide is uncertain after so short a time; that it has some is not.
    assert costs.worker_accept_s >= 0
    assert costs.worker_turn_s >= 0
    taking = costs.worker_accept_s + costs.worker_turn_s
    overruns = [spread for of_rate in costs.overrun.values() for spread in of_rate.values()]
    assert len(overruns) == len(REGIMES) * len(WORKERS)
    assert len(costs.making) == len(costs.before) + len(WORKERS)
    assert set(costs.bunched) == set(REGIMES)
    assert all(0 < taking + np.median(spread) < 0.1 for spread in overruns)
    assert all(spread[0] >= 0 for spread in costs.before.values())
    assert all(spread[0] > 0 for spread in costs.rest.values())
    assert all(spread[-1] > 0 for spread in costs.waking.values())
    assert costs.herd_s == 0  # nobody wakes in vain: the master hands over
    assert len(costs.levels) > 1
    assert 0 < costs.restart_s < 30
    assert costs.machine["cores"] >= 1
    assert Cluster.calibrated(tmp_path / "c.json", 4).overhead_s > 0


def test_a_short_experiment_has_the_rate_that_it_is_meant_to_have():
    one, other = (gaps_of(50.0, 400, np.random.default_rng(seed)) for seed in (1, 2))
    assert one.sum() == pytest.approx(400 / 50, rel=5e-3)
    assert kstest(one, "expon", args=(0, 1 / 50)).statistic < 2 / 400
    assert np.array_equal(np.sort(one), np.sort(other))
    assert not np.array_equal(one, other)


def test_a_worker_s_costs_are_told_apart_and_none_is_negative():
    rng = np.random.default_rng(1)
    found = rng.integers(0, 4, 2000)
    noise = rng.normal(0.0, 20e-6, 2000)
    cost = 100e-6 + 250e-6 * (found > 0) + 100e-6 * found + noise
    busy = Busy(cost, found, rate=360.0, making_s=1e-4)
    each, turn = busy.taking()
    assert each == pytest.approx(100e-6, rel=0.1)
    assert turn == pytest.approx(250e-6, rel=0.1)
    assert busy.taking(most_s=1e-3) == (each, turn)
    assert sum(busy.taking(most_s=1e-4)) == pytest.approx(1e-4)
    assert busy.taking(most_s=0.0) == (0.0, 0.0)
    # What seems to get cheaper the more there is to take costs nothing for each; the turn does.
    odd = 100e-6 + 400e-6 * (found > 0) - 30e-6 * found + noise
    each, turn = Busy(odd, found, rate=360.0, making_s=1e-4).taking()
    assert each == 0
    assert turn == pytest.approx(340e-6, rel=0.1)


def test_how_sure_a_mean_is_follows_from_its_batches():
    rng = np.random.default_rng(1)

    def unsure(cost):
        return Busy(cost, np.zeros(len(cost), int), rate=360.0, making_s=1e-4).unsure(2e-3)

    independent = [unsure(rng.normal(1e-3, 4e-4, 400)) for _ in range(200)]
    assert np.mean(independent) == pytest.approx(4e-4 / 20 / 2e-3, rel=0.1)
    in_bunches = [unsure(np.repeat(rng.normal(1e-3, 4e-4, 40), 10)) for _ in range(200)]
    assert np.mean(in_bunches) == pytest.approx(4e-4 / math.sqrt(40) / 2e-3, rel=0.1)


def test_neighbours_are_seen_to_have_costs_in_common():
    rng = np.random.default_rng(1)

    def busy(shares):
        cost = 1e-3 * (1.0 + uniforms(shares, rng, 4000))
        return Busy(cost, np.ones(4000, int), rate=360.0, making_s=1e-4)

    shares = (0.3, 0.1)
    found = bunched_of([busy(shares) for _ in range(20)])
    assert found == pytest.approx(shares, abs=0.03)
    assert bunched_of([busy(shares), busy(ALONE)])[0] == pytest.approx(0.15, abs=0.05)


def test_sockets_are_timed_at_the_rates_of_busy_workers():
    one = Busy(np.zeros(0), np.zeros(0, int), rate=360.0, making_s=1e-4)
    several = [one, replace(one, making_s=3e-4), replace(one, rate=700.0)]
    assert makings_of(several) == pytest.approx({360.0: 2e-4, 700.0: 1e-4})


def test_of_too_few_costs_nothing_is_known():
    few = Busy(np.array([1e-3, 3e-3, 1e-3]), np.zeros(3, int), rate=360.0, making_s=1e-4)
    assert few.unsure(1e-3) == 0
    more = replace(few, cost=np.array([1e-3, 1e-3, 3e-3, 3e-3]))
    assert more.unsure(1e-3) == pytest.approx(1.0)


def test_all_of_a_herd_look_and_nobody_stays():
    before = children(os.getpid())
    assert herd(3) > 0
    assert herd(1) == 0
    assert not children(os.getpid()) - before


def test_a_herd_dies_with_who_made_it():
    code = "from live.experiments.herd import herd\nwhile True: herd(3)"
    with subprocess.Popen([sys.executable, "-c", code]) as made:
        eventually(lambda: len(children(made.pid)) == 3, "three look")
        made_by_it = children(made.pid)
        made.kill()
    eventually(lambda: not any(map(is_alive, made_by_it)), "nobody looks any more")


def test_of_an_unseen_decision_half_the_time_to_the_worker_is_its_waking():
    found = SimpleNamespace(
        stamps=None,
        replay=SimpleNamespace(
            start=5.0, made=np.array([6.0, 7.0]), accepted=np.array([6.5, 7.25])
        ),
    )
    decided = decided_unseen(found, 0.125)
    assert (decided - connected(found)).tolist() == [0.3125, 0.1875]
    assert (accepted_by_worker(found) - decided).tolist() == [0.1875, 0.0625]


def test_overtaking_is_told_only_where_there_was_a_race():
    arrival = np.array([0.0, 0.1, 0.2, 0.3, 9.0])
    # 1 was accepted before 0 was handled: a race, and it came in time. 2 was accepted while 0's
    # handler ran before 1's: no race. 3 came too late for 2, whose handler ran first. 4 had not
    # even arrived when 3 was accepted.
    accepted = np.array([1.0, 1.1, 3.6, 4.5, 9.1])
    started = np.array([1.2, 2.6, 3.7, 4.6, 9.2])
    assert overtaking_of(arrival, accepted, started).tolist() == [True, False]
    mixed = np.array([3, 0, 4, 2, 1])
    again = overtaking_of(arrival[mixed], accepted[mixed], started[mixed])
    assert again.tolist() == [True, False]
    unknown = np.full(5, np.nan)
    assert len(overtaking_of(arrival, unknown, started)) == 0


def test_what_was_stolen_is_taken_off_the_largest_times():
    rng = np.random.default_rng(1)
    honest = rng.gamma(9.0, 1e-4, 5000)
    stolen = np.where(rng.random(5000) < 0.02, rng.exponential(3e-3, 5000), 0.0)
    seen = np.append(honest + stolen, np.nan)
    theft = stolen / SLICE_S
    cleared = without(seen, theft)
    assert np.nanmean(cleared) == pytest.approx(honest.mean(), rel=1e-3)
    assert np.quantile(cleared[:-1], 0.9) == pytest.approx(np.quantile(honest, 0.9), rel=0.05)
    assert np.isnan(cleared[-1])
    assert np.array_equal(without(seen, theft, wakes=2), without(seen, 2 * theft), equal_nan=True)
    assert np.array_equal(without(seen, 0 * theft), seen, equal_nan=True)
    # More than can have been: the larger half is the median.
    assert np.nanmax(without(seen, theft + 1.0 / SLICE_S)) == pytest.approx(np.nanmedian(seen))
    assert len(without(np.zeros(0), theft)) == 0


def test_a_spread_keeps_the_mean_of_what_was_measured():
    values = np.append(np.random.default_rng(9).pareto(2.5, 700) * 1e-3, np.nan)
    spread = spread_of(values)
    assert mean(spread) == pytest.approx(np.nanmean(values))
    assert spread[50] == pytest.approx(np.nanmedian(values))
    assert spread == tuple(sorted(spread))
    assert spread_of(np.full(3, 2e-3)) == pytest.approx((2e-3,) * len(spread))
    with pytest.raises(InputError, match="no request found a worker"):
        spread_of(np.full(3, np.nan))


def test_levels_follow_the_machine():
    rng = np.random.default_rng(1)
    turn = np.repeat(np.arange(4), 500)
    everybody = [np.ones(2000, bool)]
    same = levels_of(rng.lognormal(0.0, 0.5, 2000), everybody, turn)
    assert same == pytest.approx((1.0,) * 4, abs=0.03)
    speeds = np.array([0.8, 0.9, 1.1, 1.2])
    differ = levels_of(rng.lognormal(0.0, 0.5, 2000) * speeds[turn], everybody, turn)
    assert differ == pytest.approx(speeds, abs=0.08)
    # Of a group with a narrow spread one sees more, so it has more to say.
    halves = np.arange(2000) % 2 == 0
    noisy = np.where(halves, rng.lognormal(0.0, 0.05, 2000), rng.lognormal(0.0, 1.0, 2000))
    both = levels_of(noisy * speeds[turn], [halves, ~halves], turn)
    assert both == pytest.approx(speeds, abs=0.01)


def test_levels_of_few_requests_promise_no_more_than_they_know():
    rng = np.random.default_rng(2)
    turn = np.repeat(np.arange(4), 10)
    everybody = [np.ones(40, bool)]
    spread = [
        np.std(levels_of(rng.lognormal(0.0, 0.5, 40), everybody, turn), ddof=1) for _ in range(500)
    ]
    # The standard error of a median of ten, of logarithms with this spread.
    chance = 1.2533 * 0.5 / np.sqrt(10)
    assert 0.8 * chance < np.sqrt(np.mean(np.square(spread))) < 1.25 * chance


QUIET, STOLEN, WAITED = (
    Disturbance(steal, 0.2, waiting) for steal, waiting in ((0.0, 0.1), (0.1, 0.1), (0.0, 0.9))
)


@pytest.mark.parametrize(
    ("seen", "made"),
    [([QUIET], 1), ([STOLEN, QUIET], 2), ([WAITED, STOLEN, QUIET], 3), ([WAITED] * 9, ATTEMPTS)],
)
def test_an_experiment_that_was_disturbed_is_repeated(seen, made):
    runs = iter(SimpleNamespace(number=i, disturbance=each) for i, each in enumerate(seen))
    assert undisturbed(lambda _: next(runs))(None).number == made - 1


@pytest.mark.parametrize("allowed", [-1.0, 2.0])
def test_a_calibration_says_whether_it_ever_was_quiet(monkeypatch, allowed):
    monkeypatch.setattr("live.machine.STEAL_LIMIT", allowed)
    monkeypatch.setattr("live.machine.WAITING_LIMIT", 2.0)
    monkeypatch.setattr("live.machine.OTHERS_LIMIT", 2.0)
    monkeypatch.setattr("live.experiments.common.ATTEMPTS", 1)
    costs = calibrate(0.5, "shared")
    assert costs.is_quiet == (allowed > 0)
    assert ("disturbed" in costs.describe()) == (allowed < 0)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_the_command_calibrates_node_with_as_many_workers_as_asked_for(tmp_path, capsys):
    out = tmp_path / "node.json"
    told = ["--node", "none", "--workers", "3", "--seconds", "1", "--out", str(out)]
    assert main(["calibrate", *told]) == 0
    assert "worker_accept_s" in capsys.readouterr().out
    costs = Calibration.load(out)
    assert all(len(of_rate) == 1 for of_rate in costs.overrun.values())
    assert costs.dispatch_s == 0  # no primary has a part in SCHED_NONE
    assert costs.herd_s > 0


@pytest.mark.parametrize(
    ("told", "said"),
    [(["--node", "fifo"], "scheduling = 'fifo'"), (["--workers", "0"], "--workers = 0")],
)
def test_the_command_says_what_it_cannot_calibrate(told, said, capsys):
    assert main(["calibrate", *told]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_real_node_is_calibrated_by_what_its_clients_see():
    costs = calibrate_node("rr", seconds=1.0)
    # A handler that sleeps to a deadline is never early, and is not the first thing that it does.
    taken = costs.worker_accept_s
    assert taken > 0
    assert all(of[0] + taken > 0 for of_rate in costs.overrun.values() for of in of_rate.values())
    assert all(spread[0] > 0 for spread in costs.rest.values())

"""The lab: pairs, studies, the page, and the verdict."""

import os
import re
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from lbsim import (
    Cluster,
    Crash,
    Exponential,
    InputError,
    Reload,
    SlowDown,
    Workload,
    cli,
    cli_lab,
    policies,
    simulate,
)
from lbsim.calibration import Calibration
from lbsim.costs import REGIMES
from lbsim.prediction import Prediction
from live.client import Lateness, Replay
from live.lab import BANDS, Pair, Study, Word, requests_for, study, validate
from live.lab.page import headline
from live.lab.pair import quantiles_of
from live.machine import Disturbance, facts
from live.measured import MeasuredRun

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="live needs Linux")

COSTS = Calibration(
    20e-6, 20e-6, 0.0, 20e-6, 30e-6, {regime: {100.0: (1e-4, 3e-4)} for regime in REGIMES},
    {100.0: (1e-4, 4e-4)}, {100.0: (3e-4, 5e-4)}, 0.2, machine={"cores": 2},
)  # fmt: skip
QUIET = Disturbance(0.0, 0.1, 0.01)
CLUSTER = Cluster(4, discipline="event_loop")


def workload(n: int = 800) -> Workload:
    return Workload.synthetic(n, service=Exponential(0.01), load=0.7, cluster=CLUSTER, seed=4)


def as_if_measured(policy, *, factor: float = 1.0, late: float = 1e-4) -> MeasuredRun:
    """A simulated run with other jitter, in the clothes of a measured one."""
    work = workload()
    seen, costly, outside = COSTS.perturb(work, 99, CLUSTER)
    run = simulate(seen, policy, costly, seed=1)
    latency = (run.latency + outside) * factor
    n = len(work)
    record = run.record._replace(arrival=work.arrival, finished=work.arrival + latency)
    nothing = np.full(n, np.nan)
    replay = Replay(
        0.0, work.arrival, record.finished, record.outcome.astype(np.int64), work.arrival + late,
        work.arrival + late + 1e-4, record.finished, np.zeros(n, np.int64), np.full(n, 200),
        np.zeros(n, np.int64), nothing, nothing, nothing, nothing,
        Lateness.of(work.arrival, work.arrival + late), True,
    )  # fmt: skip
    return MeasuredRun(
        work, policy, CLUSTER, run.client, 1, "measured", 1, record, replay, None, QUIET,
        np.zeros(n), facts(),
    )  # fmt: skip


@cache
def pair(name: str = "RoundRobin", replays: int = 20, **options) -> Pair:
    policy = policies.parse(name)
    return Pair(
        name,
        simulate(workload(), policy, CLUSTER, seed=1),
        COSTS.predict(workload(), policy, CLUSTER, replays=replays, seed=1),
        as_if_measured(policy, **options),
    )


def as_study(*pairs: Pair, disturbance: Disturbance = QUIET) -> Study:
    return Study(workload(), CLUSTER, COSTS, list(pairs), 1, disturbance, True)


# --- pairs -------------------------------------------------------------------------------------


def test_a_run_of_the_simulator_itself_is_inside_everywhere():
    for name in ("RoundRobin", "LeastConnections"):
        found = pair(name)
        table = found.quantiles()
        assert list(table["quantile"]) == ["p50", "p90", "p99"]
        assert table["ratio"].to_numpy() == pytest.approx(np.ones(3), abs=0.2)
        assert (table["ratio_low"] <= table["ratio_high"]).all()
    assert pair("RoundRobin").failures() == []
    assert pair("RoundRobin").distances()["same_worker"] == 1.0


def test_a_run_that_is_too_slow_is_found_out():
    blind = pair("RoundRobin", factor=1.2)
    assert (blind.quantiles()["ratio"] > 1.1).all()
    assert any("p99 measured" in line and "± 5%" in line for line in blind.failures())
    assert any("error of single requests" in line for line in blind.failures())
    aware = pair("LeastConnections", factor=1.5)
    assert not aware.quantiles()["inside"].any()
    assert any("of the replays are in" in line for line in aware.failures())


def test_costs_bring_the_simulation_closer():
    table = pair("RoundRobin").quantiles()
    assert (abs(np.log(table["ratio"])) < abs(np.log(table["bare_ratio"]))).all()
    far = pair("RoundRobin").distances()
    assert far["wasserstein"] < far["bare_wasserstein"]


def test_a_worker_that_differs_is_a_failure_of_a_blind_policy():
    found = pair("RoundRobin")
    worker = found.prediction.worker.copy()
    worker[:, 7] = (worker[:, 7] + 1) % 4
    other = replace(found, prediction=Prediction(found.prediction.latency, worker))
    assert any("went to another worker than simulated" in line for line in other.failures())


def test_only_quantiles_with_enough_requests_beyond_are_told():
    assert list(quantiles_of(50)) == ["p50", "p90"]
    assert list(quantiles_of(5000)) == list(BANDS)


# --- studies -----------------------------------------------------------------------------------


def test_rankings_disagree_only_where_intervals_are_apart():
    good, bad = pair("CentralQueue"), pair("RoundRobin")
    assert as_study(good, bad).disagreements() == []
    # Give each the other's measurement: a clear case of the wrong order.
    crossed = as_study(replace(good, measured=bad.measured), replace(bad, measured=good.measured))
    assert crossed.disagreements() == [("RoundRobin", "CentralQueue")]
    assert any("other way round" in line for line in crossed.failures())


def test_noise_is_named():
    assert as_study(pair()).noise == []
    assert "NOT VALID" in as_study(pair(late=0.02)).noise[0]
    simulating = Disturbance(0.0, 0.9, 0.5)  # which disturbs nobody
    assert as_study(pair(), disturbance=simulating).noise == []
    measured = replace(pair().measured, disturbance=Disturbance(0.3, 0.9, 0.1))
    stolen = as_study(replace(pair(), measured=measured))
    assert "30.0% of processor time stolen" in stolen.noise[0]
    disturbed = replace(as_study(pair()), calibration=replace(COSTS, is_quiet=False))
    assert "while its costs were measured" in disturbed.noise[0]


def test_the_headline_names_who_is_outside():
    right, wrong = pair("LeastConnections", replays=100), pair("RoundRobin", factor=1.2)
    assert headline(as_study(right)).startswith("3 of 3 measured quantiles lie where")
    assert "; the farthest is the p" in headline(as_study(right))
    both = headline(as_study(right, wrong))
    assert both.startswith("3 of 6 measured quantiles lie where the simulator puts them; of the")
    assert re.search(r"of the others the farthest is the p\d+ of RoundRobin, measured", both)


def test_a_study_is_saved_whole(tmp_path):
    place = as_study(pair("RoundRobin"), pair("LeastConnections")).save(tmp_path / "lab")
    page = (place / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "http://" not in page.replace("http://127.0.0.1", "")
    assert "rank the policies by p99 alike" in page
    rows = pd.read_parquet(place / "requests.parquet")
    assert len(rows) == 2 * 800
    assert {"latency", "simulated", "policy", "server"} <= set(rows.columns)
    assert set(pd.read_csv(place / "quantiles.csv")["policy"]) == {"RoundRobin", "LeastConnections"}
    assert Calibration.load(place / "calibration.json") == COSTS
    as_study(pair()).save(place)  # an earlier study is replaced
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(InputError, match="is not a result of this command"):
        as_study(pair()).save(tmp_path / "mine")


def test_how_much_fits_into_a_budget():
    assert requests_for(120.0, 300.0, 4, 0) > requests_for(90.0, 300.0, 4, 1.5) > 1000
    with pytest.raises(InputError, match="give a larger --budget or fewer policies"):
        requests_for(10.0, 100.0, 6, 1)


# --- the verdict -------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("live.lab.verdict.wait_for_quiet", lambda _: True)


def verdict_of(*studies):
    left = iter(studies)
    return validate(lambda: next(left))


def test_a_study_that_is_right_passes_at_once():
    assert verdict_of(as_study(pair())).word is Word.PASSED


def test_only_what_fails_twice_has_failed():
    good, bad = as_study(pair()), as_study(pair(factor=1.2))
    assert verdict_of(bad, good).word is Word.PASSED
    failed = verdict_of(bad, bad)
    assert failed.word is Word.FAILED
    assert any("RoundRobin: p99" in line for line in failed.reasons)


def test_a_noisy_machine_neither_passes_nor_fails():
    noisy = as_study(pair(late=0.05))
    assert verdict_of(noisy, noisy, noisy).word is Word.TOO_NOISY
    assert verdict_of(noisy, noisy, as_study(pair())).word is Word.PASSED
    assert [word.value for word in (Word.PASSED, Word.FAILED, Word.TOO_NOISY)] == [0, 1, 3]


# --- the command -------------------------------------------------------------------------------


def test_faults_on_the_command_line():
    read = cli_lab._fault
    assert read("crash:worker=1,at=2") == Crash(1, 2.0)
    assert read("slow:worker=0,at=1,duration=2,factor=0.5") == SlowDown(0, 1.0, 2.0, 0.5)
    assert read("reload:at=3") == Reload(3.0)
    for text, message in (
        ("boom:at=1", "'boom' is not one of crash, hang, slow, reload"),
        ("crash:worker=1,at=soon", "'at=soon' is not NAME=NUMBER"),
        ("crash:at=1", "crash takes worker, at"),
    ):
        with pytest.raises(InputError, match=message):
            read(text)


@linux
def test_the_command_measures_and_writes_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    COSTS.save(tmp_path / "costs.json")
    status = cli.main(
        [
            "lab", "--workers", "2", "--requests", "200", "--replays", "5", "--quiet",
            "--calibration", "costs.json", "--policy", "RoundRobin", "--policy", "CentralQueue",
            "--fault", "crash:worker=0,at=0.3", "--no-node",
        ]
    )  # fmt: skip
    assert status == 0
    out = capsys.readouterr().out
    assert "RoundRobin" in out
    assert "Report: lbsim-lab/report.html" in out
    page = (tmp_path / "lbsim-lab" / "report.html").read_text()
    assert "What the faults did" in page
    losses = pd.read_csv(tmp_path / "lbsim-lab" / "losses.csv")
    assert (losses[losses["source"] == "measured"]["answered"] == 1.0).all()


@linux
def test_ctrl_c_keeps_what_is_done(tmp_path):
    class Impatient:
        def stage(self, text: str) -> None:
            if text.startswith("LeastConnections: measuring"):
                raise KeyboardInterrupt

        def progress(self, done: int, total: int) -> None:
            pass

    names = ("RoundRobin", "LeastConnections")
    found = study(
        workload().head(100), {n: policies.parse(n) for n in names}, CLUSTER,
        calibration=COSTS, replays=3, teller=Impatient(),
    )  # fmt: skip
    assert not found.is_complete
    assert [pair.name for pair in found.pairs] == ["RoundRobin"]
    page = (found.save(tmp_path / "lab") / "report.html").read_text()
    assert "The study was stopped early" in page


@linux
@pytest.mark.slow
def test_this_machine_is_predicted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status = cli.main(
        [
            "validate", "--requests", "800", "--policy", "RoundRobin", "--policy", "CentralQueue",
            "--attempts", "2", "--patience", "20", "--quiet",
        ]
    )  # fmt: skip
    out = capsys.readouterr().out
    if status == Word.TOO_NOISY.value:
        pytest.skip(f"the machine is too noisy: {out.splitlines()[-1]}")
    assert status == 0, out


@linux
@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        ("LeastWorkLeft", "needs the true service times"),
        ("NodeSchedNone", "is what another server's workers do"),
    ],
)
def test_what_no_master_can_do_is_not_measured(policy, rule, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    COSTS.save(tmp_path / "costs.json")
    command = [
        "lab",
        "--policy",
        policy,
        "--calibration",
        "costs.json",
        "--requests",
        "99",
    ]
    assert cli.main([*command, "--quiet"]) == 2
    assert f"{policy}() {rule}" in capsys.readouterr().err
    assert not os.path.exists("lbsim-lab")


def test_a_calibration_that_is_not_there(capsys):
    assert cli.main(["validate", "--calibration", "none.json", "--requests", "100"]) == 2
    assert "none.json does not exist" in capsys.readouterr().err

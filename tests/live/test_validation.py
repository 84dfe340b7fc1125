"""The validation matrix as a program: what it plans and how it counts."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import validation
import validation_plan as plan
from validation_summary import summary

from lbsim.calibration import Calibration
from lbsim.costs import REGIMES

ROOT = Path(__file__).resolve().parents[2]


def row(policy, *, ratio=1.0, inside=True, seed=None, valid=True, load=0.3, p99=0.1):
    seed = plan.SEED if seed is None else seed
    job = plan.Job(4, load, "pareto", policy, seed)
    quantile = {
        "measured": p99 * ratio, "simulated": p99, "low": 0.95 * p99, "high": 1.05 * p99,
        "inside": inside, "ratio": ratio, "ratio_low": ratio - 0.01, "ratio_high": ratio + 0.01,
        "bare_ratio": 1.3,
    }  # fmt: skip
    return {
        "name": job.name, **vars(job), "valid": valid,
        "revision": plan.REVISION, "blind": policy in plan.BLIND,
        "quantiles": dict.fromkeys(("p50", "p90", "p99", "p99.9"), quantile),
        "request_error": 2e-4, "same_worker": 1.0, "ks": 0.01, "bare_ks": 0.1,
    }  # fmt: skip


def test_the_matrix_is_what_it_says():
    jobs = plan.jobs()
    matrix = [job for job in jobs if job.seed == plan.SEED]
    assert len({(job.workers, job.load, job.law) for job in matrix}) == 24
    assert len({job.name for job in jobs}) == len(jobs)
    assert jobs == plan.jobs()
    laws = [law.mean for law in plan.LAWS.values()]
    assert laws == pytest.approx([0.010] * 3)
    held_out = [job for job in jobs if job.seed in plan.HELD_OUT]
    assert not {job.workers for job in held_out} & set(plan.WORKERS)
    assert not {job.load for job in held_out} & set(plan.LOADS)
    assert plan.OTHER_LAWS["lognormal"].mean == pytest.approx(0.010)
    assert all(len(job.workload()) == plan.REQUESTS for job in held_out[::9])
    same = [job for job in jobs if job.policy in plan.AWARE and job.seed == 3]
    assert len(same) == len(plan.AWARE)


def test_the_summary_counts_what_is_valid_and_reports_the_rest():
    rows = [
        row("RoundRobin", ratio=1.02),
        row("RoundRobin", ratio=1.20, load=0.5),
        row("CentralQueue", inside=False, p99=0.05),
        row("PowerOfD:d=2", ratio=9.0, valid=False),
        row("Random", ratio=9.0) | {"revision": -1},
        *[row("CentralQueue", ratio=1.0 + 0.002 * s, seed=s) for s in range(1, 11)],
    ]
    text = summary(rows)
    assert "14 runs of" in text
    assert "1 while the machine was noisy, 1 with calibrations that were mended since" in text
    assert "order of arrivals: 2 runs" in text
    assert "p99    within ± 5% in  50.0% of the runs" in text
    assert "p99    inside the 95 % prediction interval in   0.0%" in text
    assert "CentralQueue, 10 seeds pooled: p50 1.011" in text
    assert "may exceed" not in text
    assert "9.000" not in text
    assert "Of 1 pairs of policies (in 2 cells)" in text
    assert "overlap, 0 are ranked the other way round" in text


def test_a_repeated_run_counts_once():
    quiet = [row("RoundRobin", ratio=1.3), row("RoundRobin", ratio=1.2)]
    text = summary([*quiet, row("RoundRobin", ratio=1.5, valid=False)])
    assert "1 runs of" in text
    assert "order of arrivals: 1 runs" in text
    assert "ratio 1.2000 (1.200 to 1.200)" in text
    assert "order of arrivals: 0 runs" in summary([row("RoundRobin", valid=False)])


def test_what_was_held_out_is_told_apart():
    first, second = plan.HELD_OUT
    inside = row("LeastConnections", seed=first)
    outside = row("NodeCluster", seed=first, inside=False)
    far = row("RoundRobin", seed=first, ratio=1.2)
    other = row("shared", seed=second)
    text = summary([inside, outside, far, other, row("RoundRobin")])
    assert "order of arrivals: 1 runs" in text
    assert "Choices that look at load: 0 runs" in text
    assert f"Held out, seed {first} (other workers, loads and law): 3 runs in 1 cells" in text
    assert f"Held out, seed {second} (other workers, loads and law): 1 runs in 1 cells" in text
    assert "One listening socket, by SharedAccept, 1 runs, inside: p50 1 of 1" in text
    assert "Choices that look at load, 2 runs, inside: p50 1 of 2" in text
    assert "Only the order of arrivals, 1 runs, within the bands: p50 0 of 1" in text


def test_node_is_held_against_its_own_spread_too():
    def node(ratio, **more):
        return row("Node", ratio=ratio, inside=False, **more)

    # What lies between two runs of the same requests is as good as a run; noisy ones tell nothing.
    between = [node(1.1) | {"revision": -1}, node(0.9)]
    beyond = [node(1.3, load=0.5), node(1.1, load=0.5), node(0.9, load=0.5, valid=False)]
    once = [node(1.2, load=0.7)]
    text = summary([*between, *beyond[::-1], *once])
    assert "SCHED_RR, by NodeCluster: 3 runs" in text
    assert "2 of these requests were served 2 to 2 times" in text
    assert "p50 50.0%, p90 50.0%, p99 50.0%, p99.9 50.0%" in text
    assert "times" not in summary([row("shared"), row("shared")])


def test_blind_runs_are_held_against_themselves_too():
    twice = [row("RoundRobin", ratio=ratio) for ratio in (1.5, 1.0, 1.04)]  # the last two count
    noisy = row("Random", ratio=2.0, valid=False)
    apart = [row("Random", ratio=1.0), noisy, row("Random", ratio=1.07)]
    text = summary([*twice, *apart, row("ConsistentHash")])
    assert "order of arrivals: 3 runs" in text
    assert "2 of these requests were served twice" in text
    assert "p50 50.0%, p90 50.0%, p99 50.0%, p99.9 100.0%" in text
    assert "twice" not in summary([row("Random")])


def test_a_bias_is_told():
    rows = [row("NodeCluster", ratio=1.06 + 0.001 * s, seed=s) for s in range(1, 11)]
    assert "(may exceed 5 %)" in summary(rows)


def test_runs_are_predicted_with_the_nearest_quiet_calibrations_that_are_alike():
    way = {100.0: (1e-3, 2e-3)}
    costs = Calibration(
        *[1e-5] * 5, dict.fromkeys(REGIMES, way), way, way, 0.1, machine={"cores": 2}
    )
    odd = {
        "disturbed": replace(costs, is_quiet=False),
        "elsewhere": replace(costs, machine={"cores": 64}),
        "at other rates": replace(costs, overrun={name: {7.0: (0.0, 1.0)} for name in REGIMES}),
    }
    many = validation.NEAREST + 4
    known = [validation.Kept(f"Node {i}", costs) for i in range(many)]
    known[3:3] = [validation.Kept("Node 3.5", each) for each in odd.values()]
    known.append(validation.Kept("pass 99", costs))

    def found(side, when):
        return [each.name for each in validation.nearest(known, side, when)]

    assert found("Node", 1e9) == [f"Node {many - 1 - i}" for i in range(validation.NEAREST)]
    assert set(found("Node", 2.9)) == {f"Node {i}" for i in range(validation.NEAREST)}
    known.remove(known[3])  # the disturbed one; the next belongs to a run on another machine
    assert found("Node", 3.4) == ["Node 3.5"]
    assert found("pass", 0.0) == ["pass 99"]
    assert found("shared", 0.0) == []


def test_the_readme_quotes_what_is_known():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    quotes = re.findall(
        r"--summary --out (\S+)\n\n```text\n(.*?)^```", readme, re.MULTILINE | re.DOTALL
    )
    assert [where for where, _ in quotes] == ["data/validation", "data/validation-second"]
    for where, quoted in quotes:
        said = summary(validation.read(ROOT / where)).splitlines()
        assert len(quoted.splitlines()) > 5
        assert [line for line in quoted.splitlines() if line not in said] == []

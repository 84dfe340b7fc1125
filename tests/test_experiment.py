import subprocess
import sys
import textwrap

import numpy as np
import pytest

import lbsim
from lbsim import Cluster, Workload
from lbsim.policies import CentralQueue, LeastConnections, Random, RoundRobin


@pytest.fixture(scope="module")
def result():
    cluster = Cluster(4)
    workload = Workload.synthetic(
        800, service=lbsim.Exponential(0.01), load=0.85, cluster=cluster, seed=1
    )
    policies = [Random(), LeastConnections(), CentralQueue()]
    return lbsim.compare(workload, policies, cluster, replications=6, seed=1)


def test_policies_see_the_same_requests(result):
    runs = list(result.runs.values())
    assert all(np.array_equal(runs[0].arrival, run.arrival) for run in runs)


def test_frame_has_an_interval_of_a_stated_kind(result):
    frame = result.frame()
    p99 = frame[frame["measure"] == "p99"]
    assert (p99["low"] < p99["estimate"]).all()
    assert (p99["estimate"] < p99["high"]).all()
    assert set(p99["interval"]) == {"t over 6 replications"}


def test_replications_are_redrawn(result):
    values = result.figures["Random()"]["mean"]
    assert len(set(values.tolist())) == 6


def test_ranking_tells_random_from_the_central_queue(result):
    table = result.ranking("mean")
    assert table["policy"].tolist()[-1] == "Random()"
    assert table["rank"].tolist()[0] == 1
    assert table["rank"].tolist()[-1] > 1
    (pair, p) = result.differences("mean")[("Random()", "CentralQueue(order='fcfs', slots=1)")]
    assert pair.interval.low > 0.0
    assert p < 0.05


def test_the_same_seed_gives_the_same_comparison(result):
    again = lbsim.compare(
        result.workload, [Random(), LeastConnections(), CentralQueue()], result.cluster, 6, 1
    )
    assert again.frame().equals(result.frame())


def test_a_trace_is_resampled_and_the_interval_says_so():
    rng = np.random.default_rng(1)
    workload = Workload.from_arrays(
        np.cumsum(rng.exponential(0.01, 600)), rng.exponential(0.03, 600)
    )
    result = lbsim.compare(workload, [RoundRobin(), CentralQueue()], Cluster(4), replications=5)
    assert "standard error of 5 moving-block resamples, around the figure" in result.method
    assert result.warmup == (0,) * 5
    run = lbsim.simulate(workload, CentralQueue(), Cluster(4))
    found = result.interval("CentralQueue(order='fcfs', slots=1)", "mean")
    assert found.estimate == pytest.approx(float(run.latency.mean()))
    assert found.low < found.estimate < found.high
    frame = result.frame()
    shares = frame[frame["unit"] == "share"]
    assert (shares["high"].dropna() <= 1.0).all()
    assert (frame["low"].dropna() >= 0.0).all()


def test_more_resamples_of_a_trace_do_not_tell_apart_what_is_not():
    """Two equally good random choices: only luck on this trace makes them differ."""

    class OtherDice(lbsim.Policy):
        def choose(self, request, cluster):
            return cluster.up[int(2.0 * cluster.rng.random() % 1.0 * len(cluster.up))]

    rng = np.random.default_rng(3)
    workload = Workload.from_arrays(
        np.cumsum(rng.exponential(0.01, 300)), rng.exponential(0.02, 300)
    )
    result = lbsim.compare(workload, [Random(), OtherDice()], Cluster(3), replications=60)
    assert result.ranking("mean")["rank"].tolist() == [1, 1]


def test_a_single_run_has_no_interval_and_says_so():
    workload = Workload.from_arrays([0.0, 1.0, 2.0], [0.5, 0.5, 0.5])
    result = lbsim.compare(workload, [RoundRobin()], Cluster(1), replications=1)
    assert "a single run of the trace has no interval" in repr(result).lower()


def test_sweep_gives_the_hockey_stick():
    cluster = Cluster(2)
    workload = Workload.synthetic(
        400, service=lbsim.Exponential(1.0), load=0.5, cluster=cluster, seed=2
    )
    table = lbsim.sweep(workload, [RoundRobin()], cluster, [0.3, 0.9], replications=3)
    mean = table[table["measure"] == "mean"].set_index("load")["estimate"]
    assert mean[0.9] > 2.0 * mean[0.3]
    ax = lbsim.plot.latency_against_load(table, "p99")
    assert ax.get_yscale() == "log"


def test_repr_and_html(result):
    assert "1." in repr(result)
    assert result._repr_html_().startswith("<pre>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policies": []}, "policies is empty; give at least one policy"),
        ({"replications": 0}, "replications = 0 must be a whole number of at least 1"),
        ({"n_jobs": 0}, "n_jobs = 0 must be a whole number of at least 1"),
        ({"confidence": 95}, "confidence = 95 must lie strictly between 0 and 1; write 0.95"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {
        "workload": Workload.from_arrays([0.0], [1.0]),
        "policies": [RoundRobin()],
        "cluster": Cluster(1),
    } | arguments
    with pytest.raises(lbsim.InputError, match=message):
        lbsim.compare(**given)


def test_a_sweep_needs_loads():
    workload = Workload.from_arrays([0.0], [1.0])
    with pytest.raises(lbsim.InputError, match="loads is empty; give at least one load"):
        lbsim.sweep(workload, [RoundRobin()], Cluster(1), [])


def test_unknown_measure(result):
    with pytest.raises(lbsim.InputError, match=r"measure = 'p95' is not known; give one of mean"):
        result.ranking("p95")


class Never(lbsim.Policy):
    def choose(self, request, cluster):
        return lbsim.SHED


@pytest.mark.parametrize("others", [[RoundRobin()], []], ids=["with another", "alone"])
def test_a_policy_that_answers_nothing_comes_last_and_breaks_nothing(tmp_path, others):
    workload = Workload.from_arrays(np.arange(40.0), np.ones(40))
    result = lbsim.compare(workload, [Never(), *others], Cluster(2), replications=3)
    assert result.ranking("p99")["policy"].tolist()[-1] == "Never()"
    assert "Never()" in repr(result)
    page = (result.save(tmp_path / "report") / "report.html").read_text()
    if others:
        assert "RoundRobin() has a 99th percentile of 1 s" in page
        assert result.ranking("shed")["policy"].tolist() == ["RoundRobin()", "Never()"]
    else:
        assert "No policy answered a request" in page


# --- all cores -------------------------------------------------------------------------------


class Mine(lbsim.Policy):
    def prepare(self, n_workers):
        self.last = 0

    def choose(self, request, cluster):
        self.last = lbsim.least_loaded(cluster, self.last + 1)
        return self.last


def figures_with(n_jobs, engine):
    cluster = Cluster(4)
    workload = Workload.synthetic(
        500, service=lbsim.Exponential(0.01), load=0.85, cluster=cluster, seed=1
    )
    return lbsim.compare(
        workload, [Random(), Mine()], cluster, 5, seed=1, engine=engine, n_jobs=n_jobs
    )


@pytest.mark.parametrize("engine", ["readable", "compiled"])  # processes, threads
def test_cores_change_no_figure(engine):
    alone, together = (figures_with(n_jobs, engine) for n_jobs in (1, 2))
    assert {run.source for run in alone.runs.values()} == {engine}
    assert alone.frame().equals(together.frame())
    assert alone.replicates().equals(together.replicates())
    assert alone.warmup == together.warmup


def test_sweep_with_cores_gives_the_same_table():
    cluster = Cluster(2)
    workload = Workload.synthetic(
        300, service=lbsim.Exponential(1.0), load=0.5, cluster=cluster, seed=2
    )
    alone, together = (
        lbsim.sweep(workload, [Random()], cluster, [0.3, 0.6], 3, engine="compiled", n_jobs=n_jobs)
        for n_jobs in (1, 2)
    )
    assert alone.equals(together)


INTERRUPTED = """
    import os, signal, warnings
    import lbsim
    from lbsim.engines.progress import Progress

    def done(self, steps):
        if self.unit == "replication" and steps == STEPS:
            os.kill(os.getpid(), signal.SIGINT)
    Progress.done = done

    cluster = lbsim.Cluster(4)
    workload = lbsim.Workload.synthetic(
        300, service=lbsim.Exponential(0.01), load=0.8, cluster=cluster, seed=1)
    policies = [lbsim.policies.Random(), lbsim.policies.RoundRobin()]
"""
OF_COMPARE = """
    result = lbsim.compare(workload, policies, cluster, 50, engine=ENGINE, n_jobs=N_JOBS)
    same = lbsim.compare(workload, policies, cluster, 3, engine=ENGINE, n_jobs=1)
    assert result.replicates().equals(same.replicates())
    print(result)
"""
OF_SWEEP = """
    with warnings.catch_warnings(record=True) as said:
        table = lbsim.sweep(workload, policies, cluster, [0.3, 0.5, 0.7], 3, n_jobs=1)
    print(sorted(set(table["load"])), said[0].message)
"""


def interrupted(code, steps, engine="readable", n_jobs=1):
    code = textwrap.dedent(INTERRUPTED) + textwrap.dedent(code)
    code = code.replace("STEPS", str(steps)).replace("ENGINE", repr(engine))
    done = subprocess.run(
        [sys.executable, "-c", code.replace("N_JOBS", str(n_jobs))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("engine", "n_jobs"), [("readable", 1), ("readable", 2), ("compiled", 2)])
def test_ctrl_c_keeps_the_replications_that_are_done(engine, n_jobs):
    said = interrupted(OF_COMPARE, 3, engine, n_jobs)
    assert "Interrupted: 3 of 50 replications were done." in said


@pytest.mark.parametrize("steps", [6, 7])  # after the second load, and within the third
def test_ctrl_c_keeps_the_loads_that_are_done(steps):
    assert interrupted(OF_SWEEP, steps) == "[0.3, 0.5] interrupted: 2 of 3 loads were done\n"


def test_bars_are_for_what_takes_long_and_can_be_silenced(monkeypatch):
    from lbsim.engines import progress

    monkeypatch.setattr(progress, "PATIENCE_S", -1.0)
    bar = progress.Progress(3, "replication")
    with bar:
        bar.done(1)
        assert bar.bar.n == 1
    with progress.silent(), progress.Progress(3) as quiet:
        quiet.done(1)
        assert quiet.bar is None
    with progress.Progress(3) as again, progress.silent(when=False):
        again.done(2)
        assert again.bar.n == 2


@pytest.mark.parametrize("engine", ["readable", "compiled"])
def test_a_run_shows_how_far_it_is(engine, monkeypatch):
    from lbsim.engines import progress

    told = []
    monkeypatch.setattr(
        progress.Progress, "done", lambda bar, steps: told.append((steps, bar.total))
    )
    workload = Workload.synthetic(1_200, service=lbsim.Exponential(1.0), rate=1.0, seed=2)
    lbsim.simulate(workload, RoundRobin(), Cluster(2), engine=engine)
    assert told
    assert all(steps <= total == 1_200 for steps, total in told)


RUN = """
    import os, signal, warnings
    import lbsim
    from lbsim.engines.compiled import paths
    from lbsim.engines.progress import Progress

    def done(self, steps):
        if steps == 4_000 and self.total == 9_000:
            os.kill(os.getpid(), signal.SIGINT)
    Progress.done = done
    paths.ROWS_AT_ONCE = 1_000

    cluster = lbsim.Cluster(4)
    workload = lbsim.Workload.synthetic(
        9_000, service=lbsim.Exponential(0.01), load=0.8, cluster=cluster, seed=1)
    policy = lbsim.policies.RoundRobin()
    with warnings.catch_warnings(record=True) as said:
        run = lbsim.simulate(workload, policy, cluster, engine=ENGINE)
    whole = lbsim.simulate(workload.head(8_000), policy, cluster, engine=ENGINE)
    done = run.outcome == 0
    assert done.sum() == 4_000 and len(run) == 9_000
    assert (run.finished[done] == whole.finished[:8_000][done[:8_000]]).all()
    run.frame(), run.summary(), repr(run)
    print(said[0].message)
"""


@pytest.mark.parametrize("engine", ["readable", "compiled"])
def test_ctrl_c_keeps_the_requests_that_are_done(engine):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RUN).replace("ENGINE", repr(engine))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    message = "interrupted: 4,000 of 9,000 requests are done, the others are unfinished\n"
    assert done.stdout == message

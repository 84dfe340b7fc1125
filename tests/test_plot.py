import numpy as np
import pytest

import lbsim
from lbsim import Cluster, Crash, Workload, plot
from lbsim.policies import LeastConnections, RoundRobin


@pytest.fixture(scope="module")
def runs():
    cluster = Cluster(3, faults=[Crash(1, 5.0)])
    workload = Workload.synthetic(
        300, service=lbsim.Exponential(0.1), load=0.7, cluster=cluster, seed=1
    )
    return {
        repr(policy): lbsim.simulate(workload, policy, cluster)
        for policy in (RoundRobin(), LeastConnections())
    }


def test_ccdf_shows_the_share_that_took_longer(runs):
    ax = plot.ccdf(runs)
    line = ax.get_lines()[0]
    latency = next(iter(runs.values())).latency
    x, y = line.get_xdata() * 1e-3, line.get_ydata()  # drawn in ms
    for i in (0, len(x) // 2, len(x) - 2):
        assert y[i] == pytest.approx((latency > x[i] * (1 + 1e-12)).mean(), abs=1e-9)
    assert len(ax.get_legend().get_texts()) == 2


def test_queue_lengths_count_what_is_at_the_worker(runs):
    run = runs["RoundRobin()"]
    image = plot.queue_lengths(run, begin=0.0, end=10.0).get_images()[0]
    counts = np.asarray(image.get_array())
    rows = run.record.handovers
    t = np.linspace(0.0, 10.0, 600)[300]
    there = (rows.dispatched <= t) & ((rows.ended > t) | np.isnan(rows.ended))
    assert counts[:, 300].tolist() == np.bincount(rows.worker[there], minlength=3).tolist()


@pytest.mark.parametrize("draw", [plot.timeline, plot.queue_lengths])
def test_given_axes_are_used_and_returned(runs, draw):
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert draw(runs["RoundRobin()"], ax) is ax


def test_shares(runs):
    ax = plot.shares(runs)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(runs)


def test_nothing_global_is_changed(runs):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    plot.ccdf(runs)
    plot.timeline(runs["RoundRobin()"])
    assert dict(mpl.rcParams) == before


def test_nothing_to_draw():
    with pytest.raises(lbsim.InputError, match="x: no latency to draw; were all requests lost"):
        plot.ccdf({"x": np.array([np.nan])})


def test_latency_over_time_is_the_quantile_of_what_was_sent_then(runs):
    ax = plot.latency_over_time(runs, q=0.5, every=4.0)
    line = ax.get_lines()[0]
    edges, drawn = line.get_xdata(), line.get_ydata() * 1e-3
    run = runs["RoundRobin()"]
    for i in (0, 2):
        mine = (run.arrival >= edges[i]) & (run.arrival < edges[i + 1])
        assert drawn[i] == pytest.approx(np.median(run.latency[mine]))
    # The crash of worker 1 at 5 s is shaded.
    assert ax.patches[0].get_x() == 5.0
    with pytest.raises(lbsim.InputError, match="has 5 answers; give a larger every="):
        plot.latency_over_time(runs, every=0.01)


def test_goodput_tells_retries_and_work_in_vain():
    workload = Workload.from_arrays([0.0, 0.0, 10.0], [1.5, 1.5, 0.1])
    client = lbsim.Client(timeout=2.6, retries=1, take_back="nothing")
    ax = plot.goodput(lbsim.simulate(workload, RoundRobin(), Cluster(1), client=client), every=1.0)
    counts = {line.get_label(): line.get_ydata()[:-1].sum() for line in ax.get_lines()}
    # The second request is given up at 2.6 s, served in vain until 3 s, sent again, and
    # answered at 4.5 s. The answer to the third lies behind the last sending.
    expected = {"wanted": 3, "sent, with retries": 4, "served": 3, "answered in time": 2}
    assert counts == pytest.approx(expected)


def test_service_times_are_drawn_beside_the_laws_that_fit_them():
    values = 1.0 + np.random.default_rng(1).pareto(1.5, 20_000)
    ax = plot.service_times(values)
    labels = [line.get_label() for line in ax.get_lines()]
    assert labels[0] == "the requests"
    alpha = float(labels[3].removeprefix("Pareto tail, α = "))
    assert alpha == pytest.approx(1.5, abs=0.15)
    # The power law goes through the sample: half as many above where the sample has half as many.
    x, y = ax.get_lines()[3].get_data()
    known = ~np.isnan(y)
    unit = 1e-3 if "ms" in ax.get_xlabel() else 1.0
    at = 20
    assert y[known][at] == pytest.approx((values > x[known][at] * unit).mean(), rel=0.2)
    with pytest.raises(lbsim.InputError, match="0 service times above 0 that differ"):
        plot.service_times([0.0, 0.0])


def test_agreement_is_the_diagonal_for_equal_runs(runs):
    run = runs["RoundRobin()"]
    ax = plot.agreement(run, run.latency * 2.0, labels=("a", "b"))
    x, y = ax.get_lines()[1].get_data()
    assert y == pytest.approx(2.0 * x)
    assert ax.get_xlabel() == "a latency [ms]"
    with pytest.raises(lbsim.InputError, match="measured: 0 answered requests"):
        plot.agreement(run, [np.nan])


def test_ccdf_of_a_summary_lies_on_that_of_its_run(runs):
    run = next(iter(runs.values()))
    ax = plot.ccdf({"rows": run, "summary": lbsim.Summary.of(run)})
    exact, counted = (line.get_xydata() for line in ax.get_lines()[:2])
    share = np.interp(counted[:, 0], exact[:, 0], exact[:, 1])
    assert np.abs(share - counted[:, 1]).max() < 0.01
    assert counted[-1, 1] == 0.0

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

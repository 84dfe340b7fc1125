import math

import numpy as np
import pytest
import scipy.stats

import lbsim
from lbsim import Workload
from lbsim.errors import InputError
from lbsim.workload import describe, hill
from lbsim.workload.describe import dispersion
from lbsim.workload.tail import tail

P = 7e-6  # as in test_service_laws.py


def test_figures_of_a_small_workload():
    found = describe(
        Workload.from_arrays(
            [0.0, 1.0, 2.0, 5.0],
            [1.0, 1.0, 2.0, 4.0],
            key=["a", "b", "a", ""],
            kind=["x", "x", "y", "x"],
            name="small",
        )
    )
    assert (found.requests, found.duration, found.rate) == (4, 5.0, 0.6)
    gaps = np.array([1.0, 1.0, 3.0])
    assert found.gap_scv == pytest.approx(gaps.var() / gaps.mean() ** 2)
    assert found.mean == 2.0
    assert found.scv == pytest.approx(1.5 / 4.0)
    assert dict(found.quantiles)["p50"] == 1.5
    assert dict(found.quantiles)["max"] == 4.0
    assert found.top_share == 0.5
    assert (found.sessions, found.top_session) == (2, pytest.approx(2 / 3))
    assert found.kinds == (("x", 0.75), ("y", 0.25))
    assert found.tail is None
    assert found.dispersion == ()
    for part in (
        "small: 4 requests in 5 s, 0.6 per second",
        "the largest 1 % of requests carry 50.0 %",
        "too few different values",
        "2, the busiest sends 66.7 %",
        "x 75.0 %, y 25.0 %",
    ):
        assert part in repr(found)
    assert str(found) == repr(found)


def test_dispersion_is_one_for_poisson_and_large_for_bursts():
    poisson = Workload.synthetic(100_000, service=1.0, rate=10.0, seed=2)
    found = describe(poisson).dispersion
    assert [width for width, _ in found] == pytest.approx([1.0, 10.0, 100.0], rel=0.02)
    for width, value in found:
        windows = int(10_000 / width)
        low, high = scipy.stats.chi2.ppf([P / 2, 1 - P / 2], windows - 1) / (windows - 1)
        assert 0.98 * low < value < 1.02 * high
    even = dispersion(np.arange(100_000) * 0.1)
    assert all(value < 0.1 for _, value in even)
    bursts = lbsim.OnOff(on=lbsim.Pareto(1.5, mean=10.0), off=lbsim.Pareto(1.5, mean=30.0))
    values = [v for _, v in dispersion(bursts.times(np.random.default_rng(1), 100_000, 10.0))]
    assert values == sorted(values)
    assert values[-1] > 100.0


def test_dispersion_by_its_definition():
    arrival = np.sort(np.random.default_rng(3).random(250) * 100.0)
    ((width, value),) = dispersion(arrival)
    assert width == pytest.approx(10.0 * (arrival[-1] - arrival[0]) / 249)
    counts = [
        ((arrival >= a) & (arrival < a + width)).sum()
        for a in arrival[0] + width * np.arange(24)  # the 25th window is not complete
    ]
    assert value == pytest.approx(np.var(counts) / np.mean(counts))


def test_hill_by_its_definition():
    values = np.array([0.0, 5.0, 1.0, 2.0, 8.0, 4.0])
    k, alpha = hill(values)
    assert k.tolist() == [2, 3, 4]
    for count, estimate in zip(k, alpha, strict=True):
        largest = np.sort(values)[::-1]
        mean = np.log(largest[:count] / largest[count]).mean()
        assert estimate == pytest.approx(1.0 / mean)


def test_the_tail_of_a_pareto_sample():
    values = lbsim.Pareto(alpha=1.5, mean=1.0).draw(np.random.default_rng(1), 50_000)
    found = tail(values)
    assert found.k == 2500
    assert found.threshold == np.sort(values)[-2501]
    k, alpha = hill(values)
    assert found.alpha == pytest.approx(alpha[k == found.k][0])
    assert abs(found.alpha - 1.5) < 4.5 * found.alpha_error
    assert found.p_value > 0.05
    assert found.verdict == "a Pareto tail fits it as well as a lognormal one"


def test_a_false_alarm_is_as_rare_as_the_p_value_says():
    rng = np.random.default_rng(5)
    tails = [tail(lbsim.Pareto(alpha=2.0, minimum=1.0).draw(rng, 4000)) for _ in range(60)]
    alarms = sum(found.p_value <= 0.05 for found in tails)
    assert scipy.stats.binom.sf(alarms - 1, 60, 0.05) > P


@pytest.mark.parametrize("law", [lbsim.Lognormal(mean=1.0, scv=10.0), lbsim.Exponential(1.0)])
def test_other_tails_are_told_from_a_pareto(law):
    found = tail(law.draw(np.random.default_rng(1), 50_000))
    assert found.vuong > 0.0
    assert found.p_value < 0.01
    assert found.verdict == "a lognormal tail fits it better than a Pareto"


def test_a_tail_needs_enough_different_values():
    assert tail(np.ones(1000)) is None
    assert tail(np.arange(1.0, 41.0)) is None
    assert tail(np.zeros(1000)) is None


def test_the_shared_trace(shared):
    found = describe(Workload.from_trace(shared / "traces/lcg_grid_2005_day4.csv.gz"))
    assert found.scv == pytest.approx(8.5, abs=0.05)
    assert found.tail.p_value < 0.001
    assert "lognormal tail fits it better" in repr(found)


def test_what_cannot_be_described():
    loop = Workload.synthetic(10, arrivals=lbsim.ClosedLoop(2, 1.0), service=1.0)
    with pytest.raises(InputError, match="a closed loop has no arrival times before it is run"):
        describe(loop)
    with pytest.raises(InputError, match="has 1 requests; give at least 2"):
        describe(Workload.from_arrays([0.0], [1.0]))


def test_what_makes_no_sense_is_left_out():
    found = describe(Workload.from_arrays([0.0, 0.0], [1.0, 0.0]))
    assert found.rate == math.inf
    assert "gaps" not in repr(found)
    assert "carry 100.0 %" in repr(found)
    idle = describe(Workload.from_arrays([0.0, 1.0], [0.0, 0.0]))
    assert math.isnan(idle.top_share)
    assert "gaps" in repr(idle)
    assert "carry" not in repr(idle)

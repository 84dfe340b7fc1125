import math

import numpy as np
import pytest

from lbsim.errors import InputError
from lbsim.stats.paired import paired_difference
from lbsim.stats.ranking import rank
from lbsim.stats.resampled import resampled_interval


def test_by_hand():
    # s of 9, 10, 11 is 1; t(0.975; 2) = 4.302653 (any table).
    found = resampled_interval(12.0, [9.0, 10.0, 11.0])
    assert (found.estimate, found.low, found.high) == pytest.approx((12.0, 7.697347, 16.302653))
    log = resampled_interval(2.0, [1.0, math.e, math.e**2], logarithmic=True)
    assert (log.low, log.high) == pytest.approx(
        (2.0 / math.exp(4.302653), 2.0 * math.exp(4.302653))
    )


def test_more_resamples_do_not_feign_more_data():
    """The standard error of a bootstrap is the spread of its draws, not that over the root of R."""
    rng = np.random.default_rng(1)
    few, many = rng.normal(5.0, 1.0, 20), rng.normal(5.0, 1.0, 2000)
    assert resampled_interval(5.0, few).half_width == pytest.approx(2.09, rel=0.5)
    assert resampled_interval(5.0, many).half_width == pytest.approx(1.96, rel=0.1)
    # Two policies whose difference is half its standard error are not told apart by any number.
    first = np.concatenate([[0.5], 0.5 + many - 5.0])
    pair = paired_difference(first, np.zeros(2001), resampled=True)
    assert pair.p_value == pytest.approx(0.62, abs=0.05)
    lines = rank({"a": first + 9.0, "b": np.full(2001, 9.0)}, resampled=True)
    assert [line.rank for line in lines] == [1, 1]


def test_a_bootstrap_of_a_mean_covers_it():
    """An i.i.d. bootstrap of an i.i.d. mean, of which the theory is known."""
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        data = rng.exponential(1.0, 200)
        draws = [rng.choice(data, 200).mean() for _ in range(10)]
        hits += 1.0 in resampled_interval(data.mean(), draws, logarithmic=True)
    assert abs(hits - 380) < 4 * math.sqrt(400 * 0.95 * 0.05)


def test_the_figure_of_the_trace_itself_is_the_estimate():
    pair = paired_difference([7.0, 3.0, 3.5, 2.5], [1.0, 1.0, 1.0, 1.0], resampled=True)
    assert pair.interval.estimate == 6.0
    assert (pair.lower, pair.equal, pair.higher) == (0, 0, 3)
    figures = {"fast by itself": [1.0, 5.0, 6.0, 5.5], "slow by itself": [2.0, 1.0, 1.2, 1.1]}
    assert [line.name for line in rank(figures, resampled=True)] == list(figures)


def test_times_are_compared_by_their_ratio():
    # Twice as slow in every resample, though the figures themselves vary by a factor of 16.
    slow = np.array([2.0, 1.0, 4.0, 16.0, 2.0])
    noise = np.exp(np.array([0.0, 0.01, -0.01, 0.02, 0.0]))
    pair = paired_difference(slow * noise, slow / 2.0, resampled=True, ratio=True)
    assert pair.is_ratio
    assert pair.interval.estimate == pytest.approx(2.0)
    assert 1.9 < pair.interval.low < 2.0 < pair.interval.high < 2.1
    assert pair.p_value < 1e-4
    plain = paired_difference(slow * noise, slow / 2.0, resampled=True)
    assert not plain.is_ratio
    assert plain.p_value > 0.1
    with_zero = paired_difference([1.0, 0.0, 2.0], [1.0, 1.0, 1.0], resampled=True, ratio=True)
    assert not with_zero.is_ratio, "a ratio to 0 is none"


def test_constant_resamples():
    assert resampled_interval(3.0, [3.0, 3.0, 3.0]).half_width == 0.0
    pair = paired_difference([3.0, 3.0, 3.0], [1.0, 1.0, 1.0], resampled=True)
    assert pair.p_value == 0.0


@pytest.mark.parametrize(
    ("own", "draws", "message"),
    [
        (0.0, [1.0, 2.0], "0 has no logarithm; pass logarithmic=False"),
        (1.0, [1.0, -2.0], "-2 has no logarithm"),
        (1.0, [1.0], "1 values are too few, at least 2"),
        (1.0, [1.0, math.nan], "is not finite"),
    ],
)
def test_bad_figures(own, draws, message):
    with pytest.raises(InputError, match=message):
        resampled_interval(own, draws, logarithmic=True)

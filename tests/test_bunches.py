import numpy as np
import pytest
from scipy.stats import kstest

from lbsim import bunches, spread

SMALL, LARGE = bunches.SIZES


def test_alone_draws_as_ever():
    drawn = bunches.uniforms(bunches.ALONE, np.random.default_rng(1), 100)
    assert np.array_equal(drawn, np.random.default_rng(1).random(100))


@pytest.mark.parametrize("shares", [(0.2, 0.0), (0.0, 0.3), (0.15, 0.1), (0.7, 0.6), (0.2, -0.1)])
def test_bunches_leave_the_distribution_as_it_is(shares):
    rng = np.random.default_rng(2)
    drawn = np.array([bunches.uniforms(shares, rng, 300)[::60] for _ in range(2000)])
    for position in drawn.T:
        assert kstest(position, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("shares", [(0.2, 0.0), (0.0, 0.2), (0.15, 0.1)])
def test_what_was_drawn_in_bunches_is_found_in_bunches(shares):
    rng = np.random.default_rng(3)
    # Each is uncertain, their mean is not.
    found = [bunches.shares_of(bunches.uniforms(shares, rng, 16 * LARGE)) for _ in range(200)]
    assert np.mean(found, axis=0) == pytest.approx(shares, abs=0.02)


def test_what_is_alone_has_no_shares_on_the_average():
    rng = np.random.default_rng(4)
    found = np.array([bunches.shares_of(rng.random(4 * LARGE)) for _ in range(400)])
    assert found.mean(axis=0) == pytest.approx((0.0, 0.0), abs=0.004)
    assert (found < 0).any()


def test_shares_do_not_depend_on_the_distribution():
    values = bunches.uniforms((0.1, 0.2), np.random.default_rng(5), 1000)
    assert bunches.shares_of(np.exp(9 * values)) == pytest.approx(bunches.shares_of(values))


def test_of_too_few_nothing_is_known():
    values = bunches.uniforms((0.5, 0.4), np.random.default_rng(6), 2 * LARGE)
    assert bunches.shares_of(values[: 2 * SMALL - 1]) == bunches.ALONE
    small, large = bunches.shares_of(values[: 2 * LARGE - 1])
    assert small > 0.5  # what a large bunch has in common a small one has too
    assert large == 0.0
    assert bunches.shares_of(np.zeros(0)) == bunches.ALONE


def test_all_alike_is_no_error():
    assert np.isfinite(bunches.shares_of(np.full(1000, 0.5))).all()


def test_means_of_bunches_differ_more():
    values = tuple(np.linspace(0.0, 1.0, 101))
    alone, together = (
        spread.draw(values, np.random.default_rng(7), 100 * LARGE, shares)
        .reshape(-1, LARGE)
        .mean(axis=1)
        .std()
        for shares in (bunches.ALONE, (0.0, 0.1))
    )
    assert together > 3 * alone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbsim.errors import InputError
from lbsim.stats.distributions import ccdf, ks_distance, qq_points, quantile, wasserstein_distance

FEW = st.lists(st.integers(0, 9).map(float), min_size=1, max_size=12)


@given(FEW)
def test_ccdf_is_the_share_above(values):
    x, share = ccdf(values)
    assert x.tolist() == sorted(set(values))
    assert share.tolist() == pytest.approx([np.mean([v > a for v in values]) for a in x])


def test_thinning_keeps_exact_points_and_the_whole_tail():
    values = np.random.default_rng(1).pareto(1.5, 100_000)
    x, share = ccdf(values, points=500)
    assert x.size < 1100
    ordered = np.sort(values)
    assert np.isin(x, ordered).all()
    np.testing.assert_allclose(share, [(values > a).mean() for a in x], atol=1e-15)
    assert np.isin(ordered[-20:], x).all()
    # No gap wider than 1 % in probability, nor than a few % relatively in the tail.
    assert np.abs(np.diff(share)).max() < 0.01
    tail = share[(share > 1e-3) & (share < 0.1)]
    assert (tail[:-1] / tail[1:]).max() < 1.05


def test_quantile_is_type_7():
    # Hyndman and Fan: type 7 of 1..10 at 0.3 is 3.7 (type 6 would be 3.3, type 8 3.433).
    assert quantile(np.arange(1.0, 11.0), [0.3])[0] == pytest.approx(3.7)


@given(FEW, FEW)
def test_distances_by_definition(a, b):
    grid = np.arange(-0.5, 10.0, 0.5)
    gap = np.array([np.mean(np.array(a) <= x) - np.mean(np.array(b) <= x) for x in grid])
    assert ks_distance(a, b) == pytest.approx(np.abs(gap).max(), abs=1e-12)
    assert wasserstein_distance(a, b) == pytest.approx(np.abs(gap).sum() * 0.5, abs=1e-9)


def test_wasserstein_sees_how_far_the_tail_is():
    body = np.zeros(99)
    near, far = (wasserstein_distance(np.zeros(100), np.append(body, x)) for x in (1.0, 100.0))
    assert far == pytest.approx(100 * near)
    assert ks_distance(np.zeros(100), np.append(body, 100.0)) == pytest.approx(0.01)


def test_qq_points():
    rng = np.random.default_rng(1)
    a = rng.exponential(size=1000)
    q, x, y = qq_points(a, 2.0 * a, points=50)
    np.testing.assert_allclose(y, 2.0 * x)
    assert (np.diff(q) > 0).all()
    assert q[-1] == pytest.approx(1 - 1 / 1000)
    assert (q > 0.99).sum() >= 5
    np.testing.assert_allclose(x, np.quantile(a, q))


@pytest.mark.parametrize("function", [ks_distance, wasserstein_distance, qq_points])
def test_lost_requests_must_be_left_out(function):
    with pytest.raises(InputError, match="leave out requests without an answer"):
        function([1.0, 2.0], [np.nan, 1.0])


def test_bad_points():
    with pytest.raises(InputError, match="points = 1 are too few"):
        ccdf([1.0], points=1)
    with pytest.raises(InputError, match="points = 0 are too few"):
        qq_points([1.0, 2.0], [1.0, 2.0], points=0)
    with pytest.raises(InputError, match=r"q = 1\.0 must lie strictly"):
        quantile([1.0], 1.0)

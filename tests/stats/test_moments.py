import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lbsim.errors import InputError
from lbsim.stats.moments import Moments

NUMBERS = st.lists(st.floats(-1e6, 1e6), max_size=20)


def test_against_scipy():
    x = np.random.default_rng(1).pareto(3.5, 1000)
    m = Moments.of(x)
    assert (m.count, m.minimum, m.maximum) == (1000, x.min(), x.max())
    assert m.mean == pytest.approx(x.mean(), rel=1e-14)
    assert m.variance == pytest.approx(x.var(ddof=1), rel=1e-12)
    assert m.std == math.sqrt(m.variance)
    assert m.scv == pytest.approx(x.var(ddof=1) / x.mean() ** 2)
    assert m.skewness == pytest.approx(stats.skew(x), rel=1e-12)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_parts_add_up_in_any_grouping(a, b, c):
    whole = Moments.of(a + b + c)
    for merged in (
        (Moments.of(a) + Moments.of(b)) + Moments.of(c),
        Moments.of(a) + (Moments.of(b) + Moments.of(c)),
    ):
        assert merged.count == whole.count
        assert (merged.minimum, merged.maximum) == (whole.minimum, whole.maximum)
        assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-6)
        assert merged.m2 == pytest.approx(whole.m2, rel=1e-9, abs=1e-3)
        size = max([1.0] + [abs(x) for x in a + b + c])
        assert merged.m3 == pytest.approx(whole.m3, rel=1e-9, abs=1e-9 * size**3 * 60)


def test_small_spread_far_from_zero():
    # The sum of squares would lose every digit here.
    x = 1e9 + np.array([4.0, 7.0, 13.0, 16.0])
    halves = Moments.of(x[:2]) + Moments.of(x[2:])
    assert halves.variance == Moments.of(x).variance == 30.0


def test_nothing_is_neutral():
    m = Moments.of([1.0, 2.0])
    assert m + Moments() == Moments() + m == m
    assert Moments.of([]) == Moments()


def test_too_few():
    with pytest.raises(InputError, match="1 values are too few for a variance; 2 are needed"):
        _ = Moments.of([1.0]).variance
    with pytest.raises(InputError, match="all values are equal"):
        _ = Moments.of([1.0, 1.0]).skewness
    with pytest.raises(InputError, match=r"values\[0\] = nan is not finite"):
        Moments.of([math.nan])

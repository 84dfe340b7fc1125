import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbsim.errors import InputError
from lbsim.stats.buckets import bucket_of, half_bits_for, highest_in, lowest_in, n_buckets
from lbsim.stats.histogram import Histogram

VALUES = st.integers(0, 63).flatmap(lambda bits: st.integers(0, (1 << bits) - 1))
DIGITS = st.integers(1, 5)


@given(VALUES, DIGITS)
def test_a_bucket_holds_its_value_and_is_narrow(value, digits):
    bits = half_bits_for(digits)
    bucket = bucket_of(value, bits)
    low, high = lowest_in(bucket, bits), highest_in(bucket, bits)
    assert low <= value <= high
    assert (high - low) * 10**digits <= max(value, 1)
    assert 0 <= bucket < n_buckets(bits)


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_buckets_tile_the_whole_numbers(digits):
    bits = half_bits_for(digits)
    n = n_buckets(bits)
    lows = [lowest_in(b, bits) for b in range(n)]
    highs = [highest_in(b, bits) for b in range(n)]
    assert lows[0] == 0
    assert highs[-1] == 2**63 - 1
    assert all(high + 1 == low for high, low in zip(highs, lows[1:], strict=False))


def test_layout_of_hdrhistogram():
    # HdrHistogram, 3 digits: 2048 sub-buckets; index (b + 1) · 1024 + sub - 1024.
    assert bucket_of(2047, 10) == 2047
    assert bucket_of(4096, 10) == 2 * 1024 + 1024
    assert bucket_of(1_000_000, 10) == (9 + 1) * 1024 + (1_000_000 >> 9) - 1024


def test_compiled_it_is_the_same():
    numba = pytest.importorskip("numba")
    compiled = numba.njit(bucket_of)
    rng = np.random.default_rng(1)
    values = [0, 1, 2047, 2048, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1]
    values += [
        int(v) >> int(s)
        for v, s in zip(rng.integers(0, 2**63 - 1, 500), rng.integers(0, 63, 500), strict=True)
    ]
    assert [compiled(v, 10) for v in values] == [bucket_of(v, 10) for v in values]


@given(st.lists(VALUES, max_size=30), DIGITS)
def test_arrays_go_where_single_values_go(values, digits):
    histogram = Histogram(digits=digits)
    histogram.add_ticks(np.array(values, np.int64))
    expected = np.zeros(n_buckets(histogram.half_bits), np.int64)
    for value in values:
        expected[bucket_of(value, histogram.half_bits)] += 1
    assert np.array_equal(histogram.counts, expected)
    assert histogram.total == len(values)


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_every_quantile_is_within_the_stated_error(digits):
    seconds = 0.010 * np.random.default_rng(1).pareto(1.2, 20_000) + 1e-3
    histogram = Histogram(digits=digits)
    histogram.add(seconds)
    q = np.array([0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999])
    exact = np.quantile(seconds, q, method="inverted_cdf")
    found = histogram.quantile(q)
    assert (found >= exact - 0.5e-9).all()
    assert (found <= exact * (1 + 10.0**-digits) + 0.5e-9).all()


def test_the_rank_of_a_quantile():
    histogram = Histogram(unit_s=1.0)
    histogram.add(np.arange(1.0, 1001.0))
    assert histogram.quantile([0.99, 0.9901, 0.5, 0.0001, 0.9999]).tolist() == [
        990.0,
        991.0,
        500.0,
        1.0,
        1000.0,
    ]


def test_merging_equals_adding_together():
    x = np.random.default_rng(2).exponential(0.01, 1000)
    whole, first, second = Histogram(), Histogram(), Histogram()
    whole.add(x)
    first.add(x[:300])
    second.add(x[300:])
    first.merge(second)
    assert np.array_equal(first.counts, whole.counts)
    with pytest.raises(InputError, match="another unit or precision"):
        first.merge(Histogram(unit_s=1e-6))


def test_seconds_are_rounded_to_ticks():
    histogram = Histogram(unit_s=1e-6)
    histogram.add([0.4e-6, 0.6e-6, 1.0e-6, 0.0])
    assert histogram.counts[:3].tolist() == [2, 2, 0]
    assert repr(histogram) == "Histogram(unit_s=1e-06, digits=3)"


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda: Histogram().add([-1.0]), "-1 s is negative"),
        (lambda: Histogram().add([1e300]), "beyond 2.63 ticks"),
        (lambda: Histogram().add([math.nan]), "is not finite"),
        (lambda: Histogram().add_ticks(np.array([1.5])), "float64 ticks must be int64"),
        (lambda: Histogram().add_ticks(np.array([-1])), "not negative"),
        (lambda: Histogram().quantile(0.5), "nothing was counted"),
        (lambda: Histogram(unit_s=0.0), "unit_s = 0.0 must be finite and above 0"),
        (lambda: Histogram(digits=6), "digits = 6 must be a whole number from 1 to 5"),
    ],
)
def test_bad_input_is_explained(do, message):
    with pytest.raises(InputError, match=message):
        do()

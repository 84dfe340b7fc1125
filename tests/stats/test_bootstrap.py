"""The block bootstrap: block lengths, resamples against brute force, coverage."""

import math
import re

import numpy as np
import pytest

from lbsim.errors import InputError
from lbsim.stats import bootstrap
from lbsim.stats.blocks import block_length
from lbsim.stats.bootstrap import mean_interval, quantile_intervals, quantile_ratio_intervals


def autoregressive(n, phi, seed):
    noise = np.random.default_rng(seed).standard_normal(n)
    series = np.empty(n)
    series[0] = noise[0]
    for i in range(1, n):
        series[i] = phi * series[i - 1] + noise[i]
    return series


def waits(n, load, seed):
    """Sojourn times of M/M/1 by Lindley's recursion, started empty."""
    rng = np.random.default_rng(seed)
    service, gap = rng.exponential(size=n), rng.exponential(1.0 / load, n)
    steps = np.cumsum(np.concatenate([[0.0], service[:-1] - gap[1:]]))
    return steps - np.minimum.accumulate(steps) + service


@pytest.mark.parametrize(("phi", "n"), [(0.0, 500), (0.5, 1000), (0.9, 5000), (-0.5, 1000)])
def test_block_length_equals_its_definition(phi, n):
    # Politis and White 2004, section 3, in plain loops.
    x = autoregressive(n, phi, seed=5)
    e = x - x.mean()
    last = math.ceil(math.sqrt(n)) + 5
    r = [float(e[: n - k] @ e[k:]) / n for k in range(last + 6)]
    limit = 2 * math.sqrt(math.log10(n) / n)
    m = next(m for m in range(last) if all(abs(r[m + j] / r[0]) < limit for j in range(1, 6)))
    reach = 2 * max(m, 1)
    g = spectrum = 0.0
    for k in range(-reach, reach + 1):
        weight = 1.0 if abs(k) <= reach / 2 else 2.0 * (1.0 - abs(k) / reach)
        g += weight * abs(k) * r[abs(k)]
        spectrum += weight * r[abs(k)]
    expected = (2 * g**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)
    assert block_length(x) == max(1, math.ceil(expected))


def test_block_length_grows_with_dependence():
    lengths = [block_length(autoregressive(2000, phi, seed=1)) for phi in (0.0, 0.5, 0.9, 0.98)]
    assert lengths == sorted(lengths)
    assert lengths[0] <= 5
    # The asymptotic optimum for an AR(1) of phi is (6 n (phi / (1 - phi²))²)^(1/3).
    assert lengths[2] == pytest.approx((6 * 2000 * (0.9 / 0.19) ** 2) ** (1 / 3), rel=0.5)


def test_block_length_of_extremes():
    assert block_length(np.ones(50)) == 1
    assert block_length(np.arange(1000.0)) == math.ceil(3 * math.sqrt(1000))
    with pytest.raises(InputError, match="at least 10 are needed"):
        block_length(np.arange(9.0))


@pytest.mark.parametrize("length", [1, 3, 7, 10])
def test_a_resample_is_its_blocks_written_out(length):
    rng = np.random.default_rng(length)
    series = rng.integers(0, 20, 10).astype(float)  # ties included
    q = np.array([0.01, 0.25, 0.5, 0.9, 0.999])
    drawn = bootstrap._Sorted(series).draws(q, length, 20, np.random.default_rng(7))
    twin = np.random.default_rng(7)
    for row in drawn:
        starts = twin.integers(0, 10, math.ceil(10 / length))
        resample = np.concatenate(
            [np.take(series, range(s, s + length), mode="wrap") for s in starts]
        )
        np.testing.assert_allclose(row, np.quantile(resample, q), rtol=1e-14)


def test_mean_draws_have_the_variance_of_block_means():
    # The variance of circular bootstrap means is exactly that of one block's mean / blocks.
    series = autoregressive(600, 0.8, seed=2)
    length = 20
    blocks = [np.take(series, range(s, s + length), mode="wrap").mean() for s in range(600)]
    exact = np.std(blocks) / math.sqrt(30)
    interval = mean_interval(series, seed=1, resamples=4000, block=length)
    assert interval.half_width == pytest.approx(1.96 * exact, rel=0.08)
    assert interval.estimate == series.mean()


def test_coverage_where_independence_would_fail():
    covered = naive = 0
    for seed in range(100):
        x = autoregressive(1500, 0.8, seed)
        covered += 0.0 in mean_interval(x, seed=seed, resamples=200)
        naive += abs(x.mean()) < 1.96 * x.std() / math.sqrt(x.size)
    assert covered >= 85
    assert naive <= 65


def test_coverage_of_queueing_quantiles():
    # M/M/1 at load 0.5: sojourn times are Exp(1/2), p90 = 2 ln 10.
    covered = 0
    for seed in range(100):
        (interval,) = quantile_intervals(waits(4000, 0.5, seed), 0.9, seed=seed, resamples=100)
        covered += 2.0 * math.log(10.0) in interval
    assert covered >= 85


def test_same_seed_same_interval():
    x = waits(500, 0.7, seed=1)
    one = quantile_intervals(x, [0.5, 0.9], seed=3, resamples=100)
    assert one == quantile_intervals(x, [0.5, 0.9], seed=np.random.default_rng(3), resamples=100)
    assert one != quantile_intervals(x, [0.5, 0.9], seed=4, resamples=100)
    assert [i.estimate for i in one] == np.quantile(x, [0.5, 0.9]).tolist()


def test_a_quantile_that_was_hardly_seen_says_so():
    x = waits(20_000, 0.8, seed=1)
    median, far = quantile_intervals(x, [0.5, 0.999], seed=1, resamples=50)
    assert "too narrow" not in str(median)
    assert re.search(r"likely too narrow: as good as [0-9] independent excursions", str(far))
    # The same values in another order are twenty independent ones.
    shuffled = np.random.default_rng(1).permutation(x)
    (alone,) = quantile_intervals(shuffled, 0.999, seed=1, resamples=50)
    assert "too narrow" not in str(alone)
    (ratio,) = quantile_ratio_intervals(x, shuffled, 0.999, paired=False, seed=1, resamples=50)
    assert "too narrow" in str(ratio)


def test_excursions_of_independent_values_are_their_number():
    values = np.arange(10_000.0)  # in blocks of one the order does not matter
    run = bootstrap._Sorted(values)
    assert run.excursions(9899.5, 1) == pytest.approx(100 / 0.99)
    assert run.excursions(4999.5, 1) == pytest.approx(10_000)
    assert run.excursions(1e9, 1) == 0.0
    # Each value five times over, in a row: a fifth as many.
    run = bootstrap._Sorted(np.repeat(np.random.default_rng(1).permutation(values), 5))
    assert run.excursions(9899.5, 50) == pytest.approx(100 / 0.99, rel=0.15)


def test_pairing_removes_what_the_workload_does_to_both():
    simulated = waits(3000, 0.8, seed=1)
    measured = simulated * 1.03 + np.random.default_rng(2).normal(0.0, 0.01, 3000)
    paired, alone = (
        quantile_ratio_intervals(measured, simulated, [0.5, 0.99], paired=p, seed=1, resamples=200)
        for p in (True, False)
    )
    for together, apart in zip(paired, alone, strict=True):
        assert together.estimate == apart.estimate == pytest.approx(1.03, abs=0.01)
        assert 1.03 in together
        assert together.half_width < 0.2 * apart.half_width


def test_ratio_of_a_run_to_itself_is_one():
    x = waits(200, 0.5, seed=1)
    with pytest.raises(InputError, match="1 in nearly every resample"):
        quantile_ratio_intervals(x, x, 0.5, paired=True, seed=1, resamples=50)
    (interval,) = quantile_ratio_intervals(
        x, x, 0.5, paired=True, seed=1, resamples=50, allow_constant=True
    )
    assert (interval.low, interval.estimate, interval.high) == (1.0, 1.0, 1.0)


def test_bad_input_is_explained():
    x = waits(100, 0.5, seed=1)
    with pytest.raises(InputError, match=r"strictly between 0 and 1; write 0\.99 for p99"):
        quantile_intervals(x, 99, seed=1)
    with pytest.raises(InputError, match="block = 101 must lie between 1 and the 100 values"):
        quantile_intervals(x, 0.5, seed=1, block=101)
    with pytest.raises(InputError, match="100 and 50 values cannot be paired"):
        quantile_ratio_intervals(x, x[:50], 0.5, paired=True, seed=1)
    with pytest.raises(InputError, match=r"quantile 0.5 of `below` is 0"):
        quantile_ratio_intervals(x, np.zeros(100), 0.5, paired=False, seed=1)
    with pytest.raises(InputError, match="allow_constant=True"):
        mean_interval(np.ones(20), seed=1)
    assert mean_interval(np.ones(20), seed=1, allow_constant=True).half_width == 0.0

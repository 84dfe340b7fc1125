import numpy as np
import pytest

from lbsim.errors import InputError
from lbsim.stats.warmup import mser5


def by_definition(values):
    k = len(values) // 5
    batches = [float(np.mean(values[5 * i : 5 * i + 5])) for i in range(k)]
    mser = [
        sum((y - np.mean(batches[d:])) ** 2 for y in batches[d:]) / (k - d) ** 2
        for d in range(k // 2 + 1)
    ]
    return 5 * int(np.argmin(mser))


@pytest.mark.parametrize("n", [10, 14, 100, 503])
@pytest.mark.parametrize("seed", range(5))
def test_equals_its_definition(n, seed):
    rng = np.random.default_rng(seed)
    values = rng.exponential(size=n) + 5.0 * np.exp(-np.arange(n) / (0.1 * n))
    assert mser5(values).cut == by_definition(values)


def test_finds_the_end_of_a_ramp():
    rng = np.random.default_rng(1)
    values = np.minimum(np.arange(2000.0) / 300.0, 1.0) + 0.1 * rng.standard_normal(2000)
    found = mser5(values)
    assert found.settled
    assert 200 <= found.cut <= 350


def test_nothing_to_cut_and_never_settled():
    assert mser5(np.ones(100)).cut == 0
    rising = mser5(np.arange(100.0))
    assert rising.cut == 50
    assert not rising.settled


def test_is_not_fooled_by_a_large_offset():
    values = np.concatenate([np.zeros(50), np.tile([1.0, 1.2, 0.9, 1.1, 0.8], 100)])
    assert mser5(values + 1e9).cut == mser5(values).cut == 50


def test_too_short():
    with pytest.raises(InputError, match="9 values are too few, at least 10"):
        mser5(np.zeros(9))

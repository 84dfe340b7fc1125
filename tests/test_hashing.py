import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lbsim.hashing import _mix, hash64, hash64_array, hash_string, uniform


def test_mix_is_splitmix64():
    # First output of SplitMix64 seeded with 0, as in the reference implementation (Vigna 2015).
    assert _mix(0) == 0xE220A8397B1DCDAF


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1))
def test_the_array_version_is_the_scalar_one(key, salt):
    assert hash64_array(np.array([key]), salt)[0] == hash64(key, salt)
    assert 0 <= hash64(key, salt) < 2**63


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-300, 300))
def test_small_salts_are_salts_like_any_other(key, salt):
    assert hash64(key, salt) == _mix(_mix(salt) ^ key) >> 1


def test_hashes_spread_evenly_over_small_moduli():
    counts = np.bincount(hash64_array(np.arange(100_000)) % 10, minlength=10)
    # Chi-square with 9 degrees of freedom: above 27.9 with probability 0.001.
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 27.9


def test_uniform_is_uniform():
    values = np.sort([uniform(3, i) for i in range(20_000)])
    assert values[0] >= 0.0
    assert values[-1] < 1.0
    distance = np.abs(values - (np.arange(20_000) + 0.5) / 20_000).max()
    assert distance < 1.95 / np.sqrt(20_000)  # Kolmogorov-Smirnov, probability 0.001


def test_strings_have_one_unsalted_hash():
    # Fixed for ever: session tables and recordings may outlive this process.
    assert hash_string("198.51.100.7") == 0x77774F4808CB052F
    assert hash_string("a") != hash_string("b")
    assert 0 <= hash_string("ü\udcff") < 2**63

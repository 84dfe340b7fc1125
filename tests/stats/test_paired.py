import math

import numpy as np
import pytest
from scipy import stats

from lbsim.errors import InputError
from lbsim.stats.paired import holm, paired_difference, paired_differences
from lbsim.stats.ranking import rank


def test_against_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.normal(1.0, 1.0, 12), rng.normal(1.4, 1.0, 12)
    found = paired_difference(a, b, confidence=0.9)
    test = stats.ttest_rel(a, b)
    low, high = test.confidence_interval(0.9)
    assert found.p_value == pytest.approx(test.pvalue, rel=1e-9)
    assert found.interval.low == pytest.approx(low, rel=1e-9)
    assert found.interval.high == pytest.approx(high, rel=1e-9)
    sign = stats.binomtest(int((a < b).sum()), 12).pvalue
    assert found.sign_p_value == pytest.approx(sign, rel=1e-12)
    assert (found.lower, found.higher) == (int((a < b).sum()), int((a > b).sum()))


def test_pairing_sees_what_separate_intervals_hide():
    hard = np.array([1.0, 5.0, 20.0, 3.0, 11.0, 8.0])
    found = paired_difference(hard, hard + np.array([0.5, 0.6, 0.4, 0.5, 0.55, 0.45]))
    assert found.interval.high < 0.0
    assert found.p_value < 1e-4
    assert found.lower == 6
    assert found.sign_p_value == pytest.approx(2 / 64)


def test_the_same_policy_twice():
    same = paired_difference([1.0, 2.0], [1.0, 2.0])
    assert (same.interval.low, same.interval.high) == (0.0, 0.0)
    assert same.p_value == same.sign_p_value == 1.0
    assert same.equal == 2


def test_a_constant_difference_is_suspicious():
    with pytest.raises(InputError, match="-1 in all 3 replications"):
        paired_difference([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    allowed = paired_difference([0, 0, 0], [3, 3, 3], allow_constant=True)
    assert allowed.p_value == 0.0
    assert allowed.interval.half_width == 0.0


def test_must_be_paired():
    with pytest.raises(InputError, match="2 and 3 replications cannot be paired"):
        paired_difference([1.0, 2.0], [1.0, 2.0, 3.0])


def test_holm_by_hand():
    # 4 × 0.005, 3 × 0.01, 2 × 0.03, and 1 × 0.04 raised to the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).size == 0
    with pytest.raises(InputError, match=r"1.5 is not a p-value"):
        holm([0.5, 1.5])


def test_holm_keeps_the_family_wise_error():
    rng = np.random.default_rng(3)
    wrong = sum(
        any(
            p <= 0.05
            for _, p in paired_differences({name: rng.normal(size=8) for name in "abcd"}).values()
        )
        for _ in range(300)
    )
    assert wrong <= 15 + 4 * math.sqrt(15)


def test_all_pairs_once_in_order():
    pairs = paired_differences({"a": [1.0, 2.0], "b": [2.0, 4.0], "c": [9.0, 9.5]})
    assert list(pairs) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert pairs["a", "c"][0].interval.estimate == -7.75


def test_ranks_and_ties():
    rng = np.random.default_rng(1)
    common = rng.normal(10.0, 3.0, 10)  # hard and easy replications
    figures = {
        "worst": common + 5.0 + 0.1 * rng.standard_normal(10),
        "good": common + 0.1 * rng.standard_normal(10),
        "as good": common + 0.1 * rng.standard_normal(10),
        "middle": common + 1.0 + 0.1 * rng.standard_normal(10),
    }
    lines = rank(figures)
    assert [(line.rank, line.name) for line in lines[2:]] == [(3, "middle"), (4, "worst")]
    assert {(line.rank, line.name) for line in lines[:2]} == {(1, "good"), (1, "as good")}
    assert [line.interval.estimate for line in lines] == sorted(
        float(np.mean(v)) for v in figures.values()
    )


def test_ranking_of_one_and_of_none():
    (only,) = rank({"a": [1.0, 2.0]})
    assert only.rank == 1
    with pytest.raises(InputError, match="no policy to rank"):
        rank({})


def test_counts_may_be_constant():
    lines = rank({"drops": [3, 3, 3], "keeps": [0, 0, 0]}, allow_constant=True)
    assert [(line.rank, line.name) for line in lines] == [(1, "keeps"), (2, "drops")]

import math

import numpy as np
import pytest

from lbsim.errors import InputError
from lbsim.stats.intervals import Interval, interval_of_draws, replication_interval


def test_t_interval_by_hand():
    # t(0.975; 4) = 2.776445 (any table); s of 1..5 = sqrt(2.5).
    interval = replication_interval([1, 2, 3, 4, 5])
    assert interval.estimate == 3.0
    assert interval.half_width == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)
    assert 3.0 in interval
    assert 5.1 not in interval
    assert str(interval) == "3 [1.037, 4.963] (95 %, t over 5 replications)"


def test_confidence_widens():
    widths = [replication_interval([1, 2, 4], c).half_width for c in (0.8, 0.9, 0.99)]
    assert widths == sorted(widths)
    assert replication_interval([1, 2, 4], 0.9).half_width == pytest.approx(
        2.919986 * np.std([1, 2, 4], ddof=1) / math.sqrt(3), rel=1e-6
    )


def test_coverage_of_the_t_interval():
    rng = np.random.default_rng(1)
    hits = sum(0.0 in replication_interval(rng.normal(size=5)) for _ in range(1000))
    assert abs(hits - 950) < 4 * math.sqrt(1000 * 0.95 * 0.05)


@pytest.mark.parametrize("values", [[0.3, 0.3, 0.3], [0.1 + 0.2, 0.3, 0.3]])
def test_zero_width_is_an_error_unless_allowed(values):
    with pytest.raises(InputError, match=r"is 0.3 in all 3 replications.*allow_constant=True"):
        replication_interval(values)
    allowed = replication_interval(values, allow_constant=True)
    assert allowed.low == allowed.high == allowed.estimate
    assert "constant over 3 replications" in str(allowed)


def test_counts_that_vary_are_not_touched_by_allow_constant():
    assert replication_interval([0, 1, 0], allow_constant=True) == replication_interval([0, 1, 0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0], "1 values are too few, at least 2"),
        ([1.0, math.nan], r"values\[1\] = nan is not finite"),
        ([[1.0, 2.0]], "has 2 dimensions, not 1"),
        (["a", "b"], "values must be numbers"),
    ],
)
def test_bad_values_are_explained(values, message):
    with pytest.raises(InputError, match=message):
        replication_interval(values)


def test_an_interval_checks_itself():
    with pytest.raises(InputError, match="is not an interval"):
        Interval(1.0, 2.0, 1.0, 0.95, "by hand")
    with pytest.raises(InputError, match="confidence = 95 must lie strictly between 0 and 1"):
        replication_interval([1, 2], confidence=95)


def test_percentiles_of_draws():
    interval = interval_of_draws(50.0, np.arange(101.0), 0.9, "draws")
    assert (interval.low, interval.high) == pytest.approx((5.0, 95.0))


def test_draws_that_sit_on_an_atom_are_constant():
    draws = [1.0] * 998 + [0.5, 2.0]
    with pytest.raises(InputError, match="1 in nearly every resample"):
        interval_of_draws(1.0, draws, 0.95, "draws")
    assert interval_of_draws(1.0, draws, 0.95, "draws", allow_constant=True).half_width == 0.0

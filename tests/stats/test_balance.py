import pytest

from lbsim.errors import InputError
from lbsim.stats.balance import coefficient_of_variation, imbalance, jain, shares


def test_known_values():
    # Least connections with ties to the first worker, at low load (DESIGN's example).
    x = [83, 14, 2, 1]
    assert shares(x).tolist() == pytest.approx([0.83, 0.14, 0.02, 0.01])
    assert imbalance(x) == pytest.approx(83 / 25)
    assert jain(x) == pytest.approx(100**2 / (4 * (83**2 + 14**2 + 2**2 + 1)))
    assert jain(x) == pytest.approx(1 / (1 + coefficient_of_variation(x) ** 2))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_extremes(n):
    assert jain([3.3] * n) == pytest.approx(1.0)
    assert imbalance([3.3] * n) == pytest.approx(1.0)
    assert coefficient_of_variation([3.3] * n) == pytest.approx(0.0, abs=1e-15)
    one_has_all = [0.0] * (n - 1) + [5.0]
    assert jain(one_has_all) == pytest.approx(1 / n)
    assert imbalance(one_has_all) == pytest.approx(n)


def test_huge_and_tiny_amounts():
    assert jain([1e300, 1e300]) == jain([1e-300, 1e-300]) == 1.0


@pytest.mark.parametrize("function", [shares, jain, imbalance, coefficient_of_variation])
def test_bad_amounts_are_explained(function):
    with pytest.raises(InputError, match="all 2 amounts are 0"):
        function([0, 0])
    with pytest.raises(InputError, match="amount -1 is negative"):
        function([1, -1])
    with pytest.raises(InputError, match="at least 1 are needed"):
        function([])

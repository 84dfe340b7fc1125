import csv
import math
import pickle

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import lbsim
from lbsim.errors import InputError
from lbsim.workload import as_law

N = 200_000
# Every statistical check below passes with probability 1 - 7e-6 for a right law (4.5 standard
# errors, or p > 7e-6), and the seeds are fixed: what passes once passes always.
Z = 4.5
P = 7e-6

LAWS = [
    lbsim.Deterministic(0.010),
    lbsim.Exponential(0.010),
    lbsim.Hyperexponential(mean=0.010, scv=9.0),
    lbsim.Hyperexponential(probabilities=[0.2, 0.3, 0.5], rates=[1.0, 10.0, 100.0]),
    lbsim.Lognormal(mean=0.010, scv=3.0),
    lbsim.Lognormal(mu=-4.0, sigma=1.0),
    lbsim.Pareto(alpha=4.5, mean=0.010),
    lbsim.Pareto(alpha=4.5, minimum=0.005),
    lbsim.BoundedPareto(alpha=1.5, mean=0.010, maximum=1.0),
    lbsim.BoundedPareto(alpha=1.0, minimum=0.001, maximum=1.0),
    lbsim.BoundedPareto(alpha=2.0, minimum=0.001, maximum=1.0),
    lbsim.Weibull(mean=0.010, shape=0.5),
    lbsim.Gamma(mean=0.010, shape=0.25),
    lbsim.Bimodal(low=0.001, high=0.100, high_share=0.1),
    lbsim.Empirical([0.001, 0.001, 0.020, 0.500]),
    as_law(scipy.stats.gamma(2.0, scale=0.005)),
    as_law(scipy.stats.truncnorm(-1.0, np.inf, loc=1.0, scale=1.0)),
]


def name(law):
    return repr(law)[:60]


@pytest.mark.parametrize("law", LAWS, ids=name)
def test_sample_moments_are_those_stated(law):
    values = law.draw(np.random.default_rng(7), N)
    assert values.shape == (N,)
    assert values.dtype == np.float64
    assert values.min() >= 0.0
    sd = law.mean * math.sqrt(law.scv)
    assert abs(values.mean() - law.mean) <= Z * sd / math.sqrt(N) + 1e-15
    # The variance, by the spread of its estimate over 50 batches (Student t, 49 degrees).
    batches = ((values - law.mean) ** 2).reshape(50, -1).mean(axis=1)
    error = batches.std(ddof=1) / math.sqrt(50)
    assert abs(batches.mean() - sd**2) <= scipy.stats.t.isf(P / 2, 49) * error + 1e-15


CDFS = [
    (lbsim.Exponential(2.0), scipy.stats.expon(scale=2.0).cdf),
    (lbsim.Gamma(mean=2.0, shape=3.0), scipy.stats.gamma(3.0, scale=2.0 / 3.0).cdf),
    (
        lbsim.Weibull(mean=2.0, shape=0.5),
        scipy.stats.weibull_min(0.5, scale=2.0 / math.gamma(3.0)).cdf,
    ),
    (lbsim.Lognormal(mu=-1.0, sigma=0.5), scipy.stats.lognorm(0.5, scale=math.exp(-1.0)).cdf),
    (lbsim.Pareto(alpha=1.2, minimum=3.0), scipy.stats.pareto(1.2, scale=3.0).cdf),
    (
        lbsim.BoundedPareto(alpha=1.5, minimum=1.0, maximum=100.0),
        scipy.stats.truncpareto(1.5, 100.0).cdf,
    ),
    (
        lbsim.Hyperexponential(probabilities=[0.3, 0.7], rates=[1.0, 5.0]),
        lambda x: 1.0 - 0.3 * np.exp(-x) - 0.7 * np.exp(-5.0 * x),
    ),
]


@pytest.mark.parametrize(("law", "cdf"), CDFS, ids=[name(law)[:30] for law, _ in CDFS])
def test_sample_follows_the_distribution_function(law, cdf):
    values = law.draw(np.random.default_rng(3), 50_000)
    assert scipy.stats.kstest(values, cdf).pvalue > P


def test_two_branches_carry_half_of_the_work_each():
    law = lbsim.Hyperexponential(mean=3.0, scv=9.0)
    work = [p / r for p, r in zip(law.probabilities, law.rates, strict=True)]
    assert work == pytest.approx([1.5, 1.5])
    spelt = lbsim.Hyperexponential(probabilities=law.probabilities, rates=law.rates)
    assert (spelt.mean, spelt.scv) == pytest.approx((3.0, 9.0))


@given(
    alpha=st.floats(0.2, 5.0),
    mean=st.floats(1e-6, 1e3),
    ratio=st.floats(1.001, 1e7),
)
def test_bounded_pareto_finds_the_minimum_for_a_mean(alpha, mean, ratio):
    law = lbsim.BoundedPareto(alpha=alpha, mean=mean, maximum=mean * ratio)
    assert 0.0 < law.minimum < mean < law.maximum
    again = lbsim.BoundedPareto(alpha=alpha, minimum=law.minimum, maximum=law.maximum)
    assert again.mean == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("law", LAWS, ids=name)
def test_scaled_is_the_same_law_in_another_unit(law):
    scaled = law.scaled(1000.0)
    assert scaled.mean == pytest.approx(1000.0 * law.mean)
    assert scaled.scv == pytest.approx(law.scv)
    drawn = [x.draw(np.random.default_rng(1), 100) for x in (law, scaled)]
    np.testing.assert_allclose(drawn[1], 1000.0 * drawn[0], rtol=1e-9)


@pytest.mark.parametrize("law", LAWS, ids=name)
def test_laws_are_values(law):
    assert law == pickle.loads(pickle.dumps(law))
    assert hash(law) == hash(pickle.loads(pickle.dumps(law)))
    assert law != law.scaled(2.0)
    with pytest.raises(AttributeError, match="immutable"):
        law.mean = 1.0
    first, second = (law.draw(np.random.default_rng(5), 50) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_repr_of_our_own_laws_makes_them_again():
    for law in LAWS:
        if not isinstance(law, lbsim.Empirical) and type(law).__name__ != "ScipyLaw":
            assert eval(repr(law), vars(lbsim)) == law


def test_moments_match_the_published_table(shared):
    with (shared / "validation/tables/workload_moments.csv").open() as file:
        table = {row["name"]: row for row in csv.DictReader(file)}
    mix = [5.7] * 44 + [6.0] * 4 + [20.0] * 44 + [88.0] * 4 + [100.0] * 4
    laws = {
        "N(1,1)": as_law(scipy.stats.truncnorm(-1.0, np.inf, loc=1.0, scale=1.0)),
        "Azure functions": lbsim.Lognormal(mu=-0.38, sigma=2.36),
        "Shinjuku extreme": lbsim.Bimodal(low=0.5, high=500.0, high_share=0.005),
        "Shinjuku high": lbsim.Bimodal(low=1.0, high=100.0, high_share=0.5),
        "Shinjuku TPC-C": lbsim.Empirical(mix),
        "ZygOS bimodal-1": lbsim.Bimodal(low=0.5, high=5.5, high_share=0.1),
        "ZygOS bimodal-2": lbsim.Bimodal(low=0.5, high=500.5, high_share=0.001),
    }
    for start, law in laws.items():
        (row,) = [row for key, row in table.items() if key.startswith(start)]
        assert law.mean == pytest.approx(float(row["mean"]), rel=1e-6), start
        assert law.scv == pytest.approx(float(row["scv"]), rel=1e-6), start
        values = law.draw(np.random.default_rng(11), N)
        assert abs(values.mean() - law.mean) < Z * law.mean * math.sqrt(law.scv / N), start
        if row["p50"]:
            median = float(row["p50"])
            assert abs((values <= median).mean() - 0.5) < Z * 0.5 / math.sqrt(N), start
        if row["p99"]:
            share = (values <= float(row["p99"])).mean()
            assert abs(share - 0.99) < Z * math.sqrt(0.99 * 0.01 / N), start
    # Lifetimes clipped (not cut off) at 1e6: a bounded Pareto law and an atom of 1e-6 at 1e6.
    (row,) = [row for key, row in table.items() if key.startswith("UNIX")]
    below = lbsim.BoundedPareto(alpha=1.0, minimum=1.0, maximum=1e6)
    assert (1 - 1e-6) * below.mean + 1.0 == pytest.approx(float(row["mean"]), rel=1e-6)


def test_infinite_moments_are_infinite():
    assert lbsim.Pareto(alpha=0.9, minimum=1.0).mean == math.inf
    assert lbsim.Pareto(alpha=1.5, mean=1.0).scv == math.inf
    assert lbsim.Lognormal(mu=0.0, sigma=50.0).mean == math.inf
    cauchy = as_law(scipy.stats.halfcauchy())
    assert (cauchy.mean, cauchy.scv) == (math.inf, math.inf)


def test_as_law_takes_numbers_laws_and_scipy():
    assert as_law(0.5) == lbsim.Deterministic(0.5)
    assert as_law(np.float64(0.5)) == lbsim.Deterministic(0.5)
    law = lbsim.Exponential(1.0)
    assert as_law(law) is law
    assert as_law(scipy.stats.expon(scale=3.0)).mean == pytest.approx(3.0)


BAD = [
    (lambda: lbsim.Exponential(0.0), "mean = 0 must be finite and above 0"),
    (lambda: lbsim.Exponential(math.nan), "mean = nan is not a number"),
    (lambda: lbsim.Exponential("fast"), "mean = 'fast' is not a number"),
    (lambda: lbsim.Deterministic(-1.0), "mean = -1 must be finite and not negative"),
    (lambda: lbsim.Gamma(mean=1.0, shape=-2.0), "shape = -2 must be finite and above 0"),
    (lambda: lbsim.Weibull(mean=1.0, shape=0.0), "shape = 0 must be"),
    (lambda: lbsim.Weibull(mean=1.0, shape=1e-4), "shape = 0.0001 is too small"),
    (lambda: lbsim.Bimodal(low=1.0, high=2.0, high_share=1.5), "high_share = 1.5 must lie between"),
    (lambda: lbsim.Hyperexponential(mean=1.0, scv=0.5), r"at least 1; .* Gamma\(mean=1, shape=2\)"),
    (lambda: lbsim.Hyperexponential(mean=1.0), "give mean and scv, or probabilities and rates"),
    (lambda: lbsim.Hyperexponential(probabilities=[1.0], rates=[1.0, 2.0]), "1 probabilities do"),
    (lambda: lbsim.Hyperexponential(probabilities=[0.5, 0.4], rates=[1, 2]), "add up to 0.9, not"),
    (lambda: lbsim.Lognormal(mean=1.0), "give mean and scv, or mu and sigma"),
    (lambda: lbsim.Pareto(alpha=0.8, mean=1.0), "alpha = 0.8 has no finite mean"),
    (lambda: lbsim.Pareto(alpha=2.0), "give mean or minimum"),
    (lambda: lbsim.BoundedPareto(alpha=1.5, mean=1.0), "maximum is missing"),
    (lambda: lbsim.BoundedPareto(alpha=1.5, maximum=1.0), "give mean or minimum"),
    (lambda: lbsim.BoundedPareto(1.5, mean=2.0, maximum=1.0), "mean = 2 must be below maximum = 1"),
    (lambda: lbsim.BoundedPareto(1.5, minimum=2.0, maximum=1.0), "minimum = 2 must be below"),
    (lambda: lbsim.Empirical([]), "values is empty"),
    (lambda: lbsim.Empirical([1.0, -2.0]), r"values\[1\] = -2 must be finite and not negative"),
    (lambda: lbsim.Empirical(["a"]), "values must be numbers"),
    (lambda: as_law("fast"), "'fast' is not a law; give one such as"),
    (lambda: as_law(True), "True is not a law"),
    (lambda: as_law(scipy.stats.norm(1.0, 1.0)), "support starts at -inf"),
    (lambda: as_law(-0.5), "mean = -0.5 must be finite and not negative"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(InputError, match=message):
        make()

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import lbsim
from lbsim.errors import InputError
from lbsim.workload import as_arrivals
from lbsim.workload.arrivals import BLOCK

# As in test_service_laws.py: a right process passes each check with probability 1 - 7e-6.
Z = 4.5
P = 7e-6

PROCESSES = [
    lbsim.Poisson(),
    lbsim.DeterministicArrivals(),
    lbsim.Renewal(lbsim.Gamma(mean=3.0, shape=2.0)),
    lbsim.Renewal(scipy.stats.lognorm(0.5)),
    lbsim.MarkovModulated(rates=[1.0, 10.0, 0.0], mean_sojourns=[0.5, 0.1, 0.2]),
    lbsim.OnOff(on=lbsim.Exponential(0.2), off=0.3),
    lbsim.RateProfile(counts=[1, 0, 0, 5, 2], interval=0.7),
    lbsim.FlashCrowd(at=20.0, duration=5.0, factor=4.0),
]


def draw(process, n, rate=100.0, seed=1):
    return process.times(np.random.default_rng(seed), n, rate)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_times_ascend_and_do_not_depend_on_how_many_are_asked_for(process):
    times = draw(process, BLOCK + 5000)
    assert times.shape == (BLOCK + 5000,)
    assert times[0] > 0.0
    assert (np.diff(times) >= 0.0).all()
    assert draw(process, 1000).tolist() == times[:1000].tolist()
    assert draw(process, 0).tolist() == []


@pytest.mark.parametrize("process", PROCESSES[:-1], ids=lambda p: type(p).__name__)
def test_mean_rate_is_the_one_asked_for(process):
    n = 4 * BLOCK
    times = draw(process, n, rate=50.0)
    # The spread of the rate, from 64 stretches of about 4096 requests (Student t, 63 degrees).
    counts = np.histogram(times, bins=64, range=(0.0, n / 50.0 * 0.98))[0]
    rates = counts / (n / 50.0 * 0.98 / 64)
    error = rates.std(ddof=1) / 8.0
    assert abs(rates.mean() - 50.0) <= scipy.stats.t.isf(P / 2, 63) * error + 0.02


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_processes_are_values(process):
    assert process == type(process)(**vars(process))
    with pytest.raises(AttributeError):
        process.anything = 1


def test_poisson_gaps_are_exponential_and_counts_have_dispersion_one():
    times = draw(lbsim.Poisson(), 100_000)
    assert scipy.stats.kstest(np.diff(times) * 100.0, "expon").pvalue > P
    counts = np.histogram(times, bins=1000, range=(0.0, 950.0))[0]
    # (windows - 1) * variance / mean is chi-square with windows - 1 degrees of freedom.
    assert P < scipy.stats.chi2.cdf(999 * counts.var(ddof=1) / counts.mean(), 999) < 1 - P


def test_deterministic_arrivals_do_not_drift():
    times = draw(lbsim.DeterministicArrivals(), 3 * BLOCK, rate=10.0)
    assert times.tolist() == [i / 10.0 for i in range(1, 3 * BLOCK + 1)]


def test_renewal_gaps_are_draws_of_the_scaled_law():
    law = lbsim.Gamma(mean=3.0, shape=2.0)
    times = draw(lbsim.Renewal(law), BLOCK, rate=100.0, seed=4)
    gaps = law.scaled(1.0 / 300.0).draw(np.random.default_rng(4), BLOCK)
    np.testing.assert_allclose(times, np.cumsum(gaps), rtol=1e-12)


@pytest.mark.parametrize(
    ("rates", "sojourns"), [((1.0, 9.0), (0.4, 0.1)), ((0.0, 1.0), (0.3, 0.2))]
)
def test_markov_modulated_dispersion(rates, sojourns):
    # Heffes and Lucantoni (1986): the index of dispersion of counts in long windows.
    rate = 100.0
    process = lbsim.MarkovModulated(rates=rates, mean_sojourns=sojourns)
    scale = rate * sum(sojourns) / np.dot(rates, sojourns)
    (l1, l2), (r1, r2) = np.array(rates) * scale, 1.0 / np.array(sojourns)
    expected = 1 + 2 * r1 * r2 * (l1 - l2) ** 2 / ((r1 + r2) ** 2 * (l1 * r2 + l2 * r1))
    times = draw(process, 1_000_000, rate)
    windows = 480  # of 20 s, far longer than a sojourn
    counts = np.histogram(times, bins=windows, range=(0.0, 9600.0))[0]
    found = counts.var(ddof=1) / counts.mean()
    # Counts in such windows are nearly normal, so the variance is nearly chi-square.
    low, high = scipy.stats.chi2.ppf([P / 2, 1 - P / 2], windows - 1) / (windows - 1)
    assert 0.97 * low * expected < found < 1.03 * high * expected


def test_markov_modulated_begins_in_the_stationary_state():
    process = lbsim.MarkovModulated(rates=[1.0, 0.0], mean_sojourns=[1.0, 3.0])
    # The rate is 1 from the beginning, on average over seeds, not the 4 of the first state.
    counts = [(draw(process, 300, rate=1.0, seed=seed) < 0.5).sum() for seed in range(400)]
    assert abs(np.mean(counts) - 0.5) < Z * np.std(counts) / math.sqrt(400)


def test_on_off_is_silent_when_off():
    process = lbsim.OnOff(on=1.0, off=4.0)
    times = draw(process, 20_000, rate=20.0)
    assert (times % 5.0 <= 1.0).all()
    counts = np.bincount((times // 5.0).astype(int))[:-1]
    # 5 s at 20 /s, all in one second: Poisson counts with mean 100.
    assert abs(counts.mean() - 100.0) < Z * 10.0 / math.sqrt(counts.size)


def test_rate_profile_follows_the_counts_and_repeats():
    profile = lbsim.RateProfile(counts=[30, 0, 90], interval=10.0)
    assert profile.mean_rate == pytest.approx(4.0)
    times = draw(profile, 12_000, rate=profile.mean_rate)
    place = ((times % 30.0) // 10.0).astype(int)
    rounds = int(times[-1] // 30.0)
    counts = np.bincount(place[times < 30.0 * rounds], minlength=3)
    assert counts[1] == 0
    for count, mean in ((counts[0], 30 * rounds), (counts[2], 90 * rounds)):
        assert abs(count - mean) < Z * math.sqrt(mean)


def test_rate_profile_of_a_real_day(shared):
    rows = np.genfromtxt(shared / "traces/aws_elb_requests_2014.csv.gz", delimiter=",", names=True)
    profile = lbsim.RateProfile(rows["requests_per_5min"], interval=300.0)
    times = draw(profile, int(rows["requests_per_5min"].sum()), rate=profile.mean_rate)
    counts = np.histogram(times, bins=np.arange(len(rows) + 1) * 300.0)[0][:4000]
    expected = rows["requests_per_5min"][:4000]
    busy = expected > 0
    chi2 = ((counts - expected)[busy] ** 2 / expected[busy]).sum()
    assert P < scipy.stats.chi2.sf(chi2, busy.sum()) < 1 - P
    assert counts[~busy].sum() == 0


def test_flash_crowd_multiplies_the_rate_for_a_while():
    times = draw(lbsim.FlashCrowd(at=100.0, duration=50.0, factor=3.0), 50_000, rate=100.0)
    before = (times < 100.0).sum()
    during = ((times >= 100.0) & (times < 150.0)).sum()
    after = ((times >= 150.0) & (times < 250.0)).sum()
    for count, mean in ((before, 10_000), (during, 15_000), (after, 10_000)):
        assert abs(count - mean) < Z * math.sqrt(mean)


def test_a_law_is_taken_as_that_of_the_gaps():
    assert as_arrivals(lbsim.Deterministic(1.0)) == lbsim.DeterministicArrivals()
    law = lbsim.Exponential(1.0)
    assert as_arrivals(law) == lbsim.Renewal(law)
    assert as_arrivals(scipy.stats.expon()).law.mean == 1.0
    loop = lbsim.ClosedLoop(clients=3, think=1.0)
    assert as_arrivals(loop) is loop


@given(rate=st.floats(1e-3, 1e6), seed=st.integers(0, 100))
def test_the_rate_only_scales_the_time_of_poisson_arrivals(rate, seed):
    np.testing.assert_allclose(
        draw(lbsim.Poisson(), 50, rate, seed) * rate, draw(lbsim.Poisson(), 50, 1.0, seed)
    )


BAD = [
    (lambda: draw(lbsim.Poisson(), 1, rate=0.0), "rate = 0 must be finite and above 0"),
    (lambda: lbsim.Renewal("x"), "'x' is not a law"),
    (lambda: lbsim.Renewal(0.0), "mean of the law = 0 must be finite and above 0"),
    (lambda: lbsim.Renewal(lbsim.Pareto(alpha=0.5, minimum=1.0)), "mean of the law = inf must be"),
    (lambda: lbsim.MarkovModulated([1.0], [1.0]), "two states or more"),
    (lambda: lbsim.MarkovModulated([1.0, 2.0], [1.0]), "2 rates and 1 mean_sojourns"),
    (lambda: lbsim.MarkovModulated([0.0, 0.0], [1.0, 1.0]), "sum of the rates = 0 must be"),
    (lambda: lbsim.MarkovModulated([1.0, -1.0], [1.0, 1.0]), "rates = -1 must be finite and not"),
    (lambda: lbsim.OnOff(on=0.0, off=1.0), "mean of on = 0 must be finite and above 0"),
    (lambda: lbsim.OnOff(on=1.0, off=lbsim.Pareto(0.5, minimum=1.0)), "mean of off = inf must be"),
    (lambda: lbsim.RateProfile([]), "sum of the counts = 0 must be"),
    (lambda: lbsim.RateProfile([1, math.nan]), "counts = nan is not a number"),
    (lambda: lbsim.RateProfile([1], interval=0), "interval = 0 must be finite and above 0"),
    (lambda: lbsim.FlashCrowd(at=-1, duration=1, factor=2), "at = -1 must be finite and not"),
    (lambda: lbsim.FlashCrowd(at=1, duration=0, factor=2), "duration = 0 must be finite and above"),
    (lambda: lbsim.ClosedLoop(clients=0, think=1.0), "clients = 0 must be a whole number of at"),
    (lambda: lbsim.ClosedLoop(clients=2.5, think=1.0), "clients = 2.5 must be a whole number"),
    (lambda: as_arrivals(lbsim.Poisson), "Poisson'> is not an arrival process; give one such as"),
    (lambda: as_arrivals(0.1), "arrivals = 0.1 is not an arrival process"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(InputError, match=message):
        make()

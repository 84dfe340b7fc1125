"""Every formula against values known from elsewhere, its own limits, and bad input.

Values that are typed in name their source; nothing outside the repository is needed.
"""

import math

import numpy as np
import pytest

from lbsim import theory
from lbsim.errors import InputError
from lbsim.workload import BoundedPareto


def near(value, tolerance=1e-6):
    return pytest.approx(value, rel=tolerance)


# --- known values ---------------------------------------------------------------------------


def test_mm1_by_hand():
    # Kleinrock 1975, section 3.2: rho = 1/2 doubles the time, 0.9 makes it ten times.
    assert theory.mm1_mean(0.5, 1.0) == 2.0
    assert theory.mm1_mean(0.9, 1.0) == near(10.0)
    assert theory.mm1_quantile(0.5, 0.5, 1.0) == near(2.0 * math.log(2.0))
    assert theory.mm1_wait_quantile(0.5, 0.5, 1.0) == 0.0
    assert theory.mm1_wait_quantile(0.99, 0.8, 1.0) == near(5.0 * math.log(80.0))


def test_erlang_of_the_telephone_tables():
    # Any Erlang table: 10 lines lose 1 % at 4.46 erlang and 2 % at 5.08.
    assert theory.erlang_b(10, 4.46) == near(0.01, 5e-3)
    assert theory.erlang_b(10, 5.08) == near(0.02, 5e-3)
    # M/M/2 by hand: C = 2 rho² / (1 + rho).
    assert theory.erlang_c(2, 1.6, 1.0) == near(2 * 0.64 / 1.8)
    assert theory.mmc_mean(2, 1.6, 1.0) == near(1.0 / (1.0 - 0.64))


def test_finite_queue_at_load_one():
    # All states are equally likely.
    result = theory.mmck(1.0, 1.0, servers=1, places=4)
    assert result.loss == near(0.2)
    assert result.mean_number == near(2.0)
    assert theory.mmck(1e6, 1.0, servers=2, places=400).loss == near(1.0 - 2e-6, 1e-9)


def test_pollaczek_khinchine_by_hand():
    # Twice the mean wait of M/D/1 is that of M/M/1.
    assert theory.mg1_wait_mean(0.8, 1.0, 0.0) == near(2.0)
    assert theory.mg1_wait_mean(0.8, 1.0, 1.0) == near(4.0)
    # M/M/1: Var W = 1/(1-rho)² - 1.
    assert theory.mg1_wait_variance(0.9, 1.0, 1.0, 6.0) == near(99.0)


def test_md1_quantiles_of_erlang():
    # Erlang 1909: P(W <= t) = (1 - rho) e^(rho t) for t <= 1, and one more term up to 2.
    for rho in (0.3, 0.8):
        assert theory.md1_wait_tail(0.0, rho, 1.0) == near(rho)
        assert theory.md1_wait_tail(0.7, rho, 1.0) == near(1 - (1 - rho) * math.exp(0.7 * rho))
        two = (1 - rho) * (math.exp(1.5 * rho) - 0.5 * rho * math.exp(0.5 * rho))
        assert theory.md1_wait_tail(1.5, rho, 1.0) == near(1 - two)
    assert theory.md1_wait_quantile(0.5, 0.5, 1.0) == 0.0
    # Validation catalogue A4 (60 digits): p99 of the wait.
    assert theory.md1_wait_quantile(0.99, 0.9, 1.0) == near(21.898237)


def test_md1_mean_is_the_area_under_its_tail():
    t = np.linspace(0.0, 60.0, 3001)
    area = np.trapezoid([theory.md1_wait_tail(x, 0.8, 1.0) for x in t], t)
    assert area == near(theory.mg1_wait_mean(0.8, 1.0, 0.0), 1e-3)


def test_round_robin_of_two_by_hand():
    # E2/M/1 at rho: sigma solves a quadratic; at rho = 1/2 it is (3 - sqrt 5) / 2.
    assert theory.gim1_root(theory.erlang_transform(2, 2.0), 1.0) == near((3 - math.sqrt(5)) / 2)
    assert theory.round_robin_mean(2, 1.0, 1.0) == near(1 / (1 - (3 - math.sqrt(5)) / 2))
    # Many workers make it D/M/1 (catalogue A10).
    assert theory.gim1_mean(theory.deterministic_transform(1.25), 1.0) == near(2.692731)
    assert theory.round_robin_mean(10_000, 8000.0, 1.0) == near(2.692731, 1e-3)


def test_cobham_conserves_work():
    rates, means, scvs = [0.1, 0.2, 0.15], [1.0, 2.0, 1.5], [1.0, 0.0, 4.0]
    loads = np.multiply(rates, means)
    waits = theory.priority_waits(rates, means, scvs)
    # Kleinrock's conservation law: Σ rho_i W_i is that of FCFS.
    residual = sum(0.5 * r * (1 + c) * m**2 for r, m, c in zip(rates, means, scvs, strict=True))
    assert loads @ waits == near(loads.sum() * residual / (1 - loads.sum()))
    assert (np.diff(waits) > 0).all()
    # The most urgent class does not see the others under preemption.
    assert theory.preemptive_means(rates, means, scvs)[0] == near(theory.mg1_mean(0.1, 1.0, 1.0))
    assert theory.mmc_priority_waits(3, [2.4], 1.0)[0] == near(theory.mmc_wait_mean(3, 2.4, 1.0))


def test_power_of_two():
    # Mitzenmacher 2001 (catalogue B6), the prediction for two choices.
    for load, mean in ((0.5, 1.2657), (0.8, 1.9474), (0.9, 2.6141), (0.99, 5.4320)):
        assert theory.power_of_d_mean(2, load) == near(mean, 5e-5)
    assert theory.power_of_d_mean(1, 0.9) == near(10.0)
    assert theory.power_of_d_tail(3.0, 1, 0.9) == near(theory.mm1_tail(3.0, 0.9, 1.0))
    assert theory.power_of_d_queue_tail(1000, 3, 0.99) == 0.0


def test_power_of_d_mean_is_the_area_under_its_tail():
    t = np.linspace(0.0, 40.0, 2001)
    area = np.trapezoid([theory.power_of_d_tail(x, 2, 0.9) for x in t], t)
    assert area == near(theory.power_of_d_mean(2, 0.9), 1e-3)


def test_jsq_of_two():
    # Catalogue B3: an exact chain solved by other means (block elimination up to 120 a queue).
    assert theory.jsq_mean(2, 1.0, 1.0) == near(1.42632075, 1e-8)
    assert theory.jsq_mean(2, 1.9, 1.0) == near(10.4866388, 1e-8)
    assert theory.jsq_mean(1, 0.9, 1.0) == near(10.0)


def test_jsq_lies_between_its_neighbours():
    for n, load in ((2, 0.9), (4, 0.7)):
        jsq = theory.jsq_mean(n, n * load, 1.0)
        assert theory.mmc_mean(n, n * load, 1.0) < jsq < theory.round_robin_mean(n, n * load, 1.0)
        bounded = [theory.jbsq_mean(k, n, n * load, 1.0) for k in (1, 2, 4, 8)]
        assert bounded == sorted(bounded)
        assert bounded[0] == near(theory.mmc_mean(n, n * load, 1.0))
        assert bounded[-1] < jsq
        assert jsq - bounded[-1] < 0.02 * jsq


def test_best_split_beats_its_neighbours():
    rates = [3.0, 2.0, 1.0]
    best = theory.optimal_split(4.8, rates)
    assert best.sum() == near(1.0)
    least = theory.split_mean(4.8, best, rates)
    for i in range(3):
        other = best + np.roll([0.01, -0.01, 0.0], i)
        assert theory.split_mean(4.8, other, rates) > least
    # At low load the slowest gets nothing; equal workers get equal shares.
    assert theory.optimal_split(0.1, [1.0, 10.0]).tolist() == [0.0, 1.0]
    assert theory.optimal_split(2.4, [1.0, 1.0, 1.0]).tolist() == pytest.approx([1 / 3] * 3)


def test_sita_of_the_paper():
    # Harchol-Balter, Crovella and Murta 1998: alpha = 1.1, mean 3000, largest 1e10 means that
    # the smallest is 332 and the largest 0.3 % of requests are half of the load.
    law = BoundedPareto(alpha=1.1, mean=3000.0, maximum=1e10)
    assert law.minimum == near(332.0, 1e-3)
    result = theory.sita(1e-9, law, theory.sita_e_cutoffs(law, 2))
    assert result.shares[1] == near(0.003, 0.01)
    assert result.loads[0] == near(result.loads[1])


def test_sita_without_cutoffs_is_mg1():
    law = BoundedPareto(alpha=1.0, minimum=1.0, maximum=50.0)
    alone = theory.sita(0.1, law, [])
    assert alone.mean == near(theory.mg1_mean(0.1, law.mean, law.scv))
    assert alone.shares.tolist() == [pytest.approx(1.0)]
    # alpha = 1: equal work in equal ratios, so the cutoff is the geometric mean.
    assert theory.sita_e_cutoffs(law, 2)[0] == near(math.sqrt(50.0))
    # alpha = 2 has a logarithmic second moment.
    square = BoundedPareto(alpha=2.0, minimum=1.0, maximum=50.0)
    assert theory.sita(0.1, square, []).wait == near(
        theory.mg1_wait_mean(0.1, square.mean, square.scv)
    )


def test_hedging_by_hand():
    assert theory.hedged_mean(0.0, 0.010) == near(0.005)  # min of two exponentials
    assert theory.hedged_mean(1e9, 0.010) == near(0.010)
    assert theory.hedged_quantile(0.5, 1.0, 1.0) == near(math.log(2.0))  # before the hedge
    assert theory.hedged_quantile(0.99, 0.0, 1.0) == near(0.5 * math.log(100.0))
    # Dean and Barroso 2013: 63 % of requests to 100 leaves are slow, almost 1 in 5 to 2000.
    assert theory.fan_out_slow(100, 0.99) == near(0.63, 0.01)
    assert theory.fan_out_slow(2000, 0.9999) == near(0.18, 0.01)


def test_breakdowns_in_the_limits():
    # Failures that are repaired at once change nothing; catalogue A15 otherwise.
    assert theory.breakdown_mean(0.5, 1.0, 0.1, 1e9) == near(2.0)
    assert theory.breakdown_mean(0.7, 1.0, 0.1, 1.0) == near(5.177866)
    rare = theory.breakdown_mean(0.7, 1.0, 0.1, 1.0, only_while_serving=True)
    assert rare == near(5.086957)
    # Very short, very frequent ones only slow the worker down.
    assert theory.breakdown_mean(0.5, 2.0, 1e7, 1e7) == near(theory.mm1_mean(0.5, 1.0), 1e-5)


def test_impatience_in_the_limits():
    # No patience: Erlang's loss with one place. Endless patience: nobody leaves.
    assert theory.abandoned_share(0.8, 1.0, 0.0) == near(theory.erlang_b(1, 0.8))
    assert theory.abandoned_share(0.8, 1.0, 1e6) == pytest.approx(0.0, abs=1e-12)
    assert theory.abandoned_share(1.25, 1.0, 1e6) == near(0.2)  # what cannot be served
    # At load 1 the formula has a limit: 1 / (2 + patience), approached from both sides.
    assert theory.abandoned_share(1.0, 1.0, 3.0) == near(0.2)
    assert theory.abandoned_share(1.0 + 1e-9, 1.0, 3.0) == near(0.2)
    assert theory.abandoned_share(0.8, 1.0, 5.0) == near(0.0769867)  # catalogue A20


# --- units ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "time",
    [
        lambda r: theory.mm1_mean(0.8 * r, r),
        lambda r: math.sqrt(theory.mm1_variance(0.8 * r, r, "random")),
        lambda r: theory.mmc_quantile(0.99, 4, 3.2 * r, r),
        lambda r: theory.mmck(0.8 * r, r, 2, 5).mean,
        lambda r: math.sqrt(theory.mg1_wait_variance(0.8 * r, 1 / r, 1.0, 6.0 / r**3)),
        lambda r: theory.md1_quantile(0.9, 0.8 * r, 1 / r),
        lambda r: theory.round_robin_quantile(0.9, 3, 2.4 * r, r),
        lambda r: theory.kingman_bound(0.8 * r, 1 / r, 2.0, 3.0),
        lambda r: theory.preemptive_means([0.3 * r, 0.5 * r], [1 / r] * 2, [1.0, 2.0])[1],
        lambda r: theory.power_of_d_quantile(0.9, 2, 0.8, 1 / r),
        lambda r: theory.jsq_mean(2, 1.6 * r, r),
        lambda r: theory.jbsq_mean(2, 3, 2.4 * r, r),
        lambda r: theory.split_mean(1.2 * r, [0.6, 0.4], [r, r]),
        lambda r: (
            theory.sita(
                1.6 * r, BoundedPareto(alpha=1.5, mean=1 / r, maximum=1000 / r), [1.3 / r]
            ).mean
        ),
        lambda r: theory.hedged_quantile(0.9, 1 / r, 1 / r),
        lambda r: theory.breakdown_mean(0.5 * r, r, 0.1 * r, r),
    ],
)
def test_ten_times_faster_is_a_tenth_of_the_time(time):
    assert time(10.0) == near(0.1 * time(1.0))


def test_shares_do_not_depend_on_the_unit():
    assert theory.abandoned_share(8.0, 10.0, 0.2) == near(theory.abandoned_share(0.8, 1.0, 2.0))
    assert theory.erlang_c(4, 32.0, 10.0) == near(theory.erlang_c(4, 3.2, 1.0))


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overloaded",
    [
        lambda: theory.mm1_mean(1.08, 1.0),
        lambda: theory.mm1_variance(1.08, 1.0),
        lambda: theory.mm1_relative_error(1.08, 100),
        lambda: theory.erlang_c(4, 4 * 1.08, 1.0),
        lambda: theory.mmc_quantile(0.9, 4, 4 * 1.08, 1.0),
        lambda: theory.mg1_wait_mean(1.08, 1.0, 1.0),
        lambda: theory.mg1_ps_mean(1.08, 1.0),
        lambda: theory.md1_wait_quantile(0.5, 1.08, 1.0),
        lambda: theory.round_robin_mean(2, 2.16, 1.0),
        lambda: theory.kingman_bound(1.08, 1.0, 1.0, 1.0),
        lambda: theory.priority_waits([0.5, 0.58], [1.0, 1.0], [1.0, 1.0]),
        lambda: theory.mmc_priority_waits(2, [1.0, 1.16], 1.0),
        lambda: theory.split_mean(1.8, [0.6, 0.4], [1.0, 1.0]),
        lambda: theory.optimal_split(1.08 * 3, [2.0, 1.0]),
        lambda: theory.power_of_d_mean(2, 1.08),
        lambda: theory.jsq_mean(2, 2.16, 1.0),
        lambda: theory.jbsq_mean(2, 2, 2.16, 1.0),
        lambda: theory.sita(1.08, BoundedPareto(alpha=1.5, mean=1.0, maximum=9.0), []),
        lambda: theory.breakdown_mean(0.54, 1.0, 1.0, 1.0),
    ],
)
def test_overload_is_explained(overloaded):
    with pytest.raises(InputError, match=r"load = 1\.08 is not below 1: the queue grows"):
        overloaded()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: theory.mm1_mean(-1.0, 1.0), "arrival_rate = -1 must be finite and above 0"),
        (lambda: theory.mm1_mean(1.0, math.inf), "capacity = inf must be finite"),
        (lambda: theory.mm1_quantile(99, 0.5, 1.0), r"write 0\.99 for p99"),
        (lambda: theory.mm1_variance(0.5, 1.0, "lifo"), "'lifo' is not known; give one of fcfs"),
        (lambda: theory.mm1_tail(-1.0, 0.5, 1.0), "t = -1 must be finite and not negative"),
        (lambda: theory.erlang_b(0, 1.0), "servers = 0 must be a whole number"),
        (lambda: theory.mmck(1.0, 1.0, 4, 3), "places = 3 are fewer than servers = 4"),
        (lambda: theory.mg1_wait_mean(0.5, 1.0, -1.0), "scv = -1 must be finite"),
        (lambda: theory.mg1_wait_variance(0.5, 1.0, 1.0, 2.0), "not a skewness, and at least 4"),
        (
            lambda: theory.gim1_root(theory.deterministic_transform(0.5), 1.0),
            "no root below 1: the load is not below 1",
        ),
        (
            lambda: theory.hyperexponential_transform([0.5, 0.4], [1.0, 1.0]),
            "probabilities add up to 0.9",
        ),
        (lambda: theory.priority_waits([0.1], [1.0, 1.0], [1.0]), "1 arrival_rates, 2 means"),
        (lambda: theory.split_mean(1.0, [1.0], [2.0, 2.0]), "1 shares do not match 2"),
        (lambda: theory.jsq_mean(9, 1.0, 1.0), "workers = 9 make too many states, at most 8"),
        (lambda: theory.jbsq_mean(10, 40, 1.0, 1.0), "more than 5000 states; lower the bound"),
        (
            lambda: theory.sita(0.1, BoundedPareto(alpha=1.5, mean=1.0, maximum=9.0), [3.0, 2.0]),
            r"cutoffs = \[3\.0, 2\.0\] must ascend",
        ),
        (lambda: theory.power_of_d_mean(0, 0.5), "d = 0 must be a whole number"),
        (lambda: theory.hedged_mean(-1.0, 1.0), "delay = -1 must be finite and not negative"),
        (lambda: theory.availability(0.0, 1.0), "failure_rate = 0 must be finite and above 0"),
        (lambda: theory.abandoned_share(1.0, 1.0, -1.0), "patience = -1 must be finite"),
    ],
)
def test_bad_input_is_explained(wrong, message):
    with pytest.raises(InputError, match=message):
        wrong()

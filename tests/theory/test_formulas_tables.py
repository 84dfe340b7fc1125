"""Every formula against the shared tables of reference values (8 significant digits)."""

import ast
import csv
import math

import pytest

from lbsim import theory
from lbsim.errors import InputError
from lbsim.workload import BoundedPareto

DIGITS = 2e-7


@pytest.fixture
def table(shared):
    """A function that reads one table: a dict per row, numbers as floats, empty cells left out."""

    def read(name):
        path = shared / "validation" / "tables" / f"{name}.csv"
        if not path.is_file():
            pytest.skip(f"no {path.name} among the shared validation tables")
        with path.open(newline="") as lines:
            rows = [
                {key: _number(cell) for key, cell in row.items() if cell}
                for row in csv.DictReader(lines)
            ]
        assert rows
        return rows

    return read


def _number(cell):
    try:
        return float(cell)
    except ValueError:
        return cell


def near(value, tolerance=DIGITS):
    return pytest.approx(value, rel=tolerance, abs=1e-12)


def test_mm1(table):
    for row in table("mm1"):
        rho = row["rho"]
        assert theory.mm1_mean(rho, 1.0) == near(row["ET"])
        assert theory.mm1_variance(rho, 1.0) == near(row["VarT"])
        assert theory.mm1_tail(row["T_p99"], rho, 1.0) == near(0.01)
        for name, q in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)):
            assert theory.mm1_quantile(q, rho, 1.0) == near(row[f"T_{name}"])
        assert theory.mm1_wait_quantile(0.5, rho, 1.0) == near(row["W_p50"])
        assert theory.mm1_wait_quantile(0.99, rho, 1.0) == near(row["W_p99"])


def test_mm1_disciplines(table):
    columns = {
        "fcfs": "VarT_FCFS",
        "ps": "VarT_PS",
        "lcfs-preemptive": "VarT_LCFSPR",
        "lcfs": "VarT_LCFSNP",
        "random": "VarT_SIRO",
    }
    for row in table("mm1_disciplines"):
        for discipline, column in columns.items():
            assert theory.mm1_variance(row["rho"], 1.0, discipline) == near(row[column])


def test_mm1_required_precision(table):
    for row in table("mm1_required_precision"):
        assert theory.mm1_relative_error(row["rho"], int(row["X"])) == near(row["rel_SE"])


def test_timeouts_mm1(table):
    for row in table("timeouts_mm1"):
        assert theory.mm1_tail(row["tau"], row["rho"], 1.0) == near(row["P_timeout_MM1"])


def test_mmc(table):
    for row in table("mmc"):
        c = int(row["c"])
        rates = (c * row["rho"], 1.0)
        assert theory.erlang_c(c, *rates) == near(row["ErlangC"])
        assert theory.mmc_wait_mean(c, *rates) == near(row["EW"])
        assert theory.mmc_mean(c, *rates) == near(row["ET"])
        assert theory.mmc_wait_quantile(0.99, c, *rates) == near(row["W_p99"])
        for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)):
            assert theory.mmc_quantile(q, c, *rates) == near(row[f"T_{name}"])


def test_mmc_capacity_for_a_goal(table):
    for row in table("mmc_slo_capacity"):
        c = int(row["c"])
        rho = row["max_rho_central_FCFS_p99le10"]
        assert theory.mmc_quantile(0.99, c, c * rho, 1.0) == near(10.0, 1e-5)


def test_one_fast_server(table):
    for row in table("one_fast_server"):
        n = row["n"]
        assert theory.mm1_mean(n * row["rho"], n) == near(row["ET_single_fast"])


def test_finite_buffers(table):
    for row in table("finite_buffers"):
        c, places = int(row["c"]), int(row["K"])
        result = theory.mmck(c * row["rho"], 1.0, c, places)
        assert result.loss == near(row["P_loss"])
        assert result.mean_number == near(row["EN"])
        assert result.throughput == near(row["throughput"])
        assert result.mean == near(row["ET_accepted"])
        if row["model"].startswith("ErlangB"):
            assert theory.erlang_b(c, c * row["rho"]) == near(row["P_loss"])


def test_mg1(table):
    for row in table("mg1"):
        rho, mean, scv = row["rho"], row["mean"], row.get("scv", 0.0)
        rate = rho / mean
        assert theory.mg1_wait_mean(rate, mean, scv) == near(row["EW_fcfs"])
        assert theory.mg1_mean(rate, mean, scv) == near(row["ET_fcfs"])
        assert theory.mg1_wait_variance(rate, mean, scv, row["m3"]) == near(row["VarW_fcfs"])
        assert theory.mg1_ps_mean(rate, mean) == near(row["ET_ps"])
        assert theory.mg1_ps_time(3.0, rate, mean) == near(3.0 * row["slowdown_ps"])


def test_md1_quantiles(table):
    for row in table("md1_quantiles"):
        rho = row["rho"]
        assert theory.mg1_wait_mean(rho, 1.0, 0.0) == near(row["EW"])
        for name, q in (("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("0.999", 0.999)):
            assert theory.md1_wait_quantile(q, rho, 1.0) == near(row[f"W_p{name}"])
            if f"T_p{name}" in row:
                assert theory.md1_quantile(q, rho, 1.0) == near(row[f"T_p{name}"])


def arrivals_of(row):
    policy, rho = row["policy"], row["rho"]
    if policy.startswith("D/M/1"):
        return theory.deterministic_transform(1.0 / rho)
    if policy.startswith("H2/M/1"):
        scv = float(policy.split("C2a=")[1])
        p = 0.5 * (1.0 + math.sqrt((scv - 1.0) / (scv + 1.0)))
        return theory.hyperexponential_transform([p, 1.0 - p], [2 * p * rho, 2 * (1 - p) * rho])
    return theory.erlang_transform(int(row["n"]), 1.0 / rho)


def test_gim1_and_round_robin(table):
    for row in table("gim1_round_robin"):
        transform = arrivals_of(row)
        assert theory.gim1_root(transform, 1.0) == near(row["sigma"])
        assert theory.gim1_mean(transform, 1.0) == near(row["ET"])
        for name, q in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
            assert theory.gim1_quantile(q, transform, 1.0) == near(row[f"T_{name}"])
        if row["policy"].startswith("round_robin"):
            n = int(row["n"])
            assert theory.round_robin_mean(n, n * row["rho"], 1.0) == near(row["ET"])
            assert theory.round_robin_quantile(0.99, n, n * row["rho"], 1.0) == near(row["T_p99"])


def test_kingman(table):
    arrivals = {"M": 1.0, "D": 0.0, "E2": 0.5, "E10": 0.1, "H2(4)": 4.0}
    for row in table("kingman"):
        a, s, _ = row["system"].split("/")
        given = (row["rho"], 1.0, arrivals[a], {"M": 1.0, "D": 0.0}[s])
        bound = theory.kingman_bound(*given)
        assert bound == near(row["Kingman_upper_bound"])
        assert bound >= row["EW_exact"]
        assert theory.kingman_approximation(*given) == near(row["Kingman_heavy_traffic_approx"])


def test_priorities(table):
    for row in table("priority"):
        loads = [row["rho1"], row["rho2"]]
        if row["dist"].startswith("M/M/"):
            c = int(row["dist"][4:])
            waits = theory.mmc_priority_waits(c, [c * load for load in loads], 1.0)
        else:
            scv = {"Exp": 1.0, "D": 0.0, "H2bal(C2=10)": 10.0}[row["dist"]]
            waits = theory.priority_waits(loads, [1.0, 1.0], [scv, scv])
            preempted = theory.preemptive_means(loads, [1.0, 1.0], [scv, scv])
            assert preempted[0] == near(row["ET1_preempt_resume"])
            assert preempted[1] == near(row["ET2_preempt_resume"])
        assert waits[0] == near(row["EW1_nonpreempt"])
        assert waits[1] == near(row["EW2_nonpreempt"])


def test_static_shares(table):
    for row in table("sticky_static_shares"):
        shares = ast.literal_eval(row["shares"])
        given = (len(shares) * row["rho"], shares, [1.0] * len(shares))
        if row["ET"] == "unstable":
            with pytest.raises(InputError, match=r"worker 0: load = 1\.28"):
                theory.split_mean(*given)
        else:
            assert theory.split_mean(*given) == near(row["ET"])


def test_unequal_workers(table):
    for row in table("hetero_random_split"):
        rates = [float(part) for part in row["mu"].split("-")]
        in_proportion = [rate / sum(rates) for rate in rates]
        best = theory.optimal_split(row["lam"], rates)
        assert theory.split_mean(row["lam"], in_proportion, rates) == near(row["ET_prop_split"])
        assert theory.split_mean(row["lam"], best, rates) == near(row["ET_opt_split"])
        expected = [float(part) for part in row["opt_probs"].split(";")]
        assert best.tolist() == pytest.approx(expected, abs=1e-6)


def test_power_of_d_means(table):
    for row in table("power_of_d_meanfield"):
        for d in (1, 2, 3, 4, 5, 10):
            assert theory.power_of_d_mean(d, row["lam"]) == near(row[f"d{d}"])
        assert theory.power_of_d_queue_tail(3, 2, row["lam"]) == near(row["tail_s3_d2"])


def test_power_of_d_quantiles(table):
    for row in table("jsqd_meanfield_quantiles"):
        d, load = int(row["d"]), row["lam"]
        assert theory.power_of_d_mean(d, load) == near(row["ET"])
        for k in range(1, 7):
            if f"s{k}" in row:
                assert theory.power_of_d_queue_tail(k, d, load) == near(row[f"s{k}"])
        for name, q in (("0.5", 0.5), ("0.95", 0.95), ("0.99", 0.99), ("0.999", 0.999)):
            assert theory.power_of_d_quantile(q, d, load) == near(row[f"T_p{name}"])


def test_jsq(table):
    within = {2: 1e-8, 3: 1e-8, 4: 1e-8, 5: 2e-6, 6: 3e-5, 8: 1e-3}
    for row in table("jsq_exact"):
        n = int(row["n"])
        # The larger chains take half a second each: the hardest load says the most.
        if n in within and (n in (2, 4) or row["rho"] == 0.95):
            assert theory.jsq_mean(n, n * row["rho"], 1.0) == near(row["ET_JSQ"], within[n])


def test_jbsq(table):
    for row in table("jbsq_exact"):
        c = int(row["c"])
        for k in (1, 2, 3, 4):
            assert theory.jbsq_mean(k, c, c * row["rho"], 1.0) == near(row[f"ET_JBSQ{k}"])


def test_sita_practical(table):
    for row in table("sita_practical"):
        law = BoundedPareto(alpha=row["alpha"], mean=1.0, maximum=row["p"])
        assert law.minimum == near(row["k"])
        h = int(row["h"])
        rate = h * row["rho"]
        cutoffs = theory.sita_e_cutoffs(law, h)
        expected = [float(part) for part in str(row["cuts"]).split(";")]
        assert cutoffs.tolist() == pytest.approx(expected, rel=1e-6)
        result = theory.sita(rate, law, cutoffs)
        assert result.mean == near(row["ET_SITAE"], 1e-6)
        assert result.slowdown == near(row["slowdown_SITAE"], 1e-6)
        assert result.shares[0] == near(row["frac_jobs_host1"], 1e-6)
        assert result.loads.tolist() == pytest.approx([row["rho"]] * h)
        assert theory.mg1_mean(row["rho"], law.mean, law.scv) == near(row["ET_random"], 1e-6)
        if "cut_opt" in row:
            better = theory.sita(rate, law, [row["cut_opt"]])
            assert better.mean == near(row["ET_SITAopt"], 1e-6)
            assert better.loads[0] == near(row["rho1_opt"], 1e-6)
            fairer = theory.sita(rate, law, [row["cut_opt_slowdown"]])
            assert fairer.slowdown == near(row["slowdown_SITAopt"], 1e-6)


def test_sita_of_1998(table):
    for row in table("sita_bounded_pareto_1998"):
        law = BoundedPareto(alpha=row["alpha"], mean=3000.0, maximum=1e10)
        h = int(row["h"])
        result = theory.sita(h * row["rho"] / 3000.0, law, theory.sita_e_cutoffs(law, h))
        assert law.scv == near(row["scv"], 1e-6)
        assert result.wait == near(row["EW_SITAE"], 1e-6)
        assert result.mean == near(row["ET_SITAE"], 1e-6)
        assert result.slowdown - 1.0 == near(row["slow_wait_SITAE"], 1e-6)
        assert result.shares[0] == near(row["frac_to_host1"], 1e-6)


def test_half_the_load(table):
    for row in table("bp_half_load"):
        law = BoundedPareto(alpha=row["alpha"], mean=3000.0, maximum=1e10)
        (cutoff,) = theory.sita_e_cutoffs(law, 2)
        assert cutoff == near(row["x_half_load"], 1e-6)
        share = theory.sita(1e-6, law, [cutoff]).shares[1]
        assert share == near(row["frac_jobs_above"], 1e-6)


def test_hedging(table):
    for row in table("hedging"):
        if row["case"].startswith("Exp(1)"):
            d = row["d"]
            assert theory.hedged_mean(d, 1.0) == near(row["ET"])
            assert theory.hedged_share(d, 1.0) == near(row["frac_hedged"])
            assert theory.hedged_quantile(0.99, d, 1.0) == near(row["T_p99"])
            assert theory.hedged_quantile(0.999, d, 1.0) == near(row["T_p999"])
        elif row["case"].startswith("fan-out"):
            slow = theory.fan_out_slow(int(row["n"]), row["leaf_quantile"])
            assert slow == near(row["P_slow"])


def test_breakdowns(table):
    for row in table("breakdowns"):
        failures = (row["fail_rate"], row["repair_rate"])
        given = (row["lam"], 1.0, *failures)
        assert theory.availability(*failures) == near(row["availability"])
        assert theory.breakdown_mean(*given) == near(row["ET_anytime"])
        active = theory.breakdown_mean(*given, only_while_serving=True)
        assert active == near(row["ET_active_only"])


def test_impatience(table):
    rows = [row for row in table("batch_setup_abandon") if row["model"].startswith("M/M/1+D")]
    assert len(rows) >= 12
    for row in rows:
        share = theory.abandoned_share(row["rho"], 1.0, row["param"])
        assert share == near(row["P_abandon"])

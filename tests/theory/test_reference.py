"""The simulator against what is known of many systems: exact chains, formulas, other simulators.

A cell gives a system, a figure and its published value. A value that is itself simulated has a
95 % half-width, which is added to that of our own 99.9 % interval over replications. The seeds
are fixed, so the tests always give the same answer.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import lbsim
from lbsim import Cluster, Hang, Workload, policies, theory
from lbsim.stats import replication_interval

EXP = lbsim.Exponential(1.0)
ERLANG = lbsim.Gamma(1.0, shape=2.0)
H4 = lbsim.Hyperexponential(1.0, scv=4.0)
H10 = lbsim.Hyperexponential(1.0, scv=10.0)
BIMODAL = lbsim.Bimodal(0.5, 5.5, 0.1)
FIXED = lbsim.Deterministic(1.0)


def mean(run, first):
    return float(np.nanmean(run.latency[first:]))


def variance(run, first):
    return float(np.nanvar(run.latency[first:]))


def quantile(q):
    def of(run, first):
        return float(np.nanquantile(run.latency[first:], q))

    return of


def refused(run, first):
    return float((run.outcome[first:] == 1).mean())


def mean_of_priority(which):
    def of(run, first):
        latency = run.latency[first:]
        return float(latency[run.workload.priority[first:] == which].mean())

    return of


@dataclass
class Cell:
    """A system, a figure of it, and what it must be."""

    name: str
    policy: lbsim.Policy
    workers: int
    load: float
    expected: float
    of: Any = mean
    half_width: float = 0.0
    service: Any = EXP
    n: int = 20_000
    slow: bool = True
    cluster: dict[str, Any] = field(default_factory=dict)
    workload: dict[str, Any] = field(default_factory=dict)

    def check(self):
        cluster = Cluster(self.workers, **self.cluster)
        values = []
        for i in range(10):
            workload = Workload.synthetic(
                self.n,
                service=self.service,
                load=self.load,
                cluster=cluster,
                seed=1000 + i,
                **self.workload,
            )
            run = lbsim.simulate(workload, self.policy, cluster, seed=i)
            values.append(self.of(run, self.n // 5))
        found = replication_interval(values, 0.999)
        reach = found.half_width + self.half_width
        assert abs(found.estimate - self.expected) <= reach, (
            f"{self.name}: {found} is not {self.expected} ± {self.half_width}"
        )
        # An interval so wide that it could not tell a wrong simulator apart is no test.
        assert found.half_width < 0.25 * self.expected, f"{self.name}: {found} says too little"


ONE = policies.RoundRobin()
JSQ = policies.LeastConnections(ties="random")
CENTRAL = policies.CentralQueue()
PS = {"discipline": "ps"}

CELLS = [
    # One worker. Quantiles of M/G/1 by inversion of the transform (Talbot).
    Cell("M/E2/1 p99", ONE, 1, 0.8, 17.205864, quantile(0.99), service=ERLANG, slow=False),
    Cell("M/H2/1 p99", ONE, 1, 0.5, 25.860726, quantile(0.99), service=H4),
    Cell("M/H2/1 p50", ONE, 1, 0.8, 6.0021225, quantile(0.5), service=H4),
    Cell("M/D/1 p99", ONE, 1, 0.8, 11.355887, quantile(0.99), service=FIXED),
    Cell("D/M/1", ONE, 1, 0.8, 2.692731, workload={"arrivals": FIXED}, slow=False),
    Cell("H2/M/1", ONE, 1, 0.8, 10.819193, n=60_000, workload={"arrivals": H4}),
    Cell("H2/M/1 p99", ONE, 1, 0.8, 49.82422, quantile(0.99), n=60_000, workload={"arrivals": H4}),
    Cell("M/M/1-PS variance", ONE, 1, 0.8, 58.33333, variance, cluster=PS, n=60_000),
    Cell("M/H2/1-PS", ONE, 1, 0.8, 5.0, service=H10, cluster=PS, n=60_000),
    Cell("M/M/1-SJF", policies.CentralQueue("shortest"), 1, 0.8, 2.882219,
         workload={"size_error": 0.0}),
    Cell("M/H2/1-SJF", policies.CentralQueue("shortest"), 1, 0.8, 7.440699, service=H10,
         workload={"size_error": 0.0}, n=60_000),
    Cell("M/M/1/5 loss", CENTRAL, 1, 0.8, 0.0888195, refused,
         cluster={"slots": 1, "queue_limit": 4}, n=5000, slow=False),
    Cell("M/M/1/5 accepted", CENTRAL, 1, 0.8, 2.563065, cluster={"slots": 1, "queue_limit": 4}),
    Cell("M/M/1/10 overloaded", CENTRAL, 1, 1.2, 0.1925865, refused,
         cluster={"slots": 1, "queue_limit": 9}, workload={"allow_overload": True}),
    Cell("M/M/4/14 loss", CENTRAL, 4, 0.9, 0.0364871, refused,
         cluster={"slots": 1, "queue_limit": 10}),
    Cell("M/M/4/14 accepted", CENTRAL, 4, 0.9, 1.821726, cluster={"slots": 1, "queue_limit": 10}),
    Cell("M/G/5/5 loss does not care about the law", CENTRAL, 5, 0.6, 0.1100543, refused,
         service=H4, cluster={"slots": 1, "queue_limit": 0}),
    # A central queue: Erlang C, Cobham, Crommelin, Buzen and Chen.
    Cell("M/M/4 p99", CENTRAL, 4, 0.8, 6.893204, quantile(0.99)),
    Cell("M/M/10", CENTRAL, 10, 0.9, 1.668732),
    Cell("M/D/2", CENTRAL, 2, 0.8, 1.903284, service=FIXED, n=8000, slow=False),
    Cell("M/D/10", policies.LeastWorkLeft(), 10, 0.9, 1.344582, service=FIXED),
    Cell("M/H2/4", policies.LeastWorkLeft(), 4, 0.8, 4.592304, service=H10, n=40_000),
    Cell("priority 0 of M/M/1", policies.CentralQueue("priority"), 1, 0.9, 2.285714,
         mean_of_priority(0), workload={"priorities": [1 / 3, 2 / 3]}),
    Cell("priority 1 of M/M/1", policies.CentralQueue("priority"), 1, 0.8, 7.6666667,
         mean_of_priority(1), n=60_000, workload={"priorities": [0.5, 0.5]}),
    Cell("priority 1 of M/M/4", policies.CentralQueue("priority"), 4, 0.8, 2.2425676,
         mean_of_priority(1), workload={"priorities": [0.5, 0.5]}),
    Cell("fastest idle worker first", policies.FirstAvailable(slots=1), 2, 0.8, 1.847826,
         cluster={"speeds": [2.0, 1.0]}),
    # Early binding.
    Cell("split in proportion", policies.WeightedRandom(), 2, 0.8, 3.333333,
         cluster={"speeds": [2.0, 1.0]}),
    Cell("rotation over 4", policies.RoundRobin(), 4, 0.8, 3.267384),
    Cell("rotation over 10, p99", policies.RoundRobin(), 10, 0.8, 13.45755, quantile(0.99)),
    Cell("JSQ of 2", JSQ, 2, 0.8, 2.95573662),
    Cell("JSQ of 4", JSQ, 4, 0.9, 3.240838, n=40_000),
    Cell("JSQ of 10", JSQ, 10, 0.8, 1.355824),
    Cell("JSQ of 16 with rotated ties", policies.LeastConnections(), 16, 0.9, 1.577877, n=40_000),
    Cell("two of 2, with replacement", policies.PowerOfD(2, distinct=False), 2, 0.8, 3.267946),
    Cell("two of 3, distinct", policies.PowerOfD(2), 3, 0.8, 2.51, slow=False),
    Cell("two of 3, with replacement", policies.PowerOfD(2, distinct=False), 3, 0.8, 2.765698),
    Cell("JBSQ(2) of 2", policies.BoundedQueue(2), 2, 0.8, 2.889088),
    Cell("JBSQ(2) of 4", policies.BoundedQueue(2), 4, 0.9, 3.15906, n=40_000),
    Cell("JBSQ(3) of 4", policies.BoundedQueue(3), 4, 0.8, 1.944547),
    # Simulated elsewhere, with half-widths.
    Cell("two of 100, distinct", policies.PowerOfD(2), 100, 0.9, 2.64481, half_width=0.0033,
         n=200_000),
    Cell("two of 100, with replacement", policies.PowerOfD(2, distinct=False), 100, 0.9, 2.65676,
         half_width=0.0039, n=200_000),
    Cell("five of 100", policies.PowerOfD(5), 100, 0.95, 2.074, half_width=0.0032, n=200_000),
    Cell("JSQ and hyperexponential work", JSQ, 4, 0.8, 3.15104, half_width=0.0386, service=H4,
         n=40_000),
    Cell("JSQ and hyperexponential work, p99", JSQ, 16, 0.8, 13.6914, quantile(0.99), 0.086, H4),
    Cell("two of 16 and bimodal work", policies.PowerOfD(2), 16, 0.8, 2.57344, half_width=0.0148,
         service=BIMODAL),
    Cell("JSQ with processor sharing", JSQ, 2, 0.8, 2.99272, half_width=0.0361, service=H10,
         cluster=PS, n=60_000),
    Cell("JSQ on a board renewed every 5", JSQ, 10, 0.9, 14.4003, half_width=0.277,
         cluster={"info_every_s": 5.0}, n=40_000),
    Cell("two of 10 on a board renewed every 5", policies.PowerOfD(2, distinct=False), 10, 0.9,
         4.45553, half_width=0.08, cluster={"info_every_s": 5.0}, n=40_000),
]  # fmt: skip


@pytest.mark.parametrize(
    "cell",
    [pytest.param(c, id=c.name, marks=[pytest.mark.slow] if c.slow else []) for c in CELLS],
)
def test_the_published_value(cell):
    cell.check()


def of_arrays(make, n_replications=10):
    """Return the mean latencies of workloads that `make` draws, on one worker."""
    values = []
    for i in range(n_replications):
        workload, cluster = make(np.random.default_rng(500 + i))
        run = lbsim.simulate(workload, ONE, cluster)
        values.append(float(run.latency[len(run) // 5 :].mean()))
    return replication_interval(values, 0.999)


def test_arrivals_in_batches():
    """M^X/M/1 with batches of five at load 0.5: E[T] = 6."""

    def make(rng):
        instants = np.cumsum(rng.exponential(10.0, 4000))
        service = rng.exponential(1.0, 20_000)
        return Workload.from_arrays(np.repeat(instants, 5), service), Cluster(1)

    assert 6.0 in of_arrays(make)


@pytest.mark.parametrize(
    ("rate", "fail", "repair"),
    [(0.5, 0.1, 1.0), pytest.param(0.6, 0.2, 0.5, marks=pytest.mark.slow)],
)
def test_breakdowns(rate, fail, repair):
    """A worker that stands still now and then, also when idle (White and Christie 1958)."""

    def make(rng):
        n = 10_000
        arrival = np.cumsum(rng.exponential(1.0 / rate, n))
        up = rng.exponential(1.0 / fail, n)
        down = rng.exponential(1.0 / repair, n)
        begins = np.cumsum(up) + np.concatenate([[0.0], np.cumsum(down)[:-1]])
        faults = [
            Hang(0, float(at), float(for_s))
            for at, for_s in zip(begins, down, strict=True)
            if at < arrival[-1]
        ]
        workload = Workload.from_arrays(arrival, rng.exponential(1.0, n))
        return workload, Cluster(1, faults=faults)

    assert theory.breakdown_mean(rate, 1.0, fail, repair) in of_arrays(make)


@pytest.mark.parametrize("workers", [2, 3])
def test_sita_simulated_is_sita_computed(workers):
    law = lbsim.BoundedPareto(alpha=1.5, mean=1.0, maximum=30.0)
    cutoffs = theory.sita_e_cutoffs(law, workers)
    policy = policies.SizeInterval(tuple(cutoffs.tolist()))
    cluster = Cluster(workers)
    values = []
    for i in range(10):
        workload = Workload.synthetic(
            15_000, service=law, load=0.7, cluster=cluster, size_error=0.0, seed=i
        )
        values.append(float(lbsim.simulate(workload, policy, cluster).latency[3000:].mean()))
    assert theory.sita(workers * 0.7, law, cutoffs).mean in replication_interval(values, 0.999)


@pytest.mark.parametrize("service", [EXP, BIMODAL, H10], ids=["Exp", "Bimodal", "H2"])
def test_least_work_left_is_the_central_queue_request_by_request(service):
    """Kiefer and Wolfowitz (1955): FCFS over c servers is going where the least work is."""
    cluster = Cluster(5)
    workload = Workload.synthetic(4000, service=service, load=0.9, cluster=cluster, seed=3)
    late = lbsim.simulate(workload, CENTRAL, cluster)
    early = lbsim.simulate(workload, policies.LeastWorkLeft(), cluster)
    assert early.finished == pytest.approx(late.finished, rel=1e-12)


def test_jbsq_lies_between_the_central_queue_and_the_shortest_queue():
    cluster = Cluster(4)
    workload = Workload.synthetic(30_000, service=EXP, load=0.9, cluster=cluster, seed=8)
    order = [CENTRAL, *(policies.BoundedQueue(k) for k in (2, 3, 5)), policies.LeastConnections()]
    means = [float(lbsim.simulate(workload, p, cluster).latency.mean()) for p in order]
    assert means == sorted(means)


def test_herding():
    """With old news all go to one worker, which is worse than chance (Mitzenmacher 2000)."""
    fresh, old = Cluster(10), Cluster(10, info_every_s=10.0)
    workload = Workload.synthetic(10_000, service=EXP, load=0.8, cluster=fresh, seed=2)

    def latency(policy, cluster):
        return float(lbsim.simulate(workload, policy, cluster).latency.mean())

    assert (
        latency(JSQ, fresh)
        < latency(policies.PowerOfD(2), fresh)
        < latency(policies.Random(), fresh)
    )
    assert latency(policies.PowerOfD(2), old) < latency(policies.Random(), old) < latency(JSQ, old)

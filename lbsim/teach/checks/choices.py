"""Checks of single choices: the least loaded worker, a fair coin."""

import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING

from lbsim.policy import Policy
from lbsim.teach.checks.verdict import CheckFailed, Verdict, contract
from lbsim.teach.checks.watch import choices_of, draws_of

if TYPE_CHECKING:
    from lbsim.cluster import Cluster
    from lbsim.workload import Workload

__all__ = ["fair_random", "least_loaded"]

SIGMAS = 4.5  # a fair coin fails a check once in 150,000 times


def least_loaded(policy: Policy) -> Verdict:
    """Check that every request goes to a worker with the fewest requests in flight.

    Raises
    ------
    CheckFailed
        With the first choice that was not, or where the ties go.
    """
    verdict = Verdict("your first policy")
    contract(policy, verdict)
    for workers, load in ((4, 0.9), (7, 0.6)):
        workload, cluster = _plain(workers, load)
        _, log = choices_of(policy, workload, cluster)
        for choice in log:
            if choice.worker < 0:
                raise CheckFailed(
                    f"at t = {choice.time:.3f} s your policy answered {choice.worker} (hold or "
                    "refuse); here every request goes to a worker at once"
                )
            fewest = min(choice.up, key=lambda w: choice.in_flight[w])
            if choice.in_flight[choice.worker] > choice.in_flight[fewest]:
                raise CheckFailed(
                    f"at t = {choice.time:.3f} s your policy picked worker {choice.worker}, which "
                    f"had {choice.in_flight[choice.worker]} in flight, though worker "
                    f"{fewest} had {choice.in_flight[fewest]} (in flight: "
                    f"{list(choice.in_flight)}, up: {list(choice.up)})"
                )
        verdict.ok(f"{workers} workers at {load:.0%} load: the least loaded, {len(log)} times")
    workload, cluster = _plain(5, 0.1)
    run, _ = choices_of(policy, workload, cluster)
    worker, most = Counter(run.worker.tolist()).most_common(1)[0]
    if most > 0.4 * len(run):
        raise CheckFailed(
            f"at 10 % load worker {worker} got {most / len(run):.0%} of the requests: when all "
            "are idle your policy always prefers the same one. Break ties in turn: begin the "
            "search after the worker that you chose last (remember it in self, made in prepare)"
        )
    verdict.ok(f"at 10 % load nobody gets more than {most / len(run):.0%}: ties are shared out")
    return verdict


def fair_random(policy: Policy) -> Verdict:
    """Check that a policy chooses among the workers that are up, each with the same chance.

    Raises
    ------
    CheckFailed
        With the worker that got too much, and the shares.
    """
    verdict = Verdict("a fair choice at random")
    contract(policy, verdict)
    n = 6000
    for workers, down in ((5, ()), (5, (2,)), (6, (0, 1)), (4, (3,)), (2, (1,))):
        up = [w for w in range(workers) if w not in down]
        drawn = draws_of(policy, workers, down, n, seed=1)
        where = f"{workers} workers" + (f", {_named(down)} down" if down else ", all up")
        counts = Counter(drawn)
        fair = 1.0 / len(up)
        slack = SIGMAS * math.sqrt(fair * (1.0 - fair) / n)
        shares = ", ".join(f"worker {w}: {counts[w] / n:.1%}" for w in up)
        worker = max(up, key=lambda w: abs(counts[w] / n - fair))
        if abs(counts[worker] / n - fair) > slack:
            more = "much" if counts[worker] / n > fair else "little"
            raise CheckFailed(
                f"{where}: worker {worker} gets too {more}, {counts[worker] / n:.1%} of "
                f"{n:,} requests where {fair:.1%} is fair ({shares})"
                + _guess(worker, down, workers)
            )
        verdict.ok(f"{where}: {shares}")
        if len(up) > 1:
            _check_order(drawn, fair, where)
    if draws_of(policy, 5, (), 50, seed=1) == draws_of(policy, 5, (), 50, seed=2):
        raise CheckFailed(
            "with another seed your policy makes the same choices: it is even, but not random; "
            "draw from cluster.rng"
        )
    verdict.ok("a worker's turn says nothing of the next one's, and the seed matters")
    return verdict


def _check_order(drawn: list[int], fair: float, where: str) -> None:
    """Each worker follows itself as often as chance has it, and every other one, too."""
    n = len(drawn) - 1
    pairs = Counter(itertools.pairwise(drawn))
    expected = fair * fair
    slack = SIGMAS * math.sqrt(expected / n)
    for a in sorted(set(drawn)):
        for b in sorted(set(drawn)):
            if abs(pairs[a, b] / n - expected) > slack:
                raise CheckFailed(
                    f"{where}: the shares are even, but worker {b} came after worker {a} "
                    f"{pairs[a, b]} times in {n:,}, where chance would give about "
                    f"{expected * n:.0f}; a random choice remembers nothing of the one before"
                )


def _guess(worker: int, down: tuple[int, ...], workers: int) -> str:
    before = (worker - 1) % workers
    if before in down:
        return (
            f". It stands after worker {before}, which is down: does it inherit that one's "
            "share? Draw among cluster.up instead of walking on from a worker that is down"
        )
    return ". How many equally likely values does your draw have, and how many workers are up?"


def _named(workers: tuple[int, ...]) -> str:
    return ("worker " if len(workers) == 1 else "workers ") + " and ".join(map(str, workers))


def _plain(workers: int, load: float) -> "tuple[Workload, Cluster]":
    from lbsim.cluster import Cluster
    from lbsim.workload import Exponential, Workload

    cluster = Cluster(workers)
    workload = Workload.synthetic(
        1500, service=Exponential(0.010), load=load, cluster=cluster, seed=4
    )
    return workload, cluster

"""Check that a policy beats another one, on the same requests and beyond chance."""

from typing import TYPE_CHECKING

from lbsim.policies import PowerOfD
from lbsim.policy import Policy
from lbsim.teach.checks.verdict import CheckFailed, Verdict, contract, explained

if TYPE_CHECKING:
    from lbsim.cluster import Cluster
    from lbsim.workload import Workload

__all__ = ["beats_power_of_two", "mixed_workload"]

REPLICATIONS = 6


def mixed_workload(n: int = 6000) -> "tuple[Workload, Cluster]":
    """Return the workload of the exercise and its cluster of eight workers.

    Nine in ten requests are pages (kind 0, 5 ms on average), one in ten is a search (kind 1,
    heavy-tailed, 55 ms on average). Sizes are known to within a factor of about 2.
    """
    from lbsim import data
    from lbsim.cluster import Cluster

    cluster = Cluster(8)
    return data.heavy_tailed(cluster, load=0.8, n=n, seed=77), cluster


def beats_power_of_two(policy: Policy, n: int = 6000) -> Verdict:
    """Check that the p99 is below that of ``PowerOfD(2)`` in paired replications.

    Parameters
    ----------
    policy : Policy
        No oracle, and it answers every request.
    n : int, default 6000
        Requests of a replication.

    Raises
    ------
    CheckFailed
        With both figures, the interval of the difference, and the slowest request.
    """
    from lbsim.experiment import compare

    verdict = Verdict("better than the power of two choices")
    contract(policy, verdict)
    if policy.oracle:
        raise CheckFailed(
            f"{type(policy).__name__} reads request.service (oracle = True), which no real master "
            "knows; use request.kind and request.size, or the cluster's load"
        )
    workload, cluster = mixed_workload(n)
    rivals = {"PowerOfD(d=2)": PowerOfD(2), "yours": policy}
    result = explained(lambda: compare(workload, rivals, cluster, REPLICATIONS, seed=5))
    answered = result.figures["yours"]["answered"].min()
    if answered < 1.0:
        raise CheckFailed(
            f"your policy left {1.0 - answered:.1%} of the requests unanswered; refusing requests "
            "makes the others fast, but a p99 counts only if everybody is served"
        )
    mine, theirs = (result.interval(name, "p99") for name in ("yours", "PowerOfD(d=2)"))
    assert mine is not None
    assert theirs is not None
    found, _ = result.differences("p99")[("PowerOfD(d=2)", "yours")]
    # The difference is first minus second: how much is saved.
    saved = found.interval
    figures = (
        f"p99 {mine.estimate * 1e3:.0f} ms, and {theirs.estimate * 1e3:.0f} ms under "
        f"PowerOfD(d=2); saved {saved.estimate * 1e3:.0f} ms "
        f"({saved.low * 1e3:.0f} to {saved.high * 1e3:.0f}, {REPLICATIONS} replications)"
    )
    if not saved.low > 0.0:
        worse = "that is worse" if saved.estimate < 0.0 else "that may be chance"
        raise CheckFailed(
            f"{figures}: {worse}. The slowest request of your first run: "
            f"{result.runs['yours'].slowest(1)[0]}"
        )
    verdict.ok(figures)
    return verdict

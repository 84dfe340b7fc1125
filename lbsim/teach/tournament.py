"""A tournament: policies against each other on workloads that nobody has seen.

Three rounds are drawn from a seed: different numbers of workers, loads, and laws of service
time. A policy's score in a round is its p99 divided by that of `LeastConnections` on the same
requests; its score is the geometric mean over the rounds, so that no round counts for more
because its times are longer. Less is better, and 1 is least connections.
"""

import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lbsim.errors import InputError, PolicyError
from lbsim.policy import Policy

if TYPE_CHECKING:
    import pandas as pd

    from lbsim.cluster import Cluster
    from lbsim.run import Run
    from lbsim.workload import Workload

__all__ = ["Leaderboard", "rounds", "tournament"]

Runner = Callable[["Workload", Policy, "Cluster"], "Run"]
ROUNDS = 3


@dataclass(frozen=True)
class Leaderboard:
    """The result of a tournament.

    Attributes
    ----------
    seed : int
        Draws the same rounds again.
    scores : dict of str to float
        Best first.
    p99 : dict of str to tuple of float
        In each round, in seconds.
    out : dict of str to str
        Who did not count, and why.
    """

    seed: int
    rounds: tuple[str, ...]
    scores: dict[str, float]
    p99: dict[str, tuple[float, ...]]
    out: dict[str, str]

    def frame(self) -> "pd.DataFrame":
        """Return one row per policy that counted; p99 in seconds."""
        import pandas as pd

        columns = {"score": self.scores}
        for i in range(len(self.rounds)):
            columns[f"p99, round {i + 1}"] = {name: self.p99[name][i] for name in self.scores}
        return pd.DataFrame(columns).reindex(list(self.scores))

    def __repr__(self) -> str:
        lines = [f"Tournament, seed {self.seed} (less is better; 1 is LeastConnections)"]
        lines += [f"  round {i}: {text}" for i, text in enumerate(self.rounds, 1)]
        width = max(len(name) for name in (*self.scores, *self.out, "policy"))
        heads = "".join(f"{f'p99 {i} [ms]':>13}" for i in range(1, len(self.rounds) + 1))
        lines.append(f"      {'policy':{width}}  score{heads}")
        for place, (name, score) in enumerate(self.scores.items(), 1):
            times = "".join(f"{1e3 * t:13,.0f}" for t in self.p99[name])
            lines.append(f"  {place:2}. {name:{width}}  {score:5.2f}{times}")
        lines += [f"   –  {name:{width}}  out: {reason}" for name, reason in self.out.items()]
        return "\n".join(lines)


def rounds(seed: int, n: int = 5000) -> "list[tuple[str, Workload, Cluster]]":
    """Draw the rounds of a tournament: what each is like, its workload and its cluster."""
    from lbsim.cluster import Cluster
    from lbsim.workload import Bimodal, BoundedPareto, Exponential, Sessions, Workload

    rng = np.random.default_rng(seed)
    laws = [
        BoundedPareto(alpha=float(rng.uniform(1.2, 1.8)), mean=0.010, maximum=1.0),
        Bimodal(low=0.004, high=float(rng.uniform(0.08, 0.2)), high_share=0.05),
        Exponential(0.010),
    ]
    drawn = []
    for law in laws:
        cluster = Cluster(int(rng.integers(3, 13)))
        load = round(float(rng.uniform(0.6, 0.9)), 2)
        workload = Workload.synthetic(
            n,
            service=law,
            sessions=Sessions(500),
            size_error=0.5,
            load=load,
            cluster=cluster,
            seed=int(rng.integers(2**31)),
        )
        text = f"{cluster.workers} workers, load {load:g}, {type(law).__name__}"
        drawn.append((text, workload, cluster))
    return drawn


def tournament(
    entries: Mapping[str, Policy],
    seed: int | None = None,
    n: int = 5000,
    run: Runner | None = None,
) -> Leaderboard:
    """Let policies compete.

    Parameters
    ----------
    entries : mapping of str to Policy
    seed : int, optional
        Of the rounds. A fresh one by default, so that nobody can tune a policy to it; the
        leaderboard names it.
    n : int, default 5000
        Requests of a round.
    run : callable, optional
        How a workload, a policy and a cluster become a run: `lbsim.simulate` by default. To
        measure on real workers give
        ``lambda w, policy, cluster: live.measure(w, policy, workers=cluster.workers)``.

    Returns
    -------
    Leaderboard
        A policy is out if it breaks its contract, reads service times, or leaves a request
        unanswered.
    """
    from lbsim.policies import LeastConnections
    from lbsim.simulate import simulate

    if not entries:
        raise InputError("entries is empty; give at least one policy by name")
    seed = secrets.randbits(31) if seed is None else seed
    play: Runner = run or (lambda workload, policy, cluster: simulate(workload, policy, cluster))
    times: dict[str, list[float]] = {name: [] for name in entries}
    ratios: dict[str, list[float]] = {name: [] for name in entries}
    out: dict[str, str] = {}
    drawn = rounds(seed, n)
    for _, workload, cluster in drawn:
        par = float(play(workload, LeastConnections(), cluster).quantile(0.99))
        for name, policy in entries.items():
            if name in out:
                continue
            reason, p99 = _played(play, workload, policy, cluster)
            if reason:
                out[name] = reason
            else:
                times[name].append(p99)
                ratios[name].append(p99 / par)
    scores = {
        name: math.exp(float(np.mean(np.log(ratios[name])))) for name in entries if name not in out
    }
    ordered = dict(sorted(scores.items(), key=lambda item: item[1]))
    counted = {name: tuple(times[name]) for name in ordered}
    return Leaderboard(seed, tuple(text for text, _, _ in drawn), ordered, counted, out)


def _played(
    play: Runner, workload: "Workload", policy: Policy, cluster: "Cluster"
) -> tuple[str, float]:
    """Return why a policy is out (or nothing) and its p99."""
    if not isinstance(policy, Policy):
        return f"{policy!r} is not a policy object", math.nan
    if policy.oracle:
        return "it reads the true service time, which no master knows", math.nan
    try:
        run = play(workload, policy, cluster)
    except (PolicyError, InputError) as error:
        return str(error), math.nan
    unanswered = int((run.outcome != 0).sum())
    if unanswered:
        return f"it left {unanswered} of {len(run)} requests unanswered", math.nan
    return "", float(run.quantile(0.99))

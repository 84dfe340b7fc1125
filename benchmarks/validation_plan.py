"""What the validation matrix (`benchmarks/validation.py`) measures: its cells, runs and seeds."""

import shutil
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from lbsim import (
    Bimodal,
    BoundedPareto,
    Cluster,
    Exponential,
    Lognormal,
    Policy,
    Sessions,
    Workload,
    policies,
)
from live.lab.pair import quantiles_of

MEAN_S = 0.010
LAWS = {
    "pareto": BoundedPareto(alpha=1.5, mean=MEAN_S, maximum=1.0),
    "exponential": Exponential(MEAN_S),
    "bimodal": Bimodal(0.005, 0.055, 0.1),
}
OTHER_LAWS = {"lognormal": Lognormal(MEAN_S, scv=4.0)}
WORKERS = (4, 8)
LOADS = (0.3, 0.5, 0.7, 0.85)
BLIND = ("RoundRobin", "Random", "ConsistentHash")
AWARE = ("LeastConnections", "PowerOfD:d=2", "CentralQueue", "BoundedQueue:k=2", "NodeCluster")
NODES = {"Node": "rr", "Node SCHED_NONE": "none"}
KERNEL = ("shared", "reuseport")  # our own workers; the master has no say
MODELS = {  # that are to predict what is no policy
    "Node": "NodeCluster",
    "Node SCHED_NONE": "NodeSchedNone",
    "shared": "SharedAccept",
    "reuseport": "Random",  # only a name; `Recorded` takes its place
}
# The revision since which runs count, of few requests a second and of many; those of an earlier one
# stay in the file and are made again. Not all need be of the last. Of our own master those of few
# requests, since its workers were calibrated at such a rate before there were two; of choices that
# do not depend on load those of many too, since only their prediction intervals have changed; of
# the others, though what of a calibration was disturbed was not repeated, or not kept whether that
# helped. Where our workers accept for themselves, since their calibrations know an idle worker's
# waking apart and it is left out of nothing else; to `SCHED_NONE`, since they know it; to others it
# makes no difference. Node's own further seeds, though they were warmed less. Since 18 it is known
# what other processes computed meanwhile.
REVISION = 18
SINCE = dict.fromkeys(BLIND, (4, 12)) | dict.fromkeys(AWARE, (9, 12)) | {
    "shared": (17, 17), "reuseport": (14, 14), "Node": (14, 14), "Node SCHED_NONE": (16, 16),
}  # fmt: skip
FEW = 390.0  # requests a second
REQUESTS = 5000
SEED = 20260101
# Of the pooled cells. With the first ten two policies' intervals reached beyond 5 %, so the second
# ten were added, for all of them, before any was measured.
SEEDS = tuple(range(1, 21))
POOLED = (4, 0.7, "pareto")
# Nothing was tried on these: other numbers of workers, other loads, a law and seeds of their own.
# The first showed what was wrong with `shared`, so a second was drawn after that was mended.
HELD_OUT = {
    20261130: ((3, 0.6, "lognormal"), (3, 0.8, "exponential"), (6, 0.4, "bimodal"),
               (6, 0.8, "lognormal")),
    20261202: ((2, 0.65, "pareto"), (5, 0.75, "lognormal"), (7, 0.55, "exponential")),
}  # fmt: skip
HELD_OUT_POLICIES = ("RoundRobin", "ConsistentHash", "LeastConnections", "CentralQueue",
                     "NodeCluster", "shared")  # fmt: skip
QUANTILES = quantiles_of(REQUESTS)


@dataclass(frozen=True)
class Job:
    """One measured run."""

    workers: int
    load: float
    law: str
    policy: str
    seed: int

    @property
    def name(self) -> str:
        """What it is called in files."""
        policy = self.policy.replace(":", "_").replace("=", "").replace(" ", "-")
        return f"{self.law}-{self.workers}-{self.load:g}-{policy}-{self.seed}"

    @property
    def cluster(self) -> Cluster:
        """The workers."""
        return Cluster(self.workers, discipline="event_loop")

    def workload(self) -> Workload:
        """Return its requests; all policies of a cell and seed get the same."""
        return Workload.synthetic(
            REQUESTS, service=(LAWS | OTHER_LAWS)[self.law], load=self.load, cluster=self.cluster,
            seed=self.seed, sessions=Sessions(500),
        )  # fmt: skip

    def model(self) -> Policy:
        """Return the policy that is to predict it."""
        return policies.parse(MODELS.get(self.policy, self.policy))


def jobs() -> list[Job]:
    """Return all runs, in the order in which they are made."""
    node = tuple(NODES) if shutil.which("node") else ()
    matrix = [
        Job(workers, load, law, policy, SEED)
        for workers in WORKERS
        for load in LOADS
        for law in LAWS
        for policy in (*BLIND, *AWARE, *KERNEL, *node)
    ]
    pooled = [Job(*POOLED, policy, seed) for policy in (*AWARE, *node[:1]) for seed in SEEDS]
    rng = np.random.default_rng(SEED)
    drawn = [[kind[i] for i in rng.permutation(len(kind))] for kind in (matrix, pooled)]
    held_out = [
        Job(*cell, policy, seed)
        for seed, cells in HELD_OUT.items()
        for cell in cells
        for policy in (*HELD_OUT_POLICIES, *node)
    ]
    return [job for turn in zip_longest(*drawn) for job in turn if job is not None] + held_out


def side(policy: str) -> str:
    """Return what has to be calibrated for a policy."""
    return policy if policy in (*NODES, *KERNEL) else "pass"


def is_current(row: dict[str, Any]) -> bool:
    """Say whether a run would be made in the same way now."""
    of_few, of_many = SINCE.get(row["policy"], (REVISION, REVISION))
    is_few = row["workers"] * row["load"] / MEAN_S <= FEW
    return bool(row["revision"] >= (of_few if is_few else of_many))

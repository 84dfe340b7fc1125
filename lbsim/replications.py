"""Replications of an experiment, on all cores.

What a replication gives depends on its number and on nothing else, so the figures are the same
however many run at once. The first one runs here: it shows which engine is used and how long one
takes. Compiled code lets go of the interpreter while it runs, so its replications share this
process; those of the readable engine are given to other processes, if that is worth starting some.
"""

import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.engines.interrupt import all_or_nothing
from lbsim.engines.progress import silent
from lbsim.measures import measure
from lbsim.policy import Policy
from lbsim.run import Run
from lbsim.simulate import simulate
from lbsim.stats.warmup import mser5

if TYPE_CHECKING:
    from lbsim.workload import Workload

__all__ = ["Figures", "Replication", "run_all"]

THREADS_PAY_S = 0.5
PROCESSES_PAY_S = 4.0
"""What is left to do, in seconds, from which on it is divided. A process must import first."""


@dataclass(frozen=True)
class Replication:
    """How to run a replication: all but its number."""

    workload: "Workload"
    policies: Mapping[str, Policy]
    cluster: Cluster
    client: Client
    engine: str
    seed: int

    def runs(self, i: int) -> dict[str, Run]:
        """Run all policies on sample `i` of the workload."""
        sample = self.workload.replicate(i)
        seed = _seed(self.seed, i)
        with all_or_nothing():
            return {
                name: simulate(sample, policy, self.cluster, self.engine, seed, self.client)
                for name, policy in self.policies.items()
            }

    def figures(self, i: int) -> "Figures":
        """Run all policies on sample `i`, and measure."""
        with silent():
            return figures_of(self.runs(i))


@dataclass(frozen=True)
class Figures:
    """What one replication has shown.

    Attributes
    ----------
    cut : int
        Warm-up, in requests: the latest of the policies' cuts; 0 for a trace.
    values : dict of str to dict of str to float
        ``values[policy][measure]``.
    """

    cut: int
    values: dict[str, dict[str, float]]


def figures_of(runs: dict[str, Run]) -> Figures:
    """Measure the runs of one replication."""
    cut = max(_warmup(run) if run.workload.is_synthetic else 0 for run in runs.values())
    return Figures(cut, {name: measure(run, cut) for name, run in runs.items()})


def run_all(
    task: Replication, count: int, n_jobs: int | None, done: Callable[[int], None]
) -> tuple[dict[str, Run], list[Figures], bool]:
    """Run replications 0 to ``count - 1``.

    Parameters
    ----------
    task : Replication
    count : int
    n_jobs : int or None
        How many may run at once; None is one a core, where it pays.
    done : callable
        Told how many are done.

    Returns
    -------
    runs : dict of str to Run
        Of replication 0.
    figures : list of Figures
        Of all, or after Ctrl-C of those before the first that was not done.
    interrupted : bool

    Raises
    ------
    KeyboardInterrupt
        Before the first replication was done.
    """
    begin = time.monotonic()
    runs = task.runs(0)
    figures = [figures_of(runs)]
    done(1)
    one = time.monotonic() - begin
    is_compiled = all(run.source == "compiled" for run in runs.values())
    jobs = min(n_jobs or _cores(), count - 1)
    if n_jobs is None and one * (count - 1) < (THREADS_PAY_S if is_compiled else PROCESSES_PAY_S):
        jobs = 1
    if jobs <= 1:
        rest = _here(task, count)
    elif is_compiled:
        rest = _in_threads(task, count, jobs)
    else:
        rest = _in_processes(task, count, jobs)
    try:
        with closing(rest):
            for found in rest:
                figures.append(found)
                done(len(figures))
    except KeyboardInterrupt:
        return runs, figures, True
    return runs, figures, False


def _here(task: Replication, count: int) -> Generator[Figures, None, None]:
    for i in range(1, count):
        yield task.figures(i)


def _in_threads(task: Replication, count: int, jobs: int) -> Generator[Figures, None, None]:
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(jobs, thread_name_prefix="lbsim-replication")
    try:
        yield from pool.map(task.figures, range(1, count))
    finally:
        # After Ctrl-C what is running ends by itself, unheard; nothing new begins.
        pool.shutdown(wait=False, cancel_futures=True)


def _in_processes(task: Replication, count: int, jobs: int) -> Generator[Figures, None, None]:
    import joblib

    if task.workload.is_synthetic:  # drawn there; the columns need not travel
        task = replace(task, workload=replace(task.workload))
    parallel = joblib.Parallel(n_jobs=jobs, backend="loky", return_as="generator")
    yield from parallel(joblib.delayed(task.figures)(i) for i in range(1, count))


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _seed(seed: int, replication: int) -> int:
    """Return the policies' seed in one replication."""
    sequence = np.random.SeedSequence(seed, spawn_key=(replication,))
    return int(sequence.generate_state(1, np.uint32)[0])


def _warmup(run: Run) -> int:
    """Return the length of the warm-up, in requests; unanswered ones are passed over."""
    answered = np.flatnonzero(~np.isnan(run.latency))
    if len(answered) < 10:
        return 0
    cut = mser5(run.latency[answered]).cut
    return int(answered[cut]) if cut else 0

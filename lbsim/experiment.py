"""Experiments: several policies on the same requests, many times."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lbsim import checks
from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.comparison import Comparison
from lbsim.engines.progress import Progress, silent
from lbsim.errors import InputError
from lbsim.measures import MEASURES
from lbsim.policy import Policy
from lbsim.replications import Replication, run_all

if TYPE_CHECKING:
    import pandas as pd

    from lbsim.workload import Workload

__all__ = ["compare", "sweep"]


def compare(
    workload: "Workload",
    policies: Sequence[Policy] | Mapping[str, Policy],
    cluster: Cluster,
    replications: int = 10,
    seed: int = 0,
    client: Client | None = None,
    engine: str = "auto",
    confidence: float = 0.95,
    n_jobs: int | None = None,
    progress: bool = True,
) -> Comparison:
    """Run several policies on the same requests.

    Parameters
    ----------
    workload : Workload
        A synthetic one is drawn anew for each replication; a trace is run as it is, then
        resampled in moving blocks (`Workload.replicate`).
    policies : sequence of Policy, or mapping of str to Policy
        Named by their repr if no names are given.
    cluster : Cluster
    replications : int, default 10
    seed : int, default 0
        Of the policies' chance. In one replication all policies have the same.
    client : Client, optional
    engine : {"auto", "readable", "compiled"}
    confidence : float, default 0.95
    n_jobs : int, optional
        Replications that run at once: by default one a core, where that saves time. The
        figures do not depend on it.
    progress : bool, default True
        Show a progress bar from the third second on.

    Returns
    -------
    Comparison
        After Ctrl-C that of the replications which were done, as if no more had been asked for;
        it says so.

    Notes
    -----
    The warm-up of synthetic runs is cut by MSER-5 on the latencies, at the latest of the
    policies' cuts, so that the same requests count for all. Nothing is cut from a trace.
    """
    count = _count(workload, replications)
    with silent(when=not progress), Progress(count, "replication") as bar:
        result, _ = _compare(
            workload,
            policies,
            cluster,
            replications,
            seed,
            client,
            engine,
            confidence,
            n_jobs,
            bar.done,
        )
    return result


def _count(workload: "Workload", replications: int) -> int:
    """Return how often each policy is run.

    Of a trace, number 0 is the trace itself and the resamples follow.
    """
    checks.count("compare", "replications", replications)
    return replications + (not workload.is_synthetic and replications > 1)


def _compare(
    workload: "Workload",
    policies: Sequence[Policy] | Mapping[str, Policy],
    cluster: Cluster,
    replications: int,
    seed: int,
    client: Client | None,
    engine: str,
    confidence: float,
    n_jobs: int | None,
    done: Callable[[int], None],
) -> tuple[Comparison, bool]:
    """Do what `compare` does, and tell `done` how many replications are done.

    Returns
    -------
    result : Comparison
    interrupted : bool
    """
    named = dict(policies) if isinstance(policies, Mapping) else {repr(p): p for p in policies}
    if not named:
        raise InputError("policies is empty; give at least one policy")
    if not 0.0 < confidence < 1.0:
        raise InputError(
            f"confidence = {confidence!r} must lie strictly between 0 and 1; write 0.95 for 95 %"
        )
    if n_jobs is not None:
        checks.count("compare", "n_jobs", n_jobs)
    client = Client() if client is None else client
    task = Replication(workload, named, cluster, client, engine, seed)
    first, found, interrupted = run_all(task, _count(workload, replications), n_jobs, done)
    figures = {
        name: {m.name: np.array([part.values[name][m.name] for part in found]) for m in MEASURES}
        for name in named
    }
    cuts = [part.cut for part in found]
    result = Comparison(
        workload,
        cluster,
        client,
        seed,
        first,
        figures,
        tuple(cuts if workload.is_synthetic else cuts[1:] or cuts),
        confidence,
        replications,
    )
    return result, interrupted


def sweep(
    workload: "Workload",
    policies: Sequence[Policy] | Mapping[str, Policy],
    cluster: Cluster,
    loads: Sequence[float],
    replications: int = 5,
    seed: int = 0,
    client: Client | None = None,
    engine: str = "auto",
    n_jobs: int | None = None,
    progress: bool = True,
) -> "pd.DataFrame":
    """Compare policies at several loads: what `lbsim.plot.latency_against_load` draws.

    Parameters
    ----------
    workload : Workload
        Rescaled to each load (`Workload.scaled`).
    loads : sequence of float
        Offered load per worker.
    policies, cluster, replications, seed, client, engine, n_jobs, progress
        As in `compare`.

    Returns
    -------
    DataFrame
        `Comparison.frame` of every load, with a column ``load``.

    Warns
    -----
    UserWarning
        After Ctrl-C: the table holds the loads that were done.
    """
    import pandas as pd

    if len(loads) == 0:
        raise InputError("loads is empty; give at least one load, such as [0.5, 0.8, 0.9]")
    parts: list[pd.DataFrame] = []
    count = _count(workload, replications)
    with silent(when=not progress), Progress(len(loads) * count, "replication") as bar:
        for i, load in enumerate(loads):
            try:
                result, interrupted = _compare(
                    workload.scaled(load, cluster),
                    policies,
                    cluster,
                    replications,
                    seed,
                    client,
                    engine,
                    0.95,
                    n_jobs,
                    partial(_add, bar.done, i * count),
                )
            except KeyboardInterrupt:  # before its first replication was done
                if not parts:
                    raise
                interrupted = True
            else:
                if result.is_complete:
                    parts.append(result.frame().assign(load=load))
            if interrupted:
                break
    if not parts:
        raise KeyboardInterrupt
    if len(parts) < len(loads):
        warnings.warn(f"interrupted: {len(parts)} of {len(loads)} loads were done", stacklevel=2)
    return pd.concat(parts, ignore_index=True)


def _add(done: Callable[[int], None], before: int, steps: int) -> None:
    done(before + steps)

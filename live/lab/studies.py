"""Every policy, simulated and measured on the same requests."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbsim import stats
from lbsim.calibration import Calibration
from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.errors import InputError
from lbsim.policy import Policy
from lbsim.simulate import simulate
from live.calibrate import WORKERS, calibrate, calibrate_again
from live.lab.bench import CALIBRATE_S, Bench, Teller
from live.lab.pair import LEAST, Pair
from live.machine import Disturbance, Watch
from live.options import check_policy

if TYPE_CHECKING:
    import pandas as pd

    from lbsim.workload import Workload

__all__ = ["REPLAYS", "Study", "requests_for", "study"]

REPLAYS = 200
"""Simulated replays of each policy."""

OVERHEAD_S = 2.0
"""About how long a measured run takes beside its requests: a server starts and stops."""

AGAIN_S = 3.0
"""How long a calibration is repeated for afterwards."""

SERVERS_S = 12.0
"""About how long a calibration's servers and load generators take to start and stop."""

PAGE_S = 6.0
"""About how long the page and its pictures take."""

SIMULATED = 0.2
"""Share of a budget for simulating."""


class _Silent:
    def stage(self, text: str) -> None:
        pass

    def progress(self, done: int, total: int) -> None:
        pass


@dataclass(frozen=True, eq=False)
class Study:
    """What a study found.

    Attributes
    ----------
    workload : Workload
    cluster : Cluster
        Without the machine's costs.
    calibration : Calibration
    pairs : list of Pair
        One per policy, in the order asked for.
    seed : int
    disturbance : Disturbance
        What the machine did meanwhile, in simulations and preparations too.
    is_complete : bool
        False if it was stopped.
    busy : {"sleep", "spin"}
        What computing was.
    notes : list of str
    """

    workload: "Workload"
    cluster: Cluster
    calibration: Calibration
    pairs: list[Pair]
    seed: int
    disturbance: Disturbance
    is_complete: bool
    busy: str = "sleep"
    notes: list[str] = field(default_factory=list)

    # --- tables ------------------------------------------------------------------------------

    def quantiles(self) -> "pd.DataFrame":
        """Return `Pair.quantiles` of every policy."""
        return self._quantiles.copy()

    @cached_property
    def _quantiles(self) -> "pd.DataFrame":
        return _concat([pair.quantiles(self.seed) for pair in self.pairs])

    def distances(self) -> "pd.DataFrame":
        """Return `Pair.distances` of every policy."""
        import pandas as pd

        return pd.DataFrame([pair.distances() for pair in self.pairs])

    def breakdown(self) -> "pd.DataFrame":
        """Return `Pair.breakdown` of every policy."""
        return _concat([pair.breakdown() for pair in self.pairs])

    def losses(self) -> "pd.DataFrame":
        """Return `Pair.losses` of every policy."""
        return _concat([pair.losses() for pair in self.pairs])

    def ranking(self, q: float = 0.99) -> "pd.DataFrame":
        """Rank the policies by a quantile, measured and simulated.

        Returns
        -------
        DataFrame
            One row per policy: `measured` with its block bootstrap interval, `simulated` with
            its prediction interval (seconds), and the two ranks.
        """
        import pandas as pd

        rows = []
        for pair in self.pairs:
            ok = pair.answered()
            low, middle, high = pair.prediction.of(ok).interval(q)
            (interval,) = stats.quantile_intervals(pair.measured.latency[ok], [q], seed=self.seed)
            rows.append(
                {
                    "policy": pair.name,
                    "measured": interval.estimate,
                    "measured_low": interval.low,
                    "measured_high": interval.high,
                    "simulated": middle,
                    "simulated_low": low,
                    "simulated_high": high,
                }
            )
        table = pd.DataFrame(rows)
        for source in ("measured", "simulated"):
            table[f"{source}_rank"] = table[source].rank().astype(int)
        return table.sort_values("measured", ignore_index=True)

    def disagreements(self, q: float = 0.99) -> list[tuple[str, str]]:
        """Return the pairs of policies that are ranked differently, and not by chance.

        That is: neither their measured nor their simulated intervals overlap, and the order is
        not the same.
        """
        table = self.ranking(q).set_index("policy")
        found = []
        for i, one in enumerate(table.index):
            for other in table.index[i + 1 :]:
                orders = {
                    source: _order(table.loc[one], table.loc[other], source)
                    for source in ("measured", "simulated")
                }
                if orders["measured"] * orders["simulated"] < 0:
                    found.append((str(one), str(other)))
        return found

    def failures(self, confidence: float = 0.95) -> list[str]:
        """Return in words what is out of its band, our own server only.

        Parameters
        ----------
        confidence : float, default 0.95
            Of the prediction intervals.
        """
        words = [line for pair in self.pairs for line in pair.failures(self.seed, confidence)]
        return words + [
            f"{one} and {other} are ranked the other way round by p99"
            for one, other in self.disagreements()
        ]

    @property
    def noise(self) -> list[str]:
        """Why these measurements are not to be trusted; nothing if they are."""
        runs = {
            f"{pair.name} ({server})": run
            for pair in self.pairs
            for server, run in {"live": pair.measured, **pair.peers}.items()
        }
        words = [
            f"{name}: {run.lateness}" for name, run in runs.items() if not run.lateness.is_valid
        ]
        if self.busy == "sleep":  # else workers compute, and wait for each other's processors
            words += [
                f"{name}: the machine was not ours alone: {run.disturbance}"
                for name, run in runs.items()
                if not run.disturbance.is_quiet
            ]
        if not self.calibration.is_quiet:
            words.append("the machine was not ours alone while its costs were measured")
        return words

    # --- files -------------------------------------------------------------------------------

    def save(self, directory: Path) -> Path:
        """Write the page and tidy tables; an earlier study in that place is replaced."""
        from live.lab.files import write_all

        return write_all(self, directory)


def study(
    workload: "Workload",
    policies: Mapping[str, Policy],
    cluster: Cluster,
    *,
    calibration: Calibration | None = None,
    replays: int = REPLAYS,
    seed: int = 1,
    client: Client | None = None,
    busy: str = "sleep",
    node: bool = True,
    against: str | None = None,
    seconds: float | None = None,
    teller: Teller | None = None,
) -> Study:
    """Simulate and measure every policy on the same requests.

    Parameters
    ----------
    workload : Workload
    policies : mapping of str to Policy
    cluster : Cluster
        As for `live.measure`.
    calibration : Calibration, optional
        If not given, measured before and after the policies, and the mean of both is used.
    replays : int, default 200
    seed : int, default 1
        Of the policies' chance and the jitter.
    client, busy
        As for `live.measure`.
    node : bool, default True
        Measure Node.js's cluster too if there is a ``node``: its SCHED_RR for `NodeCluster`, and
        for `SharedAccept` its SCHED_NONE, which `NodeSchedNone` predicts.
    against : str, optional
        URL of a server that is measured too, and compared with every policy.
    seconds : float, optional
        How long to simulate each policy at most (`lbsim.calibration.Calibration.predict`).
    teller : Teller, optional

    Returns
    -------
    Study
        Of the policies that were done, if it is interrupted (Ctrl-C).
    """
    _check(policies)
    teller = _Silent() if teller is None else teller
    watch = Watch()
    # A policy that cannot be simulated is found out before anything is measured.
    bare = {
        name: simulate(workload, policy, cluster, seed=seed, client=client)
        for name, policy in policies.items()
    }
    given = calibration
    # More of them would need more requests a second than the processors may be able to do.
    workers = min(cluster.workers, max(WORKERS))
    calibrations = [
        calibrate(CALIBRATE_S, say=teller.stage, workers=[workers]) if given is None else given
    ]
    bench = Bench(workload, cluster, client, busy, seed, teller)
    if busy == "spin":
        bench.notes.append(
            f"The workers really computed, on {os.cpu_count()} processors. The simulation gives "
            "each a processor of its own, at costs that were measured of workers that sleep: it is "
            "too fast where more of them compute than there are processors."
        )
    try:
        others = {} if against is None else bench.server(against, next(iter(policies.values())))
        for name, policy in policies.items():
            is_enough = bench.policy(name, policy, others)
            if node and is_enough and bench.is_complete:
                bench.node(name, policy)
            if not is_enough or not bench.is_complete:
                break
        if given is None and bench.is_complete:
            # Once more, to know by how much the machine changes.
            calibrations.append(
                calibrate_again(calibrations[0], AGAIN_S, say=teller.stage, workers=workers)
            )
    except KeyboardInterrupt:
        bench.is_complete = False
    # What a worker is occupied for was measured once, however often the ways were.
    calibration = replace(Calibration.pooled(calibrations), unsure=calibrations[0].unsure)
    pairs: list[Pair] = []
    try:
        for name, run in bench.runs.items():
            teller.stage(f"{name}: simulating {replays} replays")
            seen = {"live": run, **bench.peers[name]}
            predictions = {
                server: costs.predict(
                    workload, seen[server].policy, cluster, replays=replays, seed=seed,
                    jitter_seed=seed, client=client, seconds=seconds, making=seen[server].making,
                    # A worker that computes does not wake at its end.
                    theft=seen[server].theft if busy == "sleep" else None,
                )
                for server, costs in {"live": calibration, **bench.node_costs}.items()
                if server in seen
            }  # fmt: skip
            prediction = predictions.pop("live")
            pairs.append(Pair(name, bare[name], prediction, run, bench.peers[name], predictions))
    except KeyboardInterrupt:
        bench.is_complete = False
    if not pairs:
        raise InputError("stopped before the first policy was measured; nothing was written")
    return Study(
        workload, cluster, calibration, pairs, seed, watch.look(), bench.is_complete, busy,
        bench.notes,
    )  # fmt: skip


def requests_for(budget_s: float, rate: float, runs: int, calibrations: float) -> int:
    """Return how many requests of each run fit into a budget.

    Parameters
    ----------
    budget_s : float
        Seconds for everything.
    rate : float
        Requests a second.
    runs : int
        How many are measured.
    calibrations : float
        How many are made and repeated too; Node's is half a one.
    """
    each = CALIBRATE_S + AGAIN_S + SERVERS_S
    taken = budget_s * SIMULATED + runs * OVERHEAD_S + calibrations * each + PAGE_S
    n = int(max(0.0, budget_s - taken) / runs * rate)
    if n < 2 * LEAST:
        raise InputError(
            f"a budget of {budget_s:g} s leaves {n} requests for each of {runs} measured runs; "
            "give a larger --budget or fewer policies"
        )
    return n


# --- private parts ---------------------------------------------------------------------------


def _check(policies: Mapping[str, Policy]) -> None:
    if not policies:
        raise InputError("there are 0 policies to study; give at least 1")
    for policy in policies.values():
        check_policy(policy)


def _concat(tables: "Sequence[pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    return pd.concat(tables, ignore_index=True)


def _order(one: Any, other: Any, source: str) -> int:
    """Return -1 or 1 if the intervals are apart, else 0."""
    if one[f"{source}_high"] < other[f"{source}_low"]:
        return -1
    return int(one[f"{source}_low"] > other[f"{source}_high"])

"""What a study measures: its policies, one after the other, and the servers held beside them."""

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lbsim.calibration import Calibration
from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.policies import NodeCluster, NodeSchedNone, SharedAccept
from lbsim.policy import Policy
from live.calibrate import WORKERS, calibrate_node
from live.lab.pair import LEAST
from live.measured import MeasuredRun
from live.measuring import measure, measure_against
from live.peers import node_cluster

if TYPE_CHECKING:
    from lbsim.workload import Workload

__all__ = ["CALIBRATE_S", "Bench", "Teller"]

CALIBRATE_S = 6.0
"""How long a calibration within a study measures; Node.js's half as long."""


class Teller(Protocol):
    """Hears how a study goes on."""

    def stage(self, text: str) -> None:
        """Something else begins."""

    def progress(self, done: int, total: int) -> None:
        """So many requests of the present run are over."""


@dataclass
class Bench:
    """Measures the same requests under several policies.

    Attributes
    ----------
    workload, cluster, client, busy, seed
        As for `live.measure`.
    teller : Teller
    runs : dict of str to MeasuredRun
        Our own server's, by the policy's name.
    peers : dict of str to dict of str to MeasuredRun
        The other servers' that are held beside each policy.
    node_costs : dict of str to Calibration
        What real Node.js costs, by that peer's name.
    notes : list of str
        What the reader should know.
    is_complete : bool
        Whether no run was interrupted.
    """

    workload: "Workload"
    cluster: Cluster
    client: Client | None
    busy: str
    seed: int
    teller: Teller
    runs: dict[str, MeasuredRun] = field(default_factory=dict)
    peers: dict[str, dict[str, MeasuredRun]] = field(default_factory=dict)
    node_costs: dict[str, Calibration] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_complete: bool = True

    def server(self, url: str, policy: Policy) -> dict[str, MeasuredRun]:
        """Measure a server that is there already; return its run by name, if enough came of it."""
        self.teller.stage(f"measuring {url}")
        run = self._kept(measure_against(self.workload, url, policy, self.cluster, **self._sent()))
        return {} if run is None else {url: run}

    def policy(self, name: str, policy: Policy, others: dict[str, MeasuredRun]) -> bool:
        """Measure our own server under a policy, which `others` are held beside.

        Returns
        -------
        bool
            Whether enough requests were answered; else the run is not kept.
        """
        self.teller.stage(f"{name}: measuring {len(self.workload):,} requests")
        run = self._kept(
            measure(
                self.workload, policy, self.cluster, seed=self.seed, busy=self.busy, **self._sent()
            )
        )
        if run is not None:
            self.runs[name], self.peers[name] = run, dict(others)
        return run is not None

    def node(self, name: str, policy: Policy) -> None:
        """Measure and calibrate Node.js too, if it does what a policy that was measured does."""
        scheduling = self._scheduling(policy)
        if scheduling is None:
            return
        if shutil.which("node") is None:
            self.notes.append("There is no node on this machine, so its own curve is missing.")
            return
        self.teller.stage("measuring real Node")
        model = NodeCluster() if scheduling == "rr" else NodeSchedNone()
        n = self.cluster.workers
        with node_cluster(n, scheduling) as peer:
            theirs = f"Node {peer.version} {'SCHED_RR' if scheduling == 'rr' else 'SCHED_NONE'}"
            run = self._kept(
                measure_against(
                    self.workload, peer.url, model, self.cluster, pids=peer.pids, **self._sent()
                )
            )
            if run is None:
                return
            self.peers[name][theirs] = run
            costs = calibrate_node(
                scheduling, CALIBRATE_S / 2, say=self.teller.stage,
                peers={n: peer} if n <= max(WORKERS) else None,
            )  # fmt: skip
        self.node_costs[theirs] = costs
        if not costs.is_quiet:
            self.notes.append(
                f"Other processes took the processors whenever {theirs} was calibrated, so its "
                "prediction may be far off."
            )

    def _sent(self) -> dict[str, Any]:
        """Return how the requests are sent, and who hears of it."""
        return {"client": self.client, "progress": self._count}

    def _count(self, done: int) -> None:
        self.teller.progress(done, len(self.workload))

    def _kept(self, run: MeasuredRun) -> MeasuredRun | None:
        """Return a run of which enough requests were answered."""
        self.is_complete = self.is_complete and run.replay.is_complete
        return run if int((run.outcome == 0).sum()) >= LEAST else None

    def _scheduling(self, policy: Policy) -> str | None:
        """Return which of Node.js's schedulings to hold beside a policy, if it can be measured."""
        if set(self.cluster.speeds) != {1.0} or self.cluster.faults.schedule:
            return None
        return {NodeCluster: "rr", SharedAccept: "none"}.get(type(policy))

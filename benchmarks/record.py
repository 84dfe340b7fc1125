"""Make the recordings in ``data/``: ``python benchmarks/record.py``.

``policies.parquet``: five policies on the same requests, measured on four real workers and
simulated with this machine's costs, and real Node.js; ``faults.parquet``: a crash, a slow worker
and a rolling reload, measured and simulated. Seeds are fixed here. A recording is made once and
kept whatever comes out; a run during which the load generator was late is said to be so.
"""

import argparse
import os
import shutil
import time
from pathlib import Path

import live
from lbsim import (
    BoundedPareto,
    Cluster,
    Crash,
    Reload,
    Run,
    SlowDown,
    Workload,
    policies,
    recordings,
    simulate,
)  # fmt: skip
from lbsim.calibration import Calibration, regime_of
from lbsim.costs import SINGLES
from live.calibrate import calibrate
from live.machine import Watch
from live.measuring import measure_against
from live.peers import node_cluster

POLICIES = ("RoundRobin", "PowerOfD:d=2", "LeastConnections", "CentralQueue", "NodeCluster")
FAULTS = (Crash(1, 2.0), SlowDown(2, 3.0, 2.0, 0.3), Reload(6.0))
SEED = 20260102
LAW = BoundedPareto(alpha=1.5, mean=0.010, maximum=1.0)


def main() -> None:
    """Make both recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000, help="of each run")
    parser.add_argument("--out", type=Path, default=Path("data"), help="directory")
    parser.add_argument("--note", default="", help="what else a reader should know")
    options = parser.parse_args()
    costs = calibrate(30.0, say=print)
    costs.save(options.out / f"calibration-{os.cpu_count()}-cores.json")
    healthy = Cluster(4, discipline="event_loop")
    ill = Cluster(4, discipline="event_loop", faults=FAULTS)
    for name, cluster, load in (("policies", healthy, 0.7), ("faults", ill, 0.5)):
        watch = Watch()
        workload = Workload.synthetic(
            options.requests, service=LAW, load=load, cluster=cluster, seed=SEED
        )
        runs: dict[str, Run] = {}
        for text in POLICIES:
            policy = policies.parse(text)
            runs[f"{text} measured"] = run = live.measure(workload, policy, cluster, seed=SEED)
            print(run)
            costly = costs.apply(cluster, regime_of(policy, cluster))
            runs[f"{text} simulated"] = simulate(workload, policy, costly, seed=SEED)
        if name == "policies" and shutil.which("node"):
            runs["Node measured"] = node(workload, cluster)
        facts = {
            "date": time.strftime("%Y-%m-%d"),
            "seed": SEED,
            "disturbance": vars(watch.look()),
            "calibration": figures(costs),
            "note": options.note,
        }
        recordings.save(runs, options.out / f"{name}.parquet", facts)


def node(workload: Workload, cluster: Cluster) -> Run:
    """Measure real Node.js."""
    with node_cluster(cluster.workers) as peer:
        return measure_against(workload, peer.url, policies.NodeCluster(), cluster, pids=peer.pids)


def figures(costs: Calibration) -> dict[str, float]:
    """Return the single numbers of a calibration."""
    return {name: getattr(costs, name) for name in SINGLES}


if __name__ == "__main__":
    main()

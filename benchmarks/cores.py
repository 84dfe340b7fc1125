"""Past the number of cores: ``python benchmarks/cores.py``.

Workers that really compute, more and more of them: throughput and p99 against the number of
workers, with enough clients to keep them busy. Beyond the number of cores the operating system's
scheduler shares the cores out, and more workers only make every request slower. And one process
against a cluster for a trivial application: when a cluster is not worth it.
"""

import argparse
import os

import numpy as np

import live
from lbsim import ClosedLoop, Cluster, Deterministic, Workload, policies

WORK_S = 0.010
CLIENTS = 24


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=600, help="of each point")
    parser.add_argument("--most", type=int, default=4 * (os.cpu_count() or 1), help="workers")
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} cores; each request computes for {WORK_S * 1e3:g} ms, {CLIENTS} clients"
    )
    print(
        f"{'workers':>8} {'requests/s':>11} {'p50 [ms]':>9} {'p99 [ms]':>9} "
        f"{'service p50 [ms]':>17}"
    )
    counts = [n for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32) if n <= options.most]
    for n in counts:
        row(n, WORK_S, options.requests)
    print("\na trivial application (it computes nothing)")
    for n in counts[:4]:
        row(n, 0.0, 4 * options.requests)


def row(workers: int, work: float, requests: int) -> None:
    """Measure one number of workers."""
    workload = Workload.synthetic(
        requests,
        arrivals=ClosedLoop(clients=CLIENTS, think=Deterministic(0.0)),
        service=Deterministic(work),
        seed=1,
    )
    cluster = Cluster(workers, discipline="event_loop")
    run = live.measure(workload, policies.LeastConnections(), cluster, busy="spin")
    p50, p99 = run.quantile([0.5, 0.99]) * 1e3
    service = run.record.handovers.ended - run.record.handovers.started
    rate = requests / (np.nanmax(run.finished) - np.nanmin(run.arrival))
    print(
        f"{workers:8} {rate:11.0f} {p50:9.1f} {p99:9.1f} {np.median(service) * 1e3:17.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()

"""When the master is the bottleneck: ``python benchmarks/saturation.py``.

Two experiments, each simulated with this machine's calibrated costs and measured:

- *rate*: short requests, faster and faster, in mode "pass".
- *payload*: requests with larger and larger bodies in mode "message", where each byte crosses the
  master (the IPC bottleneck).

In both the policy ponders over each request, and the master has a processor of its own. So it
saturates before the processors that client and workers share, of which the simulator knows nothing.

Prints a table and writes ``saturation.png``.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lbsim import Cluster, ClusterView, Request, Workload, policies
from lbsim.calibration import Calibration
from live.calibrate import calibrate
from live.client import Task, replay
from live.crew import Crew
from live.measuring import server

WORKERS = 4
RATE_PONDER_S = 0.0006
RATES = (100, 300, 600, 800, 1000, 1100, 1200, 1300, 1500)  # a second
PAYLOADS = (0, 10_000, 50_000, 100_000, 200_000, 300_000, 400_000, 500_000)  # bytes
PAYLOAD_RATE = 300.0
PAYLOAD_PONDER_S = 0.0024
REPLAYS = 5
PROCESSORS = sorted(os.sched_getaffinity(0))


class Ponderer(policies.LeastConnections):
    """Least connections, after much thought."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker with the fewest requests, late."""
        until = time.perf_counter() + self.seconds
        while time.perf_counter() < until:
            pass
        return super().choose(request, cluster)


def main() -> None:
    """Run both experiments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each point")
    parser.add_argument("--out", type=Path, default=Path("saturation.png"), help="picture")
    options = parser.parse_args()
    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    costs = calibrate(say=print)
    capacity = 1.0 / (RATE_PONDER_S + costs.accept_s + costs.dispatch_s)
    print(f"the master can pass on {capacity:,.0f} requests a second")
    points = [point(rate, 0.0, "pass", costs, options.seconds, RATE_PONDER_S) for rate in RATES]
    draw(left, RATES, points, "requests a second (mode pass)")
    left.axvline(capacity, color="0.6", linestyle=":", label="capacity of the master")
    costs = calibrate(mode="message", say=print)
    rest_s = 1.0 / PAYLOAD_RATE - PAYLOAD_PONDER_S - costs.accept_s - costs.dispatch_s
    most = rest_s / costs.per_byte_s
    print(
        f"a byte costs the master {costs.per_byte_s * 1e9:.2f} ns, so at {PAYLOAD_RATE:.0f} "
        f"requests a second it can pass on {most:,.0f} bytes with each"
    )
    points = [
        point(PAYLOAD_RATE, size, "message", costs, options.seconds, PAYLOAD_PONDER_S)
        for size in PAYLOADS
    ]
    kilobytes = [size / 1000 for size in PAYLOADS]
    draw(right, kilobytes, points, f"kB a request, {PAYLOAD_RATE:.0f} a second (mode message)")
    right.axvline(most / 1000, color="0.6", linestyle=":", label="capacity of the master")
    left.legend(frameon=False, fontsize="small")
    figure.savefig(options.out, dpi=150)
    print(f"picture: {options.out}")


def point(
    rate: float, payload: float, mode: str, costs: Calibration, seconds: float, ponder_s: float
) -> tuple[float, ...]:
    """Return p50 and p99, simulated and measured, in seconds."""
    n = max(100, int(rate * seconds))
    workload = Workload.synthetic(n, service=1e-4, rate=rate, payload=payload, seed=1)
    cluster = Cluster(WORKERS, discipline="event_loop")
    with server(Ponderer(ponder_s), cluster, mode=mode) as running:
        give_own_processor(running.crew)
        seen = replay(Task.of(workload, running.crew.address))
    # In virtual time thinking costs nothing, so the master's costs say what it costs: as long as
    # the policy says, however slow the machine is.
    pensive = replace(costs, accept_s=costs.accept_s + ponder_s, levels=(1.0,))
    predicted = pensive.predict(workload, policies.LeastConnections(), cluster, replays=REPLAYS)
    simulated = [predicted.interval(q)[1] for q in (0.5, 0.99)]
    measured = np.nanquantile(seen.finished - seen.due, [0.5, 0.99]).tolist()
    print(
        f"{mode:8} {rate:6.0f}/s {payload:8.0f} B   p50 {simulated[0] * 1e3:8.2f} simulated "
        f"{measured[0] * 1e3:8.2f} measured   p99 {simulated[1] * 1e3:8.2f} "
        f"{measured[1] * 1e3:8.2f} ms {'' if seen.lateness.is_valid else '  client late'}",
        flush=True,
    )
    return (*simulated, *measured)


def give_own_processor(crew: Crew) -> None:
    """Let the master have a processor, and everybody else the others."""
    first, *others = PROCESSORS
    os.sched_setaffinity(crew.master_pid, {first})
    for pid in (os.getpid(), *crew.pids.values()):
        os.sched_setaffinity(pid, others or {first})


def draw(ax: object, x: object, points: list[tuple[float, ...]], label: str) -> None:
    """Draw both quantiles, simulated and measured."""
    table = np.array(points) * 1e3
    for column, name, style in (
        (0, "p50 simulated", "C1--"), (2, "p50 measured", "C0-"),
        (1, "p99 simulated", "C1:"), (3, "p99 measured", "C0-."),
    ):  # fmt: skip
        ax.plot(x, table[:, column], style, marker=".", label=name)
    ax.set_yscale("log")
    ax.set_xlabel(label)
    ax.set_ylabel("latency [ms]")


if __name__ == "__main__":
    main()

"""When the master is the bottleneck: ``python benchmarks/saturation.py``.

Two experiments, each simulated with this machine's calibrated costs and measured:

- *rate*: short requests, faster and faster, in mode "pass", under a policy that ponders for 0.6 ms
  over each. So the master saturates long before the machine's processors, which client, master
  and workers share; with a quick policy these would saturate first, and of them the simulator
  knows nothing.
- *payload*: requests with larger and larger bodies in mode "message", where each byte crosses the
  master (the IPC bottleneck).

Prints a table and writes ``saturation.png``.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import live
from lbsim import Cluster, ClusterView, Policy, Request, Workload, policies
from lbsim.calibration import Calibration
from live.calibrate import calibrate

WORKERS = 4
PONDER_S = 0.0006
RATES = (100, 300, 600, 800, 1000, 1100, 1200, 1300, 1500)  # a second
PAYLOADS = (0, 1_000, 10_000, 30_000, 100_000, 300_000)  # bytes
PAYLOAD_RATE = 300.0
REPLAYS = 5


class Ponderer(policies.LeastConnections):
    """Least connections, after much thought."""

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the worker with the fewest requests, late."""
        until = time.perf_counter() + PONDER_S
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
    # The thinking is known and need not be measured: it is what the policy says.
    pensive = replace(costs, accept_s=costs.accept_s + PONDER_S)
    capacity = 1.0 / (pensive.accept_s + pensive.dispatch_s)
    print(f"the master can pass on {capacity:,.0f} requests a second")
    points = [point(rate, 0.0, "pass", pensive, options.seconds, Ponderer()) for rate in RATES]
    draw(left, RATES, points, "requests a second (mode pass)")
    left.axvline(capacity, color="0.6", linestyle=":", label="capacity of the master")
    costs = calibrate(mode="message", say=print)
    print(f"a byte costs the master {costs.per_byte_s * 1e9:.2f} ns")
    plain = policies.LeastConnections()
    points = [
        point(PAYLOAD_RATE, size, "message", costs, options.seconds, plain) for size in PAYLOADS
    ]
    sizes = [max(payload, 300) for payload in PAYLOADS]
    draw(right, sizes, points, f"bytes a request, {PAYLOAD_RATE:.0f} a second (mode message)")
    left.legend(frameon=False, fontsize="small")
    figure.savefig(options.out, dpi=150)
    print(f"picture: {options.out}")


def point(
    rate: float, payload: float, mode: str, costs: Calibration, seconds: float, policy: Policy
) -> tuple[float, ...]:
    """Return p50 and p99, simulated and measured, in seconds."""
    n = max(100, int(rate * seconds))
    workload = Workload.synthetic(n, service=1e-4, rate=rate, payload=payload, seed=1)
    cluster = Cluster(WORKERS, discipline="event_loop")
    # In virtual time thinking costs nothing, so the master's costs say what it costs.
    simple = policies.LeastConnections()
    predicted = costs.predict(workload, simple, cluster, replays=REPLAYS)
    run = live.measure(workload, policy, cluster, mode=mode)
    simulated = [predicted.interval(q)[1] for q in (0.5, 0.99)]
    measured = run.quantile([0.5, 0.99])
    print(
        f"{mode:8} {rate:6.0f}/s {payload:8.0f} B   p50 {simulated[0] * 1e3:8.2f} simulated "
        f"{measured[0] * 1e3:8.2f} measured   p99 {simulated[1] * 1e3:8.2f} "
        f"{measured[1] * 1e3:8.2f} ms {'' if run.lateness.is_valid else '  client late'}",
        flush=True,
    )
    return (*simulated, *measured)


def draw(ax: object, x: object, points: list[tuple[float, ...]], label: str) -> None:
    """Draw both quantiles, simulated and measured."""
    table = np.array(points) * 1e3
    for column, name, style in (
        (0, "p50 simulated", "C1--"), (2, "p50 measured", "C0-"),
        (1, "p99 simulated", "C1:"), (3, "p99 measured", "C0-."),
    ):  # fmt: skip
        ax.plot(x, table[:, column], style, marker=".", label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel(label)
    ax.set_ylabel("latency [ms]")


if __name__ == "__main__":
    main()

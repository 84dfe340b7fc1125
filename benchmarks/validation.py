"""The validation matrix: ``python benchmarks/validation.py --budget 3600 --out DIR``.

Cells: 4 and 8 workers; load 0.3, 0.5, 0.7, 0.85; service times bounded Pareto (α 1.5, mean 10 ms,
at most 1 s), exponential and bimodal with the same mean; 5,000 requests; seeds fixed in this file
before anything was measured. Every policy is measured once in every cell, real Node.js and the
kernel's own choices too; the policies that look at load once more with twenty further seeds, to
see a bias that a single run cannot show. At the end a part that is held out: other numbers of
workers, loads, a law and a seed that nothing was ever tried on, reported apart.

The machine is calibrated again after every few runs, and these are predicted with the mean of the
nearest calibrations in time during which nobody else took the processors: how slow the machine was
in each run, and how much of it a hypervisor stole, is known, so a calibration need not be of the
same minute, and several of them know better by how much the machine differs beside that. What the
kernel chose by a hash with a secret cannot be predicted: the recorded choices are replayed.
Calibrations are kept, and what is known of the machine during each run, so that ``--again`` can
predict all runs anew, with whatever the simulator or the calibration's use of its figures has
become since; of runs that were made before that was kept it knows nothing.

The runs come in an order that is drawn once, those of the cells and of the seeds in turns, so that
whatever the budget allows is a fair sample. A run is reported whatever came out; one during which
the machine was noisy is marked and done again at the end. Called again with the same directory, it
goes on where it stopped. Results: ``runs.jsonl`` (a line a run), ``calibrations.jsonl.gz`` and
``summary.txt``. Those of our own machine are in ``data/validation``:
``python benchmarks/validation.py --summary --out data/validation``.
"""

import argparse
import gzip
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from validation_plan import (
    BLIND,
    KERNEL,
    MEAN_S,
    NODES,
    QUANTILES,
    REQUESTS,
    REVISION,
    Job,
    is_current,
    jobs,
    side,
)
from validation_summary import summary

from lbsim import ClusterView, Policy, Request, simulate
from lbsim.calibration import PACED, Calibration
from lbsim.prediction import Prediction
from live.calibrate import calibrate, calibrate_node
from live.client import Lateness
from live.lab import Pair
from live.machine import STEAL_LIMIT, Disturbance, wait_for_quiet
from live.measured import MeasuredRun
from live.measuring import measure, measure_against
from live.peers import node_cluster

BATCH = 4  # runs between two calibrations, of what is calibrated alike
CALIBRATE_S = 20.0
NEAREST = 6  # quiet calibrations that runs are predicted with, if there are so many
FEWEST = 2  # with fewer the runs count as noisy
ATTEMPTS = 3  # at calibrating beforehand, where so many are not known
REPLAYS = 200
PARTS = REQUESTS // PACED  # of a run, of each of which is kept what the machine did
RUNS = "runs.jsonl"
CALIBRATIONS = "calibrations.jsonl.gz"


class Recorded(Policy):
    """Send each request to the worker that it went to."""

    def __init__(self, workers: np.ndarray) -> None:
        self.workers = workers
        self.seen = 0

    def choose(self, request: Request, cluster: ClusterView) -> int:
        """Return the next one's worker; requests come in the order of their rows."""
        self.seen += 1
        return self.workers[self.seen - 1]


def main() -> None:
    """Measure as much as the budget allows, and say what is known by now."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=3600.0, help="seconds")
    parser.add_argument("--out", type=Path, default=Path("validation"), help="directory")
    parser.add_argument("--patience", type=float, default=120.0, help="wait for a quiet machine, s")
    parser.add_argument(
        "--realtime", action="store_true", help="run before other processes (needs privileges)"
    )
    names = list(dict.fromkeys(job.policy for job in jobs()))
    parser.add_argument(
        "--policies", nargs="+", choices=names, default=names, metavar="NAME", help="of these only"
    )
    parser.add_argument("--summary", action="store_true", help="only say what is known by now")
    parser.add_argument("--again", action="store_true", help="only predict anew what is known")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.again:
        rows = predicted_again(options.out)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (options.out / RUNS).write_text(text, encoding="utf-8")
    elif not options.summary:
        until = time.monotonic() + options.budget
        work(options.out, until, options.patience, options.realtime, options.policies)
    text = summary(read(options.out))
    (options.out / "summary.txt").write_text(text + "\n", encoding="utf-8")
    print(text)


def work(out: Path, until: float, patience_s: float, realtime: bool, wanted: Sequence[str]) -> None:
    """Make runs of some policies until the time is over."""
    known = calibrations(out)
    for attempt in range(2):
        done = {row["name"]: row for row in read(out)}
        open_jobs = [
            job
            for job in jobs()
            if job.policy in wanted
            if job.name not in done
            or not is_current(done[job.name])
            or (attempt == 1 and not done[job.name]["valid"])
        ]
        while open_jobs:
            alike = side(open_jobs[0].policy)
            batch = [job for job in open_jobs if side(job.policy) == alike][:BATCH]
            open_jobs = [job for job in open_jobs if job not in batch]
            if time.monotonic() + sum(map(takes, batch)) > until:
                return
            for _ in range(ATTEMPTS):
                if len(nearest(known, alike, time.time())) >= FEWEST - 1:
                    break
                known.append(calibrate_anew(alike, realtime, patience_s, out, len(known)))
            runs = []
            for job in batch:
                wait_for_quiet(patience_s)
                runs.append((job, measured(job, realtime)))
            known.append(calibrate_anew(alike, realtime, patience_s, out, len(known)))
            used = nearest(known, alike, time.time()) or known[-1:]
            for job, run in runs:
                report(compared(job, run, used, realtime), out)


def takes(job: Job) -> float:
    """Return about how many seconds a run needs, its part of the calibrations included."""
    return REQUESTS * MEAN_S / job.workers / job.load + CALIBRATE_S


@dataclass(frozen=True)
class Kept:
    """A calibration as it is in the file; its name is of its side and of when it was made."""

    name: str
    costs: Calibration

    @property
    def side(self) -> str:
        """What was calibrated."""
        return self.name.rpartition(" ")[0]

    @property
    def time(self) -> float:
        """When, in seconds since the epoch."""
        return float(self.name.rpartition(" ")[2])


def calibrate_anew(side: str, realtime: bool, patience_s: float, out: Path, seed: int) -> Kept:
    """Measure what it costs now, and keep it with as many digits as mean anything."""
    wait_for_quiet(patience_s)
    with before_others(realtime):
        if side in NODES:
            costs = calibrate_node(NODES[side], CALIBRATE_S, seed=seed)
        else:
            costs = calibrate(CALIBRATE_S, mode=side, seed=seed)
    if realtime:  # who runs before others need not care that they wait
        costs = replace(costs, is_quiet=True)
    name = f"{side} {time.time():.0f}"
    text = json.dumps({"name": name, "calibration": rounded(json.loads(costs.to_json()))})
    with gzip.open(out / CALIBRATIONS, "at", encoding="utf-8") as file:
        file.write(text + "\n")
    return as_kept(text)


def calibrations(out: Path) -> list[Kept]:
    """Return those that were kept, in the order in which they were made."""
    path = out / CALIBRATIONS
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [as_kept(line) for line in file]


def nearest(known: Sequence[Kept], side: str, when: float) -> list[Kept]:
    """Return some quiet calibrations of a side, the nearest to a time that are like the nearest."""
    quiet = [each for each in known if each.side == side and each.costs.is_quiet]
    by_distance = sorted(quiet, key=lambda each: abs(each.time - when))
    return [
        each
        for each in by_distance
        if each.costs.machine == by_distance[0].costs.machine
        and each.costs.rates() == by_distance[0].costs.rates()
    ][:NEAREST]


def as_kept(line: str) -> Kept:
    """Read a line of the file."""
    data = json.loads(line)
    return Kept(data["name"], Calibration.from_json(json.dumps(data["calibration"]), data["name"]))


def rounded(value: Any) -> Any:
    """Return JSON's data with four digits of each number."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def report(row: dict[str, Any], out: Path) -> None:
    """Keep a run."""
    with (out / RUNS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    ratios = " ".join(f"{q}={row['quantiles'][q]['ratio']:.3f}" for q in row["quantiles"])
    print(f"{row['name']:44} {'' if row['valid'] else 'NOISY '}{ratios}", flush=True)


@contextmanager
def before_others(wanted: bool) -> Iterator[None]:
    """Let this process, and those it starts, run before all others while the block runs."""
    if wanted:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
    try:
        yield
    finally:
        if wanted:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def measured(job: Job, realtime: bool) -> MeasuredRun:
    """Make one run."""
    cluster, workload, policy = job.cluster, job.workload(), job.model()
    with before_others(realtime):
        if job.policy in NODES:
            with node_cluster(job.workers, NODES[job.policy]) as peer:
                return measure_against(workload, peer.url, policy, cluster, pids=peer.pids)
        mode = job.policy if job.policy in KERNEL else "pass"
        return measure(workload, policy, cluster, mode=mode, seed=job.seed)


def compared(job: Job, run: MeasuredRun, known: Sequence[Kept], realtime: bool) -> dict[str, Any]:
    """Compare a run with its prediction."""
    workload, cluster = run.workload, run.cluster
    policy = Recorded(run.worker.copy()) if job.policy == "reuseport" else run.policy
    costs = Calibration.pooled([each.costs for each in known])
    making, theft = parts_of(run.making, np.nanmedian), parts_of(run.theft, np.mean)
    prediction = predicted(job, policy, costs, making, theft)
    bare = simulate(workload, policy, cluster, seed=job.seed)
    pair = Pair(job.policy, bare, prediction, run)
    table = pair.quantiles(job.seed).set_index("quantile")
    keep = ["measured", "simulated", "low", "high", "inside", "ratio", "ratio_low", "ratio_high",
            "bare_ratio"]  # fmt: skip
    far = pair.distances()
    return {
        "name": job.name,
        **vars(job),
        "valid": is_valid(run.lateness, run.disturbance, known, realtime),
        "realtime": realtime,
        "revision": REVISION,
        "blind": job.policy in (*BLIND, "reuseport"),
        "quantiles": json.loads(table[keep].to_json(orient="index", double_precision=6)),
        "request_error": far["request_error"],
        "same_worker": far["same_worker"],
        "ks": far["ks"],
        "bare_ks": far["bare_ks"],
        "pace": float(np.mean(costs.pace(each_request(making), workload, cluster))),
        "making": making,
        "theft": theft,
        "calibrations": [each.name for each in known],
        "lateness": vars(run.lateness),
        "disturbance": vars(run.disturbance),
        "machine": run.machine,
        "time": time.time(),
    }


def is_valid(
    lateness: Lateness, disturbance: Disturbance, known: Sequence[Kept], realtime: bool
) -> bool:
    """Say whether a run and its prediction are to be compared."""
    # Who runs before others need not care that they wait.
    is_quiet = disturbance.is_quiet or (realtime and disturbance.steal <= STEAL_LIMIT)
    were_quiet = sum(each.costs.is_quiet for each in known) >= FEWEST
    return lateness.is_valid and is_quiet and were_quiet


def predicted(
    job: Job, policy: Policy, costs: Calibration, making: list[float], theft: list[float]
) -> Prediction:
    """Predict a run from what was measured of the machine."""
    return costs.predict(
        job.workload(), policy, job.cluster, replays=REPLAYS, seed=job.seed,
        jitter_seed=job.seed, making=each_request(making), theft=each_request(theft),
    )  # fmt: skip


def parts_of(values: np.ndarray, middle: Callable[[np.ndarray], Any]) -> list[float]:
    """Return the middle value of each part of a run."""
    return [rounded(float(middle(part))) for part in np.array_split(values, PARTS)]


def each_request(parts: list[float]) -> np.ndarray:
    """Return such a value for each request."""
    return np.repeat(parts, REQUESTS // PARTS)


def predicted_again(out: Path) -> list[dict[str, Any]]:
    """Return all runs, with the predictions that are made now where enough is known of them.

    Of a job that was done again, its last run.
    """
    known, rows = calibrations(out), read(out)
    last = {row["name"]: i for i, row in enumerate(rows)}
    with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:
        of_last = pool.map(partial(again, known), [rows[i] for i in last.values()], chunksize=4)
        for i, row in zip(last.values(), of_last, strict=True):
            rows[i] = row
    return rows


def again(known: Sequence[Kept], row: dict[str, Any]) -> dict[str, Any]:
    """Return a run with the prediction that is made now, or as it is."""
    used = nearest(known, side(row["policy"]), row["time"])
    # Whose choices are not known cannot be predicted.
    if "theft" not in row or row["policy"] == "reuseport" or len(used) < FEWEST:
        return row
    job = Job(*(row[name] for name in ("workers", "load", "law", "policy", "seed")))
    costs = Calibration.pooled([each.costs for each in used])
    row["calibrations"] = [each.name for each in used]
    row["valid"] = is_valid(
        Lateness(**row["lateness"]), Disturbance(**row["disturbance"]), used, row["realtime"]
    )
    prediction = predicted(job, job.model(), costs, row["making"], row["theft"])
    for name, of in row["quantiles"].items():
        low, middle, high = prediction.interval(QUANTILES[name])
        scale = of["simulated"] / middle
        of.update(
            simulated=middle, low=low, high=high, inside=low <= of["measured"] <= high,
            **{ratio: of[ratio] * scale for ratio in ("ratio", "ratio_low", "ratio_high")},
        )  # fmt: skip
    return row


def read(out: Path) -> list[dict[str, Any]]:
    """Return all runs so far."""
    path = out / RUNS
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()

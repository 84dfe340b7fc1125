"""The validation matrix: ``python benchmarks/validation.py --budget 3600 --out DIR``.

Cells: 4 and 8 workers; load 0.3, 0.5, 0.7, 0.85; service times bounded Pareto (α 1.5, mean 10 ms,
at most 1 s), exponential and bimodal with the same mean; 5,000 requests; seeds fixed in this file
before anything was measured. Every policy is measured once in every cell, real Node.js and the
kernel's own choices too; then the policies that look at load once more with ten further seeds, to
see a bias that a single run cannot show.

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
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from lbsim import (
    Bimodal,
    BoundedPareto,
    Cluster,
    ClusterView,
    Exponential,
    Policy,
    Request,
    Sessions,
    Workload,
    policies,
    simulate,
)
from lbsim.calibration import PACED, Calibration
from lbsim.prediction import Prediction
from live.calibrate import calibrate, calibrate_node
from live.client import Lateness
from live.lab import BANDS, Pair
from live.lab.pair import quantiles_of
from live.machine import STEAL_LIMIT, Disturbance, wait_for_quiet
from live.measured import MeasuredRun
from live.measuring import measure, measure_against
from live.peers import node_cluster

MEAN_S = 0.010
LAWS = {
    "pareto": BoundedPareto(alpha=1.5, mean=MEAN_S, maximum=1.0),
    "exponential": Exponential(MEAN_S),
    "bimodal": Bimodal(0.005, 0.055, 0.1),
}
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
# stay in the file and are made again. Of our own master not all need be of the last: of few
# requests, since its workers were calibrated at such a rate before there were two; of choices that
# do not depend on load, since only their prediction intervals have changed; of the others, though
# what of a calibration was disturbed was not repeated, or not kept whether that helped; of all,
# though their costs were not known to come in bunches, nor how long sockets take between two rates.
REVISION = 13
SINCE = dict.fromkeys((*BLIND, "reuseport"), (4, 12)) | dict.fromkeys(AWARE, (9, 12))
FEW = 390.0  # requests a second
BATCH = 4  # runs between two calibrations, of what is calibrated alike
CALIBRATE_S = 20.0
NEAREST = 6  # quiet calibrations that runs are predicted with, if there are so many
FEWEST = 2  # with fewer the runs count as noisy
ATTEMPTS = 3  # at calibrating beforehand, where so many are not known
REQUESTS = 5000
REPLAYS = 200
SEED = 20260101
SEEDS = tuple(range(1, 11))  # of the pooled cells
POOLED = (4, 0.7, "pareto")
QUANTILES = quantiles_of(REQUESTS)
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
            REQUESTS, service=LAWS[self.law], load=self.load, cluster=self.cluster, seed=self.seed,
            sessions=Sessions(500),
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
    return [job for turn in zip_longest(*drawn) for job in turn if job is not None]


def main() -> None:
    """Measure as much as the budget allows, and say what is known by now."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=3600.0, help="seconds")
    parser.add_argument("--out", type=Path, default=Path("validation"), help="directory")
    parser.add_argument("--patience", type=float, default=120.0, help="wait for a quiet machine, s")
    parser.add_argument(
        "--realtime", action="store_true", help="run before other processes (needs privileges)"
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
        work(options.out, time.monotonic() + options.budget, options.patience, options.realtime)
    text = summary(read(options.out))
    (options.out / "summary.txt").write_text(text + "\n", encoding="utf-8")
    print(text)


def work(out: Path, until: float, patience_s: float, realtime: bool) -> None:
    """Make runs until the time is over."""
    known = calibrations(out)
    for attempt in range(2):
        done = {row["name"]: row for row in read(out)}
        open_jobs = [
            job
            for job in jobs()
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


def side(policy: str) -> str:
    """Return what has to be calibrated for a policy."""
    return policy if policy in (*NODES, *KERNEL) else "pass"


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


def is_current(row: dict[str, Any]) -> bool:
    """Say whether a run would be made in the same way now."""
    of_few, of_many = SINCE.get(row["policy"], (REVISION, REVISION))
    is_few = row["workers"] * row["load"] / MEAN_S <= FEW
    return bool(row["revision"] >= (of_few if is_few else of_many))


# --- what is known ---------------------------------------------------------------------------


def summary(rows: list[dict[str, Any]]) -> str:
    """Hold the runs against the marks."""
    present = [row for row in rows if is_current(row)]
    # A repeated run counts once; all are in the file.
    latest = {row["name"]: row for row in present}
    valid = [row for row in latest.values() if row["valid"]]
    noisy = len(present) - sum(row["valid"] for row in present)
    lines = [
        f"{len(latest)} runs of {len(jobs())} planned",
        f"not counted below: {noisy} while the machine was noisy, {len(rows) - len(present)} with "
        "calibrations that were mended since",
    ]
    blind = [row for row in valid if row["blind"]]
    lines += ["", f"Choices that depend only on the order of arrivals: {len(blind)} runs"]
    for name in QUANTILES:
        ratios = np.array(
            [row["quantiles"][name]["ratio"] for row in blind if name in row["quantiles"]]
        )
        if len(ratios):
            ok = np.abs(ratios - 1) <= BANDS[name]
            lines.append(
                f"  {name:6} within ± {BANDS[name]:.0%} in {ok.mean():6.1%} of the runs; "
                f"ratio {np.median(ratios):.4f} ({ratios.min():.3f} to {ratios.max():.3f})"
            )
    if blind:
        errors = np.array([row["request_error"] for row in blind]) * 1e3
        same = np.array([row["same_worker"] for row in blind])
        lines.append(
            f"  median error of single requests: {np.median(errors):.3f} ms, at most "
            f"{errors.max():.3f} ms; the same worker for {same.min():.3%} or more"
        )
    groups = {
        "Choices that look at load": AWARE,
        "Node.js, SCHED_RR, by NodeCluster": ("Node",),
        "Node.js, SCHED_NONE, by NodeSchedNone": ("Node SCHED_NONE",),
        "One listening socket, by SharedAccept": ("shared",),
    }
    for title, names in groups.items():
        mine = [row for row in valid if row["policy"] in names]
        lines += ["", *_aware(title, mine)]
        if set(names) <= set(NODES):
            lines += _repeated(mine, rows)
    lines += ["", *_kernels(valid), *_costs(valid), *_ranks(valid)]
    return "\n".join(lines)


def _aware(title: str, rows: list[dict[str, Any]]) -> list[str]:
    cells = [row for row in rows if row["seed"] == SEED]
    lines = [f"{title}: {len(cells)} runs"]
    for name in QUANTILES:
        found = [row["quantiles"][name] for row in cells if name in row["quantiles"]]
        if found:
            widths = [(f["high"] - f["low"]) / f["simulated"] for f in found]
            inside = np.mean([f["inside"] for f in found])
            lines.append(
                f"  {name:6} inside the 95 % prediction interval in {inside:6.1%}; its width is "
                f"{np.median(widths):.1%} of the quantile at the median"
            )
    pooled = [row for row in rows if row["seed"] != SEED]
    for policy in dict.fromkeys(row["policy"] for row in pooled):
        mine = [row for row in pooled if row["policy"] == policy]
        parts = []
        for name in ("p50", "p90", "p99"):
            logs = np.log([row["quantiles"][name]["ratio"] for row in mine])
            if len(logs) >= 2:
                half = _t(len(logs)) * logs.std(ddof=1) / math.sqrt(len(logs))
                low, high = math.exp(logs.mean() - half), math.exp(logs.mean() + half)
                verdict = "" if low > 1 / 1.05 and high < 1.05 else " (may exceed 5 %)"
                parts.append(f"{name} {math.exp(logs.mean()):.3f} [{low:.3f}, {high:.3f}]{verdict}")
        lines.append(f"  {policy}, {len(mine)} seeds pooled: " + "; ".join(parts))
    return lines


def _repeated(cells: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[str]:
    """Say how often a prediction is as good as one of Node's own runs of the same requests.

    All of these that were made while the machine was quiet, of whatever revision: what they were
    predicted with makes no difference to what they measured.
    """
    runs = {
        cell["name"]: [row for row in rows if row["name"] == cell["name"] and row["valid"]]
        for cell in cells
    }
    repeated = [cell for cell in cells if len(runs[cell["name"]]) > 1]
    if not repeated:
        return []
    parts = []
    for name in QUANTILES:
        passed = []
        for cell in repeated:
            of = cell["quantiles"][name]
            measured = [row["quantiles"][name]["measured"] for row in runs[cell["name"]]]
            passed.append(of["inside"] or min(measured) <= of["simulated"] <= max(measured))
        parts.append(f"{name} {np.mean(passed):.1%}")
    times = [len(runs[cell["name"]]) for cell in repeated]
    return [
        f"  {len(repeated)} of these requests were served {min(times)} to {max(times)} times; "
        "inside its interval, or the prediction within the range of these:",
        "  " + ", ".join(parts),
    ]


def _t(n: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, n - 1))


def _kernels(rows: list[dict[str, Any]]) -> list[str]:
    """Compare our workers and Node's where they accept for themselves, measured both."""
    mine, theirs = (
        {(row["workers"], row["load"], row["law"]): row for row in rows if row["policy"] == policy}
        for policy in ("shared", "Node SCHED_NONE")
    )
    both = [cell for cell in mine if cell in theirs]
    if not both:
        return []
    parts = []
    for name in QUANTILES:
        ratios = [
            mine[cell]["quantiles"][name]["measured"] / theirs[cell]["quantiles"][name]["measured"]
            for cell in both
        ]
        parts.append(f"{name} {np.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    return [
        f"One listening socket, ours / Node's, measured both, {len(both)} cells: "
        + ", ".join(parts)
    ]


def _costs(rows: list[dict[str, Any]]) -> list[str]:
    """Say how often the machine's costs brought the simulation closer."""
    found = [q for row in rows for q in row["quantiles"].values()]
    if not found:
        return []
    closer = np.mean([abs(math.log(q["ratio"])) < abs(math.log(q["bare_ratio"])) for q in found])
    ks = np.mean([row["ks"] < row["bare_ks"] for row in rows])
    return [
        f"With the machine's costs the simulation is closer in {closer:.1%} of {len(found)} "
        f"quantiles, and by the KS distance in {ks:.1%} of the runs"
    ]


def _ranks(rows: list[dict[str, Any]]) -> list[str]:
    """Compare the order of policies by p99 in each cell."""
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["seed"] == SEED and side(row["policy"]) == "pass":
            cells.setdefault((row["workers"], row["load"], row["law"]), []).append(row)
    apart = wrong = 0
    for cell in cells.values():
        for i, one in enumerate(cell):
            for other in cell[i + 1 :]:
                a, b = one["quantiles"]["p99"], other["quantiles"]["p99"]
                simulated = _order(a["low"], a["high"], b["low"], b["high"])
                spread = [
                    (q["ratio_low"] * q["simulated"], q["ratio_high"] * q["simulated"])
                    for q in (a, b)
                ]
                measured = _order(*spread[0], *spread[1])
                apart += simulated * measured != 0
                wrong += simulated * measured < 0
    return [
        f"Of {apart} pairs of policies (in {len(cells)} cells) whose intervals of p99 do not "
        f"overlap, {wrong} are ranked the other way round"
    ]


def _order(a_low: float, a_high: float, b_low: float, b_high: float) -> int:
    return -1 if a_high < b_low else int(a_low > b_high)


if __name__ == "__main__":
    main()

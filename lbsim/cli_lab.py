"""The commands that measure: ``lbsim lab`` and ``lbsim validate``.

They put the simulator and `live` together, and are the only part of this package that imports
`live`, when they run.
"""

import argparse
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lbsim
from lbsim import checks
from lbsim.errors import InputError
from lbsim.faults import Crash, Fault, Hang, Reload, SlowDown

if TYPE_CHECKING:
    from lbsim.workload import Workload
    from live.lab import Study

__all__ = ["add_commands"]

LAB_POLICIES = ("RoundRobin", "LeastConnections", "CentralQueue", "NodeCluster")
CHECKED_POLICIES = ("RoundRobin", "LeastConnections", "CentralQueue")
FAULTS: dict[str, Any] = {"crash": Crash, "hang": Hang, "slow": SlowDown, "reload": Reload}

Read = Callable[[argparse.Namespace], "Workload"]


def add_commands(
    commands: Any, add_trace: Callable[..., None], read: Callable[..., "Workload"]
) -> None:
    """Add both commands to the parser of ``lbsim``.

    Parameters
    ----------
    commands : argparse subparsers
    add_trace : callable
        Adds the options of a trace to a parser.
    read : callable
        Reads the trace that the options name.
    """
    lab = commands.add_parser(
        "lab",
        help="simulate policies and run them on real workers, on the same requests",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    lab.set_defaults(run=lambda options: _lab(options, read), limits_time=True)
    _add_options(lab, add_trace, LAB_POLICIES, 75.0, "lbsim-lab")
    lab.add_argument("--no-node", action="store_true", help="leave Node.js's own curve out")
    lab.add_argument(
        "--against",
        metavar="URL",
        help="measure this server too, as http://127.0.0.1:8080 (live/peers/ has examples)",
    )

    validate = commands.add_parser(
        "validate",
        help="check that the simulator predicts this machine: exit 0, 1, or 3 if too noisy",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    validate.set_defaults(
        run=lambda options: _validate(options, read), no_node=True, against=None, limits_time=False
    )
    _add_options(validate, add_trace, CHECKED_POLICIES, 60.0, "lbsim-validate")
    validate.add_argument(
        "--attempts", type=int, default=3, help="how often it is tried on a noisy machine"
    )
    validate.add_argument(
        "--patience", type=float, default=60.0, metavar="S", help="wait so long for a quiet machine"
    )


def _add_options(
    parser: argparse.ArgumentParser,
    add_trace: Callable[..., None],
    policies: tuple[str, ...],
    budget: float,
    out: str,
) -> None:
    add_trace(parser, nargs="?")
    add = parser.add_argument
    add("--workers", type=int, default=4, metavar="N", help="real worker processes")
    add(
        "--load",
        type=float,
        metavar="X",
        help="offered load per worker, below 1; a trace's time axis is stretched to it. Without "
        "it, a trace runs as it was recorded and the synthetic workload at 0.7",
    )
    add(
        "--keep",
        choices=("service", "arrival"),
        default="service",
        help="what --load leaves alone in a trace: stretch the gaps, or the service times",
    )
    add(
        "--policy",
        action="append",
        metavar="NAME[:param=value,...]",
        help=f"repeatable; default: {' '.join(policies)}",
    )
    add(
        "--discipline",
        choices=("event_loop", "fcfs"),
        default="event_loop",
        help="whether a worker awaits waiting, or is blocked by it",
    )
    add("--budget", type=float, default=budget, metavar="S", help="about how many seconds in all")
    add("--requests", type=int, metavar="N", help="or: how many requests of each run")
    add("--replays", type=int, default=200, metavar="R", help="simulated replays of each policy")
    add("--calibration", type=Path, metavar="FILE", help="of `live calibrate`; else done now")
    add("--busy", choices=("sleep", "spin"), default="sleep", help="what computing is")
    add("--timeout", type=float, metavar="S", help="clients give up after so many seconds")
    add("--retries", type=int, default=0, metavar="N", help="and send the request again")
    add(
        "--fault",
        action="append",
        default=[],
        metavar="KIND:param=value,...",
        help="repeatable: crash:worker=1,at=2  hang:worker=0,at=3,duration=0.5  "
        "slow:worker=2,at=1,duration=4,factor=0.3  reload:at=5",
    )
    add("--seed", type=int, default=1, metavar="S", help="of everything random")
    add("--out", type=Path, default=Path(out), metavar="DIR", help="where results go")
    add("--quiet", action="store_true", help="no progress")
    parser.set_defaults(default_policies=policies)


def _lab(options: argparse.Namespace, read: Read) -> int:
    from lbsim.report import check_place
    from live.lab.files import MARK
    from live.lab.page import headline

    check_place(options.out, MARK)
    found = _studier(options, read)()
    place = found.save(options.out)
    print(_table(found))
    print(f"\n{headline(found)}")
    for line in found.noise:
        print(f"Too noisy: {line}")
    print(f"\nReport: {place / 'report.html'}")
    return 0


def _validate(options: argparse.Namespace, read: Read) -> int:
    from lbsim.report import check_place
    from live.lab.files import MARK
    from live.lab.verdict import Word, validate

    check_place(options.out, MARK)
    verdict = validate(
        _studier(options, read),
        attempts=checks.count("validate", "--attempts", options.attempts),
        patience_s=options.patience,
        say=lambda line: print(line, file=sys.stderr),
    )
    verdict.study.save(options.out)
    print(_table(verdict.study))
    print(
        {
            Word.PASSED: "passed: every figure is in its band",
            Word.FAILED: "FAILED, and again when it was repeated:",
            Word.TOO_NOISY: "machine too noisy: no verdict",
        }[verdict.word]
    )
    for line in verdict.reasons:
        print(f"  {line}")
    return verdict.word.value


def _studier(options: argparse.Namespace, read: Read) -> "Callable[[], Study]":
    """Return what makes the study that the options ask for."""
    from lbsim.calibration import Calibration
    from live.lab import SIMULATED, requests_for, study

    policies = {
        name: lbsim.policies.parse(name) for name in options.policy or options.default_policies
    }
    cluster = lbsim.Cluster(
        options.workers,
        discipline=options.discipline,
        faults=[_fault(text) for text in options.fault],
    )
    calibration = None if options.calibration is None else Calibration.load(options.calibration)
    workload = _workload(options, cluster, read)
    if options.requests is None:
        runs = len(policies) + (options.against is not None)
        has_node = shutil.which("node") is not None and not options.no_node
        has_node = has_node and any(name.startswith("NodeCluster") for name in policies)
        runs += has_node
        calibrations = (calibration is None) + 0.5 * has_node
        workload = workload.head(requests_for(options.budget, _rate(workload), runs, calibrations))
    client = lbsim.Client(timeout=options.timeout, retries=options.retries)
    # A check takes the time it needs; a look should not.
    seconds = SIMULATED * options.budget / len(policies) if options.limits_time else None

    def make() -> "Study":
        return study(
            workload,
            policies,
            cluster,
            calibration=calibration,
            replays=options.replays,
            seed=options.seed,
            client=client,
            busy=options.busy,
            node=not options.no_node,
            against=options.against,
            seconds=seconds,
            teller=None if options.quiet else _Progress(),
        )

    return make


def _workload(options: argparse.Namespace, cluster: "lbsim.Cluster", read: Read) -> "Workload":
    if options.trace is not None:
        workload = read(options)
        if options.load is not None:
            workload = workload.scaled(options.load, cluster, keep=options.keep)
        return workload
    return lbsim.data.heavy_tailed(
        cluster,
        load=0.7 if options.load is None else options.load,
        n=20_000 if options.requests is None else options.requests,
        seed=options.seed,
    )


def _rate(workload: "Workload") -> float:
    """Return requests a second."""
    span = float(workload.arrival[-1] - workload.arrival[0])
    if not span > 0:
        raise InputError(
            f"{workload.name} has no span of time in which its requests come; give --requests"
        )
    return len(workload) / span


def _fault(text: str) -> Fault:
    """Read KIND:param=value,... of a fault."""
    kind, _, rest = text.partition(":")
    if kind not in FAULTS:
        raise InputError(f"--fault {text!r}: {kind!r} is not one of {', '.join(FAULTS)}")
    values: dict[str, float | int] = {}
    for pair in filter(None, rest.split(",")):
        name, _, value = pair.partition("=")
        try:
            values[name] = int(value) if name == "worker" else float(value)
        except ValueError:
            raise InputError(f"--fault {text!r}: {pair!r} is not NAME=NUMBER") from None
    try:
        fault: Fault = FAULTS[kind](**values)
    except TypeError as error:
        wanted = ", ".join(name for name in FAULTS[kind].__dataclass_fields__ if name != "workers")
        raise InputError(f"--fault {text!r}: {kind} takes {wanted}") from error
    return fault


def _table(found: "Study") -> str:
    """Return the quantiles as text."""
    from lbsim.units import duration

    lines = [
        f"{'policy':24} {'server':22} {'':6} {'measured':>9} {'simulated':>9} "
        f"{'95 % of replays':>20} {'ratio':>6}"
    ]
    for row in found.quantiles().itertuples():
        interval = f"{duration(row.low)} to {duration(row.high)}"
        mark = "" if row.passed else "  outside"
        lines.append(
            f"{row.policy:24.24} {row.server:22.22} {row.quantile:6} {duration(row.measured):>9} "
            f"{duration(row.simulated):>9} {interval:>20} {row.ratio:6.3f}{mark}"
        )
    return "\n".join(lines)


class _Progress:
    """Shows on standard error what is being done."""

    def __init__(self) -> None:
        self.text = ""
        self.is_line = sys.stderr.isatty()

    def stage(self, text: str) -> None:
        """Something else begins."""
        self.text = text
        self._show("")

    def progress(self, done: int, total: int) -> None:
        """So many requests are over."""
        if self.is_line:
            self._show(f" {math.floor(100 * done / total)} %")

    def _show(self, more: str) -> None:
        end = "\r" if self.is_line else "\n"
        print(f"\x1b[2K{self.text}{more}" if self.is_line else self.text, end=end, file=sys.stderr)
        sys.stderr.flush()

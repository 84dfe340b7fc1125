"""The command line ``lbsim``; the commands that measure are in `lbsim.cli_lab`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import lbsim
from lbsim import checks, cli_lab
from lbsim.errors import InputError

if TYPE_CHECKING:
    from lbsim.workload import Workload

__all__ = ["main"]

DEFAULT_POLICIES = (
    "RoundRobin", "Random", "LeastConnections", "PowerOfD:d=2", "LeastResponseTime",
    "BoundedQueue:k=2", "CentralQueue", "NodeCluster",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (0, 2 for bad input, or the command's own)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        status = options.run(options)
    except InputError as error:
        print(f"lbsim: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, say
        print(f"lbsim: {error}; nothing was written", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lbsim: stopped; nothing was written", file=sys.stderr)
        return 130
    return status or 0


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, as everything else here does."""

    def error(self, message: str) -> NoReturn:
        """Print the message and where to find help, and exit with 2."""
        print(f"lbsim: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lbsim",
        description="Which worker should get the next request, and what does that do to latency?",
    )
    parser.add_argument("--version", action="version", version=f"lbsim {lbsim.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    compare = commands.add_parser(
        "compare",
        help="compare policies on a trace or on a synthetic workload",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    compare.set_defaults(run=_compare)
    _add_trace(compare, nargs="?")
    compare.add_argument("--workers", type=int, default=8, metavar="N", help="how many")
    compare.add_argument(
        "--load",
        type=float,
        metavar="X",
        help="offered load per worker, below 1; a trace's time axis is stretched to it. Without "
        "it, a trace runs as it was recorded and the synthetic workload at 0.8",
    )
    compare.add_argument(
        "--keep",
        choices=("service", "arrival"),
        default="service",
        help="what --load leaves alone in a trace: stretch the gaps, or the service times",
    )
    compare.add_argument(
        "--overload", action="store_true", help="allow a load of 1 or more, which never settles"
    )
    compare.add_argument(
        "--policy",
        action="append",
        metavar="NAME[:param=value,...]",
        help=f"repeatable; default: {' '.join(DEFAULT_POLICIES)}",
    )
    compare.add_argument(
        "--discipline",
        choices=("fcfs", "ps", "event_loop"),
        default="event_loop",
        help="what a worker is: synchronous, threads on one core, or an event loop",
    )
    compare.add_argument("--requests", type=int, metavar="N", help="use only the first N requests")
    compare.add_argument("--replications", type=int, default=10, metavar="R", help="of each policy")
    compare.add_argument("--seed", type=int, default=1, metavar="S", help="of everything random")
    compare.add_argument(
        "--out", type=Path, default=Path("lbsim-report"), metavar="DIR", help="where results go"
    )
    compare.add_argument("--quiet", action="store_true", help="no progress bar")

    describe = commands.add_parser("describe", help="say what a trace is like")
    describe.set_defaults(run=_describe)
    _add_trace(describe)
    cli_lab.add_commands(commands, _add_trace, _read)
    return parser


def _add_trace(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    parser.add_argument(
        "trace",
        type=Path,
        nargs=nargs,
        metavar="TRACE",
        help="CSV, Parquet, SWF, or an access log of nginx or Apache with a duration; "
        "compressed with gzip or not",
    )
    parser.add_argument(
        "--format",
        choices=("csv", "parquet", "swf", "nginx", "apache"),
        help="of the trace, if its name and content do not tell",
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out rows that cannot be read"
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="which column of the trace is which, as in service=elapsed_ms; repeatable",
    )
    parser.add_argument(
        "--seconds-per",
        action="append",
        default=[],
        metavar="COLUMN=SECONDS",
        help="a model of the service time where there is none, as in bytes=1e-6; repeatable",
    )
    parser.add_argument(
        "--time-unit", choices=("s", "ms", "us", "ns"), help="of times, if their names do not say"
    )


def _compare(options: argparse.Namespace) -> None:
    from lbsim.report import MARK, check_place

    check_place(options.out, MARK)
    cluster = lbsim.Cluster(options.workers, discipline=options.discipline)
    names = options.policy or DEFAULT_POLICIES
    policies = {name: lbsim.policies.parse(name) for name in names}
    if options.trace is None:
        workload = lbsim.data.heavy_tailed(
            cluster,
            load=0.8 if options.load is None else options.load,
            n=20_000 if options.requests is None else options.requests,
            seed=options.seed,
            allow_overload=options.overload,
        )
    else:
        workload = _read(options)
        if options.load is not None:
            workload = workload.scaled(
                options.load, cluster, keep=options.keep, allow_overload=options.overload
            )
    result = lbsim.compare(
        workload,
        policies,
        cluster,
        replications=options.replications,
        seed=options.seed,
        progress=not options.quiet,
    )
    print(result)
    place = result.save(options.out)
    print(f"\nReport: {place / 'report.html'}")


def _describe(options: argparse.Namespace) -> None:
    from lbsim.workload.describe import describe

    print(describe(_read(options)))


def _read(options: argparse.Namespace) -> "Workload":
    workload = lbsim.Workload.from_trace(
        options.trace,
        options.format,
        columns=_pairs("--column", options.column),
        seconds_per={
            name: checks.not_negative("--seconds-per", name, seconds)
            for name, seconds in _pairs("--seconds-per", options.seconds_per).items()
        },
        time_unit=options.time_unit,
        skip_bad=options.skip_bad,
    )
    requests = getattr(options, "requests", None)
    return workload if requests is None else workload.head(requests)


def _pairs(flag: str, given: Sequence[str]) -> dict[str, str]:
    """Split NAME=VALUE arguments."""
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"{flag} {text!r} is not of the form NAME=VALUE; write both")
        pairs[name] = value
    return pairs

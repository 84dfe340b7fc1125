"""The command ``live``: ``live serve module:app --workers 4 --policy PowerOfD:d=2``."""

import argparse
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    # The master forks, which is safe only without threads; numerical libraries start some.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from lbsim.errors import InputError

    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except InputError as error:
        sys.stderr.write(f"live: {error}\n")
        return 2


def _serve(options: argparse.Namespace) -> int:
    from lbsim.policies import parse
    from live.master import Master

    sys.path.insert(0, os.getcwd())  # as uvicorn does: the application is where you are
    return Master(
        options.app,
        parse(options.policy),
        options.workers,
        options.host,
        options.port,
        mode=options.mode,
        exclusive=options.exclusive,
        most_workers=options.most_workers,
        slots=options.slots,
        key=options.key,
        max_attempts=options.max_attempts,
        queue_limit=options.queue_limit,
        retry_all=options.retry_all,
        backlog=options.backlog,
        memory_limit=None if options.memory_mb is None else options.memory_mb * 1e6,
        hang_s=options.hang_s,
        head_s=options.head_s,
        drain_s=options.drain_s,
        trace=options.trace,
        seed=options.seed,
        admin=options.admin,
    ).run()


def _top(options: argparse.Namespace) -> int:
    from live.top import watch

    watch(options.where, options.every, options.once)
    return 0


def _calibrate(options: argparse.Namespace) -> int:
    from lbsim import checks
    from live.calibrate import WORKERS, calibrate, calibrate_node

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    given = options.workers or WORKERS
    workers = sorted({checks.count("calibrate", "--workers", n) for n in given})
    if options.node is None:
        costs = calibrate(options.seconds, options.mode, say, options.seed, workers)
    else:
        costs = calibrate_node(options.node, options.seconds, say, options.seed, workers=workers)
    costs.save(options.out)
    print(costs.describe())
    print(f"written to {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    from live.options import MODES

    parser = argparse.ArgumentParser(
        prog="live", description="Run a load-balancing policy on real forked workers."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve an ASGI application with forked workers",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    serve.set_defaults(run=_serve)
    add = serve.add_argument
    add("app", help="module:app, imported in each worker")
    add("--workers", type=int, default=2, help="number of workers")
    add("--most-workers", type=int, help="workers that can be reached while it runs")
    add("--policy", default="LeastConnections", help="policy, as PowerOfD:d=2")
    add(
        "--mode",
        default="pass",
        choices=MODES,
        help="pass: the master passes sockets; message: the requests themselves; shared: workers "
        "accept from one socket; reuseport: each from its own (no policy in the last two)",
    )
    add("--exclusive", action="store_true", help="shared: wake one worker for a connection")
    add("--slots", type=int, help="requests that may sit at a worker")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=8000, help="port, 0 for a free one")
    add(
        "--key",
        default="none",
        help="session key: ip, cookie:NAME, header:NAME, query:NAME, number:NAME",
    )
    add("--max-attempts", type=int, default=3, help="handovers before a request gets 502")
    add("--queue-limit", type=int, help="requests that may be held; one more gets 503")
    add("--retry-all", action="store_true", help="replay also what is not idempotent")
    add("--backlog", type=int, default=2048, help="connections the kernel keeps meanwhile")
    add("--memory-mb", type=float, help="replace a worker that is larger; default: never")
    add("--hang-s", type=float, help="replace a worker silent for so long; default: never")
    add("--head-s", type=float, default=30.0, help="time for a client to send its head")
    add("--drain-s", type=float, default=30.0, help="longest wait for requests when stopping")
    add("--trace", metavar="FILE", help="write one record a handover")
    add("--seed", type=int, default=0, help="seed of the policy's choices")
    add("--admin", metavar="HOST:PORT", help="also answer /status and /metrics there")

    top = commands.add_parser("top", help="watch a running master and its workers")
    top.set_defaults(run=_top)
    add = top.add_argument
    add("where", nargs="?", help="pid or HOST:PORT (of --admin); default: the only master here")
    add("--every", type=float, default=1.0, metavar="S", help="seconds between two looks")
    add("--once", action="store_true", help="print one look and leave")

    calibrate = commands.add_parser(
        "calibrate",
        help="measure what this machine costs, for the simulator",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    calibrate.set_defaults(run=_calibrate)
    add = calibrate.add_argument
    add("--seconds", type=float, default=12.0, help="about how long to measure")
    whose = calibrate.add_mutually_exclusive_group()
    whose.add_argument(
        "--mode", choices=MODES, default="pass", help="how requests get to our workers"
    )
    whose.add_argument(
        "--node", metavar="rr|none", help="of Node.js's cluster in place of ours: its scheduling"
    )
    add(
        "--workers",
        type=int,
        nargs="+",
        metavar="N",
        help="how many; several, so that what they cost is known at several rates; default: 4 8",
    )
    add("--seed", type=int, default=1, help="of the experiments' arrivals and work")
    add("--out", default="calibration.json", metavar="FILE", help="where it is written")
    return parser

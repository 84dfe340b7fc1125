"""Measure the engines against other programs that do the same work, in one run.

python benchmarks/engines.py                    everything, some minutes
python benchmarks/engines.py --only plain many  some cases
python benchmarks/engines.py --quick            only to see that all of it runs
"""

import argparse
import os
import sys
import time
from dataclasses import replace

from cases import CASES, Options, engine, stream
from harness import Line, table
from native import Programs


def main() -> None:
    """Run the cases, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=[*CASES], metavar="CASE", help=", ".join(CASES)
    )
    parser.add_argument("--quick", action="store_true", help="few requests, one round")
    parser.add_argument(
        "--requests", type=float, default=1e8, help="length of the case `stream` (default 1e8)"
    )
    arguments = parser.parse_args()
    lines: list[Line] = []
    with Programs() as programs:
        options = Options(arguments.quick, programs, [])
        options.note(
            "there is no compiled engine: `lbsim` is the readable one", engine() == "readable"
        )
        for name in arguments.only or CASES:
            begin = time.perf_counter()
            if name == "stream":
                lines += stream(options, int(arguments.requests))
            else:
                lines += CASES[name](options)
            print(f"{name}: {time.perf_counter() - begin:.1f} s", file=sys.stderr)
        if arguments.quick:  # a mark means nothing where starting takes longest
            lines = [replace(line, reached=None) for line in lines]
        print(table(lines))
        busy, cores = os.getloadavg()[1], len(os.sched_getaffinity(0))
        print(f"\n{cores} processors; {busy:.1f} processes wanted one, on average over 5 minutes.")
        for note in options.notes:
            print(f"\n{note}")


if __name__ == "__main__":
    main()

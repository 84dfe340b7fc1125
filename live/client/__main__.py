"""One process of the load generator: ``python -m live.client DIRECTORY PART PARTS``.

It says "ready", hears time 0, then reports progress. SIGTERM ends it early, with its results.
"""

import gc
import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from live.client.loop import Loop
from live.client.replay import COLUMNS
from live.client.task import Task


def main() -> None:
    """Do what the files and the standard input say."""
    place, part, parts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    task = Task.load(place / "task.npz")
    rows = task.rows_of(part, parts)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    start = sys.stdin.readline()
    if not start:
        return  # nobody wants it any more
    loop = Loop(task, rows, float(start))
    signal.signal(signal.SIGTERM, lambda *_: setattr(loop, "is_stopped", True))
    # A collection would delay what is due; the loop leaves no cycles behind.
    gc.freeze()
    gc.disable()
    loop.run(_report)
    columns: dict[str, Any] = {name: np.array(getattr(loop, name)) for name in COLUMNS}
    np.savez(place / f"result-{part}.npz", **columns)


def _report(done: int) -> None:
    sys.stdout.write(json.dumps(done) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

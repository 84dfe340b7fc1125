"""The master of a measurement, in a fresh interpreter: ``python -m live.child DIRECTORY PARENT``.

A notebook's kernel has threads and a running loop, so nothing may be forked from it. The policy
and the application come by cloudpickle, in a file of a directory that only this user can read.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["ERROR_STATUS", "Job", "main"]

ERROR_STATUS = 4
"""Exit status after an error that has been explained on standard output."""


class Job(NamedTuple):
    """What the master is to do.

    Attributes
    ----------
    policy : Policy
    load : str or callable
        ``module:app``, or a function that returns an ASGI application in a worker.
    options : dict
        Of `live.master.Master`.
    """

    policy: Any
    load: Any
    options: dict[str, Any]


def main() -> int:
    """Serve until SIGTERM; return the exit status."""
    place = Path(sys.argv[1])
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # threads that numerical libraries start would not survive a fork
    import cloudpickle

    from lbsim.errors import InputError, PolicyError
    from live.forked import die_with
    from live.master import Master

    # Who measures may be killed: then nobody would tell this master to stop.
    die_with(int(sys.argv[2]), signal.SIGTERM)
    try:
        job: Job = cloudpickle.loads((place / "job").read_bytes())
        return Master(job.load, job.policy, **job.options).run()
    except (InputError, PolicyError) as error:
        line = {"event": "error", "kind": type(error).__name__, "text": str(error)}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        return ERROR_STATUS


if __name__ == "__main__":
    sys.exit(main())

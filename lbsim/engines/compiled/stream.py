"""A run of any length in fixed memory: drawn, simulated and counted piece by piece.

While one piece is simulated, a thread draws the next ones. The pieces joined are the workload
(`Workload.chunks`), and a path goes on where it stopped, so the counts are those of the run that
keeps its rows.
"""

from collections.abc import Callable
from contextlib import closing

import numpy as np

from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.engines.compiled import paths, short
from lbsim.engines.compiled.engine import (
    explained,
    general_run,
    prepare_beginning,
    short_run,
)
from lbsim.engines.compiled.fingerprint import Reach, reach_of
from lbsim.engines.compiled.tally import Tally
from lbsim.engines.interrupt import Interrupt
from lbsim.engines.plan import Plan, make_plan
from lbsim.engines.progress import Progress
from lbsim.errors import PolicyError
from lbsim.policy import Policy
from lbsim.summary import Summary
from lbsim.workload import Workload
from lbsim.workload.ahead import ahead
from lbsim.workload.arrivals import BLOCK
from lbsim.workload.columns import Columns

__all__ = ["summarise"]


def summarise(
    workload: Workload, policy: Policy, cluster: Cluster, client: Client, seed: int
) -> Summary | None:
    """Simulate a workload without keeping its rows. Return None if it needs all of them at once.

    Parameters
    ----------
    workload, policy, cluster, client, seed
        As in `lbsim.simulate`, and checked there.

    Raises
    ------
    Refused
        The policy cannot be compiled; the message says why.
    PolicyError
        The policy broke its contract.
    KeyboardInterrupt
        Before the first piece was done. Later, Ctrl-C returns the summary of what is done.
    """
    beginning = make_plan(workload.head(BLOCK), cluster, client, seed)
    reach = reach_of(policy)
    prepare_beginning(beginning, policy, reach)
    what = (workload, policy, cluster, client, seed, "compiled")
    # Sessions that come only later are seen in none of the plans here.
    asks_for_sessions = cluster.session_miss_s > 0.0 and _may_have_sessions(workload)
    path = paths.short_path(beginning, policy, reach)
    if path is not None and not asks_for_sessions:
        rows = paths.empty_rows(BLOCK)
        columns = paths.columns_of(beginning, policy.oracle)
        run = short_run(path, beginning, policy, columns, rows)
        if run is not None:
            stream = _Stream(run, rows, workload, policy, cluster, client, seed)
            if _go_through(workload, stream.serve):
                return Summary.from_tally(stream.tally, what, len(workload))
    # Jitter, which connections are set up and how long a loop takes to wake are drawn by number
    # of the ticket, and a client's next request by that of its last.
    is_drawn = cluster.setup_s > 0.0 or max(cluster.wake_s) > 0.0
    by_number = client.jitter > 0.0 or is_drawn or beginning.closed
    if asks_for_sessions or by_number or len(workload) <= BLOCK:
        return None
    return Summary.from_tally(
        _general(workload, policy, cluster, client, seed, beginning, reach), what, len(workload)
    )


def _general(
    workload: Workload,
    policy: Policy,
    cluster: Cluster,
    client: Client,
    seed: int,
    beginning: Plan,
    reach: Reach,
) -> Tally:
    """Go through the workload on the general path."""
    from lbsim.engines.compiled.flow import Flow, without_sessions  # a second of imports

    flow = Flow(general_run(without_sessions(beginning), policy, reach), cluster)

    def serve(piece: Columns, done: int) -> bool:
        if done > 0:  # the first piece is the beginning
            flow.add(piece)
        return True

    try:
        _go_through(workload, serve)
        if flow.next_number == len(workload):
            flow.finish()
        else:
            flow.stop()
    except PolicyError:
        raise
    except Exception as error:
        raise explained(
            lambda n: make_plan(workload.head(n), cluster, client, seed),
            policy,
            flow.row,
            flow.now,
            error,
        ) from error
    return flow.tally


def _go_through(workload: Workload, serve: Callable[[Columns, int], bool]) -> bool:
    """Serve a workload piece by piece, until Ctrl-C. Return False if `serve` does."""
    done = 0
    with (
        closing(ahead(workload.chunks(BLOCK))) as pieces,
        Progress(len(workload)) as progress,
        Interrupt() as interrupt,
    ):
        for piece in pieces:
            if not serve(piece, done):
                return False
            done += len(piece.arrival)
            progress.done(done)
            if interrupt.wanted:
                break
    return True


def _may_have_sessions(workload: Workload) -> bool:
    if workload.recipe is not None and workload.rows is None:
        return workload.recipe.sessions is not None
    return bool((workload.key >= 0).any())


class _Stream:
    """A run on a short path, fed with pieces of a workload."""

    def __init__(
        self,
        run: paths.ShortRun,
        rows: short.Rows,
        workload: Workload,
        policy: Policy,
        cluster: Cluster,
        client: Client,
        seed: int,
    ) -> None:
        self.run = run
        self.rows = rows
        self.workload = workload
        self.policy = policy
        self.cluster = cluster
        self.client = client
        self.seed = seed
        self.tally = Tally(cluster.workers)
        nothing = np.empty(0)
        self.tally.add(0, nothing, nothing, nothing, np.empty(0, np.int64))  # to have it compiled
        self.unknown = np.full(BLOCK, np.nan)

    def serve(self, piece: Columns, done: int) -> bool:
        """Serve a piece, after `done` requests. Return False if the policy leaves the path."""
        size = len(piece.arrival)
        service = piece.cpu + piece.wait if self.policy.oracle else self.unknown[:size]
        overhead = self.cluster.overhead_s
        columns = short.read_only(
            piece.arrival,
            piece.cpu + overhead if overhead else piece.cpu,
            piece.wait,
            piece.key,
            piece.kind,
            piece.priority,
            piece.size,
            service,
        )
        try:
            if not self.run.advance(columns, self.rows, 0, size):
                return False
        except Exception as error:
            row = int(self.run.at[0])
            raise explained(
                lambda n: make_plan(self.workload.head(n), self.cluster, self.client, self.seed),
                self.policy,
                done + row,
                float(piece.arrival[row]),
                error,
            ) from error
        worker, started, finished = (column[:size] for column in self.rows)
        self.tally.add(done, piece.arrival, started, finished, worker)
        return True

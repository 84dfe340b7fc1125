"""One run: a workload, a policy, a cluster."""

from typing import TYPE_CHECKING, Literal, overload

from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.engines import pays, run_plan, summarise
from lbsim.engines.plan import make_plan
from lbsim.errors import InputError
from lbsim.policy import Policy
from lbsim.run import Run
from lbsim.summary import Summary

if TYPE_CHECKING:
    from lbsim.workload import Workload

__all__ = ["ENGINES", "simulate"]

ENGINES = ("auto", "readable", "compiled")
KEEP = ("rows", "summary")


@overload
def simulate(
    workload: "Workload",
    policy: Policy,
    cluster: Cluster,
    engine: str = "auto",
    seed: int = 0,
    client: Client | None = None,
    keep: Literal["rows"] = "rows",
) -> Run: ...


@overload
def simulate(
    workload: "Workload",
    policy: Policy,
    cluster: Cluster,
    engine: str = "auto",
    seed: int = 0,
    client: Client | None = None,
    *,
    keep: Literal["summary"],
) -> Summary: ...


def simulate(
    workload: "Workload",
    policy: Policy,
    cluster: Cluster,
    engine: str = "auto",
    seed: int = 0,
    client: Client | None = None,
    keep: str = "rows",
) -> Run | Summary:
    """Simulate how a cluster serves a workload under a policy.

    Parameters
    ----------
    workload : Workload
        The requests; they are the same for every policy (common random numbers).
    policy : Policy
        Not changed: the run uses a copy of it.
    cluster : Cluster
        The workers and the master.
    engine : {"auto", "readable", "compiled"}
        The engines give the same result, to the last bit. "auto" compiles where the run is
        long enough for that to pay.
    seed : int, default 0
        Of the policy's own chance (``cluster.rng``), of retry jitter, of which connections
        a worker sets up (``Cluster(setup_share=...)``), and of how long one takes to wake.
    client : Client, optional
        Timeouts, retries, hedging; by default a client waits as long as it takes.
    keep : {"rows", "summary"}
        What is kept: a row for every request, or only their sums, a histogram of the latencies
        and the slowest requests. A summary is drawn, simulated and counted piece by piece, in
        memory that does not grow with the number of requests; Ctrl-C ends it early.
        The memory does grow where all rows are needed before they are summed up: in a closed
        loop, with retries with `jitter`, with workers that set connections up (`setup_s`) or must
        wake (`wake_s`), with sessions whose misses cost `session_miss_s`, and under a policy that
        cannot be compiled.

    Returns
    -------
    Run or Summary

    Warns
    -----
    SlowPolicyWarning
        The policy cannot be compiled; the message says why. It runs on the readable engine.

    Raises
    ------
    PolicyError
        The policy broke its contract; the message says when and how.
    InputError
        The workload is empty, or the engine is unknown.

    Examples
    --------
    >>> import lbsim
    >>> workload = lbsim.Workload.from_arrays([0.0, 0.0, 0.5], [1.0, 1.0, 1.0])
    >>> run = lbsim.simulate(workload, lbsim.policies.LeastConnections(), lbsim.Cluster(2))
    >>> run.latency.tolist()
    [1.0, 1.0, 1.5]
    """
    if engine not in ENGINES:
        raise InputError(f"engine = {engine!r} is not known; give one of {', '.join(ENGINES)}")
    if not isinstance(policy, Policy):
        hint = f"{policy.__name__}()" if isinstance(policy, type) else "a subclass of lbsim.Policy"
        raise InputError(f"policy = {policy!r} is not a policy object; give {hint}")
    if keep not in KEEP:
        raise InputError(f"keep = {keep!r} is not known; give one of {', '.join(KEEP)}")
    if len(workload) == 0:
        raise InputError("the workload has 0 requests; a run needs at least 1")
    client = Client() if client is None else client
    if keep == "summary" and (engine == "compiled" or (engine == "auto" and pays(len(workload)))):
        found = summarise(workload, policy, cluster, client, seed)
        if found is not None:
            return found
    plan = make_plan(workload, cluster, client, seed)
    source, record = run_plan(plan, policy, engine)
    run = Run(workload, policy, cluster, client, seed, source, plan.copies, record)
    return run if keep == "rows" else Summary.of(run)

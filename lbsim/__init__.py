"""A lab for one question: which worker should get the next request.

And what does that choice do to latency?

>>> import lbsim
>>> cluster = lbsim.Cluster(workers=4)
>>> workload = lbsim.Workload.synthetic(2000, service=lbsim.Exponential(mean=0.010),
...                                     load=0.8, cluster=cluster, seed=1)
>>> run = lbsim.simulate(workload, lbsim.policies.LeastConnections(), cluster, seed=1)
>>> len(run.latency)
2000

Where things are: `lbsim.workload` (arrivals and service times), `lbsim.policies`,
`lbsim.cluster` and `lbsim.faults` (workers, and what happens to them), `lbsim.dispatch` (the
master's decisions), `lbsim.engines` (virtual time), `lbsim.run` and `lbsim.experiment` (results),
`lbsim.stats`, `lbsim.theory`, `lbsim.plot` and `lbsim.report`.
"""

from importlib.metadata import PackageNotFoundError, version

from lbsim import data, plot, policies, sessions, stats, teach, theory
from lbsim.client import Client
from lbsim.cluster import Cluster, Master
from lbsim.comparison import Comparison
from lbsim.contract import check_policy
from lbsim.errors import InputError, PolicyError, SlowPolicyWarning
from lbsim.experiment import compare, sweep
from lbsim.explorer import explore
from lbsim.faults import Crash, Faults, Hang, Reload, SlowDown, random_crashes
from lbsim.hashing import hash64, hash_string
from lbsim.policy import HOLD, SHED, ClusterView, Policy, Request, least_loaded
from lbsim.run import Run
from lbsim.simulate import simulate
from lbsim.summary import Summary
from lbsim.workload import (
    Bimodal,
    BoundedPareto,
    ClosedLoop,
    Deterministic,
    DeterministicArrivals,
    Empirical,
    Exponential,
    FlashCrowd,
    Gamma,
    Hyperexponential,
    Kind,
    Lognormal,
    MarkovModulated,
    OnOff,
    Pareto,
    Poisson,
    RateProfile,
    Renewal,
    Sessions,
    Weibull,
    Workload,
)

try:
    __version__ = version("lbsim")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "HOLD",
    "SHED",
    "Bimodal",
    "BoundedPareto",
    "Client",
    "ClosedLoop",
    "Cluster",
    "ClusterView",
    "Comparison",
    "Crash",
    "Deterministic",
    "DeterministicArrivals",
    "Empirical",
    "Exponential",
    "Faults",
    "FlashCrowd",
    "Gamma",
    "Hang",
    "Hyperexponential",
    "InputError",
    "Kind",
    "Lognormal",
    "MarkovModulated",
    "Master",
    "OnOff",
    "Pareto",
    "Poisson",
    "Policy",
    "PolicyError",
    "RateProfile",
    "Reload",
    "Renewal",
    "Request",
    "Run",
    "Sessions",
    "SlowDown",
    "SlowPolicyWarning",
    "Summary",
    "Weibull",
    "Workload",
    "check_policy",
    "compare",
    "data",
    "explore",
    "hash64",
    "hash_string",
    "least_loaded",
    "plot",
    "policies",
    "random_crashes",
    "sessions",
    "simulate",
    "stats",
    "sweep",
    "teach",
    "theory",
]

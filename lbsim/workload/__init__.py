"""Workloads: which requests come, when, and what they ask of a worker.

- `laws`, `heavy_tails`, `given`: how long (distributions);
- `arrivals`, `modulated`: when;
- `recipe`: how a synthetic workload is drawn from them; `synthetic`: what is checked before;
- `offered`: load and rate;
- `columns`, `keys`: the rows, and what is checked in given ones; `resample`: the bootstrap;
- `workload`: the `Workload` itself;
- `traces`: files of others, with `tables`, `logs` (how they are read) and `fields` (what their
  columns mean); `files`, `portable`: our own;
- `describe`, `tail`: what a workload is like.
"""

from lbsim.workload.arrivals import (
    Arrivals,
    ClosedLoop,
    DeterministicArrivals,
    Poisson,
    Renewal,
    as_arrivals,
)
from lbsim.workload.describe import Description, describe
from lbsim.workload.given import Empirical, as_law
from lbsim.workload.heavy_tails import BoundedPareto, Hyperexponential, Lognormal, Pareto
from lbsim.workload.laws import Bimodal, Deterministic, Exponential, Gamma, Law, Weibull
from lbsim.workload.modulated import FlashCrowd, MarkovModulated, OnOff, RateProfile
from lbsim.workload.recipe import Kind, Sessions
from lbsim.workload.tail import hill
from lbsim.workload.workload import Workload

__all__ = [
    "Arrivals",
    "Bimodal",
    "BoundedPareto",
    "ClosedLoop",
    "Description",
    "Deterministic",
    "DeterministicArrivals",
    "Empirical",
    "Exponential",
    "FlashCrowd",
    "Gamma",
    "Hyperexponential",
    "Kind",
    "Law",
    "Lognormal",
    "MarkovModulated",
    "OnOff",
    "Pareto",
    "Poisson",
    "RateProfile",
    "Renewal",
    "Sessions",
    "Weibull",
    "Workload",
    "as_arrivals",
    "as_law",
    "describe",
    "hill",
]

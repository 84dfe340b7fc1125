"""Engines: the same plan in, the same record out, bit for bit.

- `lbsim.engines.plan`: workload, cluster and client as plain numbers, for both engines;
- `lbsim.engines.record`: what an engine writes down;
- `lbsim.engines.readable`: SimPy, made to be read: the reference;
- `lbsim.engines.compiled`: Numba, made to be fast.

The order of events at one instant is part of the physics and is the same in both: by kind (as
numbered in `lbsim.engines.plan`), then by worker, then by ticket.
"""

import warnings
from typing import TYPE_CHECKING

from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.engines.plan import Plan
from lbsim.engines.record import Record
from lbsim.errors import SlowPolicyWarning
from lbsim.policy import Policy

if TYPE_CHECKING:
    from lbsim.summary import Summary
    from lbsim.workload import Workload

__all__ = ["pays", "run_plan", "summarise"]

PAYS_FROM = 5_000
"""Requests from which on compiling, a second or two the first time, is worth it."""

READABLE_S = 40e-6
"""What the readable engine takes for a request, roughly, for the warning."""


def pays(n: int) -> bool:
    """Say whether so many requests are worth compiling for."""
    return n >= PAYS_FROM


def run_plan(plan: Plan, policy: Policy, engine: str) -> tuple[str, Record]:
    """Run a plan on an engine. Return the name of the engine that did it, and the record.

    Parameters
    ----------
    plan : Plan
    policy : Policy
    engine : {"auto", "readable", "compiled"}
    """
    if engine == "compiled" or (engine == "auto" and pays(plan.n)):
        from lbsim.engines import compiled

        try:
            return "compiled", compiled.run(plan, policy, patient=engine == "compiled")
        except compiled.Refused as refusal:
            warnings.warn(
                f"{type(policy).__name__} cannot be compiled: {refusal}. It runs on the readable "
                f"engine, some hundred times as slow: about {plan.n * READABLE_S:.2g} s for "
                f"{plan.n} requests",
                SlowPolicyWarning,
                stacklevel=3,
            )
        except compiled.NotYet:
            pass
    from lbsim.engines import readable

    return "readable", readable.run(plan, policy)


def summarise(
    workload: "Workload", policy: Policy, cluster: Cluster, client: Client, seed: int
) -> "Summary | None":
    """Simulate in fixed memory. Return None if that needs all rows at once.

    Parameters
    ----------
    workload, policy, cluster, client, seed
        As in `lbsim.simulate`.
    """
    from lbsim.engines import compiled
    from lbsim.engines.compiled.stream import summarise as stream

    try:
        return stream(workload, policy, cluster, client, seed)
    except (compiled.Refused, compiled.NotYet):
        return None  # the run that keeps its rows says why

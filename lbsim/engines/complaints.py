"""What a user is told when a policy's choice cannot be."""

from lbsim.dispatch import CHOICE, N_UP, Core
from lbsim.errors import PolicyError
from lbsim.policy import Policy

__all__ = ["bad_choice"]


def bad_choice(policy: Policy, core: Core, now: float, ticket: int) -> PolicyError:
    """Explain a choice that the dispatcher refused."""
    worker = int(core.count[CHOICE])
    n = len(core.in_flight)
    up = core.up[: core.count[N_UP]].tolist()
    shown = str(up) if len(up) <= 12 else f"{len(up)} workers, {up[0]} to {up[-1]}"
    if 0 <= worker < n:
        why = f"worker {worker} is not up"
    else:
        why = f"there is no worker {worker} (the workers are 0 to {n - 1})"
    return PolicyError(
        f"{type(policy).__name__}.choose returned {worker} for request "
        f"{ticket // core.settings.copies} at t = {now:.6g} s, but {why}; "
        f"return a worker in cluster.up ({shown}), HOLD or SHED"
    )

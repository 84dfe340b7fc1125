"""Run a plan under a policy, compiled."""

from lbsim import checked
from lbsim.engines import readable
from lbsim.engines.compiled import paths
from lbsim.engines.compiled.comparison import compare_beginning
from lbsim.engines.compiled.fingerprint import Reach, reach_of
from lbsim.engines.compiled.refused import NotYet, Refused
from lbsim.engines.compiled.value import PolicyValue, Uncompilable, policy_value
from lbsim.engines.plan import Plan, head_of
from lbsim.engines.progress import Progress
from lbsim.engines.record import Record
from lbsim.errors import PolicyError
from lbsim.policy import Policy

__all__ = ["run"]

EXPLAINED = 200_000
"""An error within so many requests is explained by running them interpreted."""


def run(plan: Plan, policy: Policy) -> Record:
    """Simulate a plan under a policy.

    Parameters
    ----------
    plan : Plan
        From `lbsim.engines.plan.make_plan`.
    policy : Policy
        Not changed: the run uses a copy.

    Raises
    ------
    Refused
        The policy cannot be compiled; the message says why.
    PolicyError
        The policy broke its contract; the message is that of the readable engine.
    """
    reach = reach_of(policy)
    if not type(policy).__module__.startswith("lbsim."):
        compare_beginning(plan, policy, reach, _run)
    return _run(plan, policy, reach)


def _run(plan: Plan, policy: Policy, reach: Reach) -> Record:
    path = paths.short_path(plan, policy, reach)
    if path is not None:
        record = _on_short_path(path, plan, policy, reach)
        if record is not None:
            return record
    raise NotYet


def _on_short_path(path: str, plan: Plan, policy: Policy, reach: Reach) -> Record | None:
    """Run on a short path. Return None if the policy does not stay on it."""
    prepared = checked.fresh(policy, len(plan.workers.speed))
    rng = paths.boot(plan, prepared)
    run = paths.ShortRun(path, plan, _value(prepared), rng)
    try:
        with Progress(plan.n) as progress:
            return paths.run_short(run, plan, policy.oracle, progress)
    except paths.NUMBA_ERRORS:
        # It reads something that this path does not keep, or cannot be compiled at all: the
        # general path will tell.
        return None
    except Exception as error:
        raise explained(plan, policy, int(run.at[0]), error) from error


def _value(prepared: Policy) -> PolicyValue:
    try:
        return policy_value(prepared)
    except Uncompilable as error:
        raise Refused(str(error)) from error


def explained(plan: Plan, policy: Policy, row: int, error: Exception) -> PolicyError:
    """Return what the readable engine says of an error that compiled code met at a request."""
    if row < EXPLAINED:
        try:
            readable.run(head_of(plan, row + 1), policy)
        except PolicyError as same:
            return same
    return PolicyError(
        f"{type(policy).__name__} raised {type(error).__name__}: {error} at request {row} "
        f"(t = {plan.arrival[row]:.6g} s), compiled; run the requests before it with "
        "engine='readable' to see the line"
    )

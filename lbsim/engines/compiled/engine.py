"""Run a plan under a policy, compiled."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lbsim import checked
from lbsim.engines import readable
from lbsim.engines.compiled import paths, short
from lbsim.engines.compiled.comparison import compare_beginning
from lbsim.engines.compiled.fingerprint import Reach, reach_of
from lbsim.engines.compiled.reasons import makes_arrays, reason
from lbsim.engines.compiled.refused import NotYet, Refused
from lbsim.engines.compiled.value import Uncompilable, policy_value
from lbsim.engines.plan import Plan, head_of
from lbsim.engines.progress import Progress
from lbsim.engines.record import Record
from lbsim.errors import PolicyError
from lbsim.policy import Policy

if TYPE_CHECKING:
    from lbsim.engines.compiled.kernel import GeneralRun

__all__ = ["explained", "general_run", "prepare_beginning", "run", "short_run"]

EXPLAINED = 200_000
"""An error within so many requests is explained by running them interpreted."""

_failed: dict[tuple[str, str], Exception] = {}
"""Why compiling has failed for a policy (by tag) on a path: it is not tried again."""


GENERAL_PAYS_FROM = 200_000
"""Requests from which on compiling the general path, several seconds, is worth it."""


def run(plan: Plan, policy: Policy, *, patient: bool = True) -> Record:
    """Simulate a plan under a policy.

    Parameters
    ----------
    plan : Plan
        From `lbsim.engines.plan.make_plan`.
    policy : Policy
        Not changed: the run uses a copy.
    patient : bool
        Compile whatever it takes. Otherwise only if the readable engine would take longer.

    Raises
    ------
    NotYet
        The readable engine is faster, all in all.
    Refused
        The policy cannot be compiled; the message says why.
    PolicyError
        The policy broke its contract; the message is that of the readable engine.
    """
    reach = reach_of(policy)
    if not patient and plan.n < GENERAL_PAYS_FROM and paths.short_path(plan, policy, reach) is None:
        from lbsim.engines.compiled.kernel import GeneralRun

        prepared = checked.fresh(policy, len(plan.workers.speed))
        if not GeneralRun(plan, prepared, _value(prepared, False)).is_at_hand():
            raise NotYet
    prepare_beginning(plan, policy, reach)
    return _run(plan, policy, reach)


def prepare_beginning(plan: Plan, policy: Policy, reach: Reach) -> None:
    """Compare the engines on the first requests of a plan, if the policy is a user's own."""
    if not type(policy).__module__.startswith("lbsim."):
        compare_beginning(plan, policy, reach, _run)


def _run(plan: Plan, policy: Policy, reach: Reach) -> Record:
    path = paths.short_path(plan, policy, reach)
    if path is not None:
        record = _on_short_path(path, plan, policy)
        if record is not None:
            return record
    return _on_general_path(plan, policy, reach)


def _on_general_path(plan: Plan, policy: Policy, reach: Reach) -> Record:
    """Run on the general path."""
    run = general_run(plan, policy, reach)
    try:
        return run.run()
    except PolicyError:
        raise
    except Exception as error:
        row, now = run.at()
        raise explained(lambda n: head_of(plan, n), policy, row, now, error) from error


def general_run(plan: Plan, policy: Policy, reach: Reach) -> "GeneralRun":
    """Return a run on the general path, compiled, or raise `Refused`."""
    from lbsim.engines.compiled.kernel import GeneralRun  # a second of imports, not always needed

    for allocates in (False, True):
        prepared = checked.fresh(policy, len(plan.workers.speed))
        run = GeneralRun(plan, prepared, _value(prepared, allocates))
        failure = _compiling_fails("general", run.value.type.tag, run.compile)
        if failure is None or not makes_arrays(failure):
            break
    if failure is not None:
        raise Refused(reason(failure, reach)) from failure
    return run


def _on_short_path(path: str, plan: Plan, policy: Policy) -> Record | None:
    """Run on a short path. Return None if the policy cannot be, or does not stay, on it."""
    columns = paths.columns_of(plan, policy.oracle)
    rows = paths.empty_rows(plan.n)
    run = short_run(path, plan, policy, columns, rows)
    if run is None:
        return None
    try:
        with Progress(plan.n) as progress:
            return paths.run_short(run, plan, columns, rows, progress)
    except Exception as error:
        row = int(run.at[0])
        now = float(plan.arrival[row])
        raise explained(lambda n: head_of(plan, n), policy, row, now, error) from error


def short_run(
    path: str, plan: Plan, policy: Policy, columns: short.Columns, rows: short.Rows
) -> paths.ShortRun | None:
    """Return a run on a short path, compiled for these columns and rows, or None."""
    for allocates in (False, True):
        prepared = checked.fresh(policy, len(plan.workers.speed))
        rng = paths.boot(plan, prepared)
        run = paths.ShortRun(path, plan, _value(prepared, allocates), rng)
        failure = _compiling_fails(path, run.value.type.tag, run.compile, columns, rows)
        if failure is None:
            return run
        if not makes_arrays(failure):
            break
    return None


def _compiling_fails(path: str, tag: str, compile_it: Any, *arguments: Any) -> Exception | None:
    """Compile something for a policy. Return what went wrong, or None."""
    if (tag, path) not in _failed:
        try:
            compile_it(*arguments)
        except Exception as error:  # Numba raises many kinds
            _failed[tag, path] = error
    return _failed.get((tag, path))


def _value(prepared: Policy, allocates: bool) -> Any:
    try:
        return policy_value(prepared, allocates=allocates)
    except Uncompilable as error:
        raise Refused(str(error)) from error


def explained(
    beginning: Callable[[int], Plan], policy: Policy, row: int, now: float, error: Exception
) -> PolicyError:
    """Return what the readable engine says of an error that compiled code met at a request.

    Parameters
    ----------
    beginning : callable
        Returns the plan of so many first requests.
    policy : Policy
    row : int
        Number of the request.
    now : float
        When it came, in seconds.
    error : Exception
    """
    if row < EXPLAINED:
        try:
            readable.run(beginning(row + 1), policy)
        except PolicyError as same:
            return same
    return PolicyError(
        f"{type(policy).__name__} raised {type(error).__name__}: {error} at request {row} "
        f"(t = {now:.6g} s), compiled; run the requests before it with engine='readable' to see "
        "the line"
    )

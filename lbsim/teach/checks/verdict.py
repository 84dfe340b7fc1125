"""What a check answers: a list of what is right, or one explained failure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lbsim.contract import check_policy
from lbsim.errors import PolicyError
from lbsim.policy import Policy

__all__ = ["CheckFailed", "Verdict", "contract"]


class CheckFailed(AssertionError):
    """An exercise is not solved yet; the message says what was seen and where to look.

    An AssertionError, so that nbgrader and pytest count it as a failed test.
    """

    def _render_traceback_(self) -> list[str]:
        """Show a student the message alone: where the check itself is coded is no help."""
        return [f"Not solved yet: {self}"]


@dataclass
class Verdict:
    """What has been checked, in order."""

    exercise: str
    passed: list[str] = field(default_factory=list)

    def ok(self, line: str) -> None:
        """Note a step that has been passed."""
        self.passed.append(line)

    def __repr__(self) -> str:
        return "\n".join([f"{self.exercise}: solved", *(f"  ok    {p}" for p in self.passed)])


def contract(policy: Any, verdict: Verdict) -> None:
    """Check the contract of a policy; say so if the policy is not written yet.

    Raises
    ------
    CheckFailed
        With the message of `lbsim.check_policy`.
    """
    if not isinstance(policy, Policy):
        hint = f"{policy.__name__}()" if isinstance(policy, type) else "an object of your class"
        raise CheckFailed(f"{policy!r} is not a policy object; give {hint}")
    explained(lambda: check_policy(policy))
    verdict.ok("keeps the contract of a policy (see lbsim.check_policy)")


def explained(action: Callable[[], Any]) -> Any:
    """Do something with a policy; turn what goes wrong in it into a `CheckFailed`."""
    try:
        return action()
    except PolicyError as error:
        if isinstance(error.__cause__, NotImplementedError) or "NotImplementedError" in str(error):
            raise CheckFailed(
                "choose() is not written yet; put your code in the place of the line "
                "'raise NotImplementedError()'"
            ) from error
        raise CheckFailed(str(error)) from error

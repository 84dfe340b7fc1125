"""What goes wrong, and what to do about it.

Every message names the value that was given, the rule it breaks and the remedy.
"""

__all__ = ["InputError", "PolicyError", "SlowPolicyWarning"]


class InputError(ValueError):
    """Bad input from the user: the command line prints it in one line and exits with 2."""


class PolicyError(InputError):
    """A policy broke its contract: the message says when, how, and what a valid choice is."""


class SlowPolicyWarning(UserWarning):
    """A policy cannot be compiled and runs on the readable engine; the message says why."""

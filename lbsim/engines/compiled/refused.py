"""What the compiled engine says when it cannot run a policy."""

__all__ = ["NotYet", "Refused"]


class Refused(Exception):
    """A policy cannot be compiled; the message says where and why, in plain words."""


class NotYet(Exception):
    """The compiled engine has no path for this run."""

"""What a process does first that was forked, or that must not outlive who started it."""

import ctypes
import os
import signal
from collections.abc import Iterable

__all__ = ["close_all_but", "die_with"]

_PR_SET_PDEATHSIG = 1


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Ask the kernel for a signal when the parent dies, even in the middle of blocking work."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def close_all_but(keep: Iterable[int]) -> None:
    """Close all descriptors but these and the standard ones."""
    begin = 3
    for descriptor in sorted(keep):
        os.closerange(begin, descriptor)
        begin = descriptor + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))

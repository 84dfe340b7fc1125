"""How much memory this process holds."""

import os

__all__ = ["STATM", "resident"]

STATM = "/proc/self/statm"
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(statm: int) -> int:
    """Return the resident memory of the process that opened a descriptor of `STATM`, in bytes."""
    return int(os.pread(statm, 100, 0).split()[1]) * _PAGE

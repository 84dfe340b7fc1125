"""What machine a measurement was made on, and what else happened on it meanwhile."""

import math
import os
import platform
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "OTHERS_LIMIT",
    "STEAL_LIMIT",
    "WAITING_LIMIT",
    "Disturbance",
    "Watch",
    "facts",
    "processor_time",
    "wait_for_quiet",
]

STEAL_LIMIT = 0.02
"""Share of the processors' time that others may take from a virtual machine before what was
measured on it is not trusted."""

WAITING_LIMIT = 0.25
"""Share of time in which some process may wait for a processor, where nothing of ours computes."""

OTHERS_LIMIT = 0.25
"""Share of the processors' time that processes may use that are no part of the measurement. They
slow it even where they keep nobody waiting: caches and halves of processors are shared."""

NOTED_S = 0.5
"""Between two looks at the machine. The kernel counts in hundredths of a second, so what it counts
of half a second on two processors is good to a hundredth."""


def facts() -> dict[str, Any]:
    """Return what a reader of the measurement must know of the machine; JSON can hold it."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("lbsim", "numpy", "uvicorn", "httptools")},
    }


@dataclass(frozen=True)
class Disturbance:
    """What the machine did between two moments.

    Attributes
    ----------
    steal : float
        Share of the processors' time that the hypervisor gave to others.
    busy : float
        Share in which the processors did anything, the measurement included.
    waiting : float
        Share of time in which some process had to wait for a processor (pressure stall
        information); NaN where the kernel does not tell.
    others : float, default NaN
        Share that processes used which this one has not begun; NaN if that is not known.
    """

    steal: float
    busy: float
    waiting: float
    others: float = math.nan

    @property
    def is_quiet(self) -> bool:
        """Whether what was measured meanwhile may be trusted."""
        is_shared = self.waiting > WAITING_LIMIT or self.others > OTHERS_LIMIT
        return self.steal <= STEAL_LIMIT and not is_shared

    def __str__(self) -> str:
        known = [] if math.isnan(self.others) else [f"{self.others:.0%} by other processes"]
        busy = ", ".join([f"processors {self.busy:.0%} busy", *known])
        return (
            f"{self.steal:.1%} of processor time stolen, {busy}, "
            f"somebody waiting for one {self.waiting:.0%} of the time"
        )


class Watch:
    """Looks at the machine when it is made, and again at each `look` and some of the `note`s.

    Parameters
    ----------
    pids : sequence of int, optional
        Processes that take part in what is watched beside those that this one has begun. None: some
        do, and are not known, or who does is not asked (`Disturbance.others` is NaN then).
    """

    def __init__(self, pids: Sequence[int] | None = ()) -> None:
        self._looks = [_look()]
        self._pids = pids
        self._ours = self._ticks_of_ours()

    def note(self) -> None:
        """Look again, if the last look was some time ago."""
        if time.monotonic() - self._looks[-1][0] >= NOTED_S:
            self._looks.append(_look())

    def look(self) -> Disturbance:
        """Return what happened since the watch was made."""
        self._looks.append(_look())
        (then, before, earlier), (when, ticks, stalled) = self._looks[0], self._looks[-1]
        spent = [now - past for now, past in zip(ticks, before, strict=True)]
        total = max(1, sum(spent))
        idle = spent[3] + spent[4]
        ours = self._ticks_of_ours() - self._ours
        return Disturbance(
            steal=spent[7] / total,
            busy=1.0 - idle / total,
            waiting=(stalled - earlier) / max(1e-9, when - then),
            others=float(np.maximum(0.0, sum(spent[:3]) - ours) / total),
        )

    def _ticks_of_ours(self) -> float:
        return math.nan if self._pids is None else _ticks_of({os.getpid(), *self._pids})

    def theft(self, times: np.ndarray) -> np.ndarray:
        """Return how likely it was, at some times, that a processor was away.

        That is the share that the hypervisor took of what we did not use: only what is wanted is
        counted as stolen, and who computes already does not find its processor gone.

        Parameters
        ----------
        times : ndarray of float64, shape (n,)
            CLOCK_MONOTONIC, in seconds.

        Returns
        -------
        ndarray of float64, shape (n,)
            Between the two looks around each time.
        """
        looked = np.array([when for when, _, _ in self._looks])
        ticks = np.array([ticks for _, ticks, _ in self._looks], np.float64)
        spent = np.diff(ticks, axis=0)
        if len(spent) == 0:
            return np.zeros(len(times))
        stolen, idle = spent[:, 7], spent[:, 3] + spent[:, 4]
        share = stolen / np.maximum(1.0, stolen + idle)
        between = np.searchsorted(looked, times, "right") - 1
        return share[np.clip(between, 0, len(share) - 1)]


def _look() -> tuple[float, list[int], float]:
    """Return the time, the processors' ticks by use (proc(5), /proc/stat), seconds of stalls."""
    first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    # user nice system idle iowait irq softirq steal; guest times are in user already
    ticks = [int(word) for word in first.split()[1:9]]
    try:
        some = Path("/proc/pressure/cpu").read_text(encoding="ascii").split("\n", 1)[0]
        stalled = int(some.rpartition("total=")[2]) * 1e-6
    except OSError:
        stalled = float("nan")
    return time.monotonic(), ticks, stalled


def processor_time(pid: int) -> float:
    """Return the seconds that a process has been on a processor, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) * 1e-9


def _ticks_of(pids: set[int]) -> float:
    """Return the ticks that these processes and all that they have begun have computed.

    Those that have ended, and been waited for, are in their parents' figures (proc(5),
    /proc/pid/stat).
    """
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The second word is a name in brackets, in which anything may be.
            words = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        pid = int(path.parent.name)
        children[int(words[1])].append(pid)
        ticks[pid] = sum(map(int, words[11:15]))
    found, new = set[int](), pids
    while new:
        found |= new
        new = {child for pid in new for child in children[pid]} - found
    return float(sum(ticks.get(pid, 0) for pid in found))


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def wait_for_quiet(patience_s: float, busy: float = 0.25) -> bool:
    """Wait until the processors are ours alone, and say whether they came to that.

    That is: for a second they have little to do, and in the next, in which this process computes,
    the hypervisor takes no more than `STEAL_LIMIT`; it takes only from who wants something.

    Parameters
    ----------
    patience_s : float
        How long to wait, in seconds.
    busy : float, default 0.25
        The share of a second in which they may do something.
    """
    until = time.monotonic() + patience_s
    while True:
        watch = Watch(None)
        time.sleep(1.0)
        if watch.look().busy <= busy and _steal_of(1.0) <= STEAL_LIMIT:
            return True
        if time.monotonic() >= until:
            return False


def _steal_of(seconds: float) -> float:
    """Compute for some seconds, and return what share of the processors' time was stolen."""
    watch, until = Watch(None), time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    return watch.look().steal

"""Work at a speed that changes by a schedule: how a slow worker is made, for real.

A worker that sleeps to a deadline in place of computing takes no notice of being stopped or
slowed down. So its deadline is computed from the schedule of faults: the work is done at the
worker's speed, which a `SlowDown` changes and which is 0 in a `Hang`.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

from lbsim.cluster import Cluster
from lbsim.faults import Hang, SlowDown

__all__ = ["Speed", "sleeper", "spinner"]


class Speed:
    """How fast one worker is, as steps in time.

    Parameters
    ----------
    base : float
        Seconds of work in a second without faults.
    spans : sequence of (begin, end, factor)
        Times from time 0 of the run; factors of spans that overlap multiply.

    Examples
    --------
    >>> speed = Speed(1.0, [(10.0, 12.0, 0.5)])
    >>> speed.end_of(9.0, 2.0), speed.end_of(20.0, 2.0)
    (12.0, 22.0)
    """

    def __init__(self, base: float, spans: list[tuple[float, float, float]]) -> None:
        moments = sorted({t for begin, end, _ in spans for t in (begin, end)})
        self.steps = [(-math.inf, base)] + [
            (t, base * math.prod(f for begin, end, f in spans if begin <= t < end))
            for t in moments
            if t < math.inf
        ]

    @classmethod
    def of(cls, cluster: Cluster, worker: int, *, hangs: bool = True) -> "Speed":
        """Return the speed of a cluster's worker under its faults, hangs counted or not."""
        spans = []
        for fault in cluster.faults.schedule:
            if isinstance(fault, SlowDown) and fault.worker == worker:
                spans.append((fault.at, fault.at + fault.duration, fault.factor))
            elif hangs and isinstance(fault, Hang) and fault.worker == worker:
                spans.append((fault.at, fault.at + fault.duration, 0.0))
        return cls(cluster.speeds[worker], spans)

    @property
    def is_plain(self) -> bool:
        """Whether it is always 1."""
        return self.steps == [(-math.inf, 1.0)]

    def end_of(self, now: float, work: float) -> float:
        """Return when work that begins now is done, in seconds from time 0."""
        for i, (_, speed) in enumerate(self.steps):
            end = self.steps[i + 1][0] if i + 1 < len(self.steps) else math.inf
            if end <= now:
                continue
            if work <= (end - now) * speed:
                return now + work / speed
            work -= (end - now) * speed
            now = end
        raise AssertionError("the last step has no end and a speed above 0")


def sleeper(speed: Speed, origin: Path) -> Callable[[float], None]:
    """Return a function that blocks, by sleeping, until so much work is done.

    Parameters
    ----------
    speed : Speed
    origin : Path
        A file with time 0 (CLOCK_MONOTONIC, seconds), which is there before the first request.
    """
    zero: list[float] = []

    def block(work: float) -> None:
        now = time.monotonic()
        if speed.is_plain:
            deadline = now + work
        else:
            if not zero:
                zero.append(float(origin.read_text(encoding="ascii")))
            deadline = zero[0] + speed.end_of(now - zero[0], work)
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(left)

    return block


def spinner(speed: Speed, origin: Path) -> Callable[[float], None]:
    """Return a function that blocks, by computing, until so much processor time is used.

    Processor time, not time: workers that share a core really slow each other down.
    """
    zero: list[float] = []

    def block(work: float) -> None:
        if not speed.is_plain:
            if not zero:
                zero.append(float(origin.read_text(encoding="ascii")))
            now = time.monotonic() - zero[0]
            work = speed.end_of(now, work) - now
        until = time.thread_time() + work
        while time.thread_time() < until:
            pass

    return block

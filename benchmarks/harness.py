"""Timing: contenders take turns, and what counts is their ratio in the same turn."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Contest", "Line", "table"]


@dataclass(frozen=True)
class Line:
    """One line of the table: how fast the lab is, how fast another is, and what was wanted."""

    case: str
    rival: str
    lab: str  # with its unit
    other: str
    ratio: float | None
    mark: str = ""
    reached: bool | None = None  # None: there is no mark


@dataclass
class Contest:
    """Contenders that do the same work, timed in turns.

    Parameters
    ----------
    case : str
        What is done.
    requests : dict of str to int
        How many requests each contender serves in a call.
    contenders : dict of str to callable
        Called without arguments. The first is the lab.
    rounds : int
        Every contender runs once in every round, after one call that is not timed (it loads
        or compiles, and its result may be checked).
    """

    case: str
    requests: dict[str, int]
    contenders: dict[str, Callable[[], object]]
    rounds: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    used: dict[str, list[float]] = field(default_factory=dict)  # seconds of a processor

    def run(self) -> None:
        """Time all contenders in turns."""
        self.seconds = {name: [] for name in self.contenders}
        self.used = {name: [] for name in self.contenders}
        for contender in self.contenders.values():
            contender()
        for _ in range(self.rounds):
            for name, contender in self.contenders.items():
                begin, used = time.perf_counter(), time.process_time()
                contender()
                self.seconds[name].append(time.perf_counter() - begin)
                self.used[name].append(time.process_time() - used)

    def rate(self, name: str) -> float:
        """Return the median of a contender's requests per second."""
        return self.requests[name] / statistics.median(self.seconds[name])

    def ratio(self, name: str) -> float:
        """Return how many times as fast as a contender the lab is: the median over the rounds."""
        lab = next(iter(self.contenders))
        pairs = zip(self.seconds[lab], self.seconds[name], strict=True)
        scale = self.requests[lab] / self.requests[name]
        return statistics.median(scale * theirs / ours for ours, theirs in pairs)

    def lines(self, marks: dict[str, float]) -> list[Line]:
        """Return a line for each rival; `marks` holds the least ratio wanted against some."""
        lab, *rivals = self.contenders
        found = []
        for rival in rivals:
            ratio = self.ratio(rival)
            wanted = marks.get(rival)
            found.append(
                Line(
                    self.case,
                    rival,
                    millions(self.rate(lab)),
                    millions(self.rate(rival)),
                    ratio,
                    "" if wanted is None else f"≥ {wanted:g} ×",
                    None if wanted is None else ratio >= wanted,
                )
            )
        return found

    def against_rate(self, wanted: float) -> Line:
        """Return the line of a mark in requests per second; beside it, per processor second."""
        lab = next(iter(self.contenders))
        rate = self.rate(lab)
        own = millions(self.requests[lab] / statistics.median(self.used[lab]))
        mark = f"≥ {millions(wanted)}"
        return Line(
            self.case, "–", millions(rate), f"{own} of a processor", None, mark, rate >= wanted
        )


def millions(rate: float) -> str:
    """Return a rate in words: million requests per second."""
    return f"{rate / 1e6:.3g} M/s"


def table(lines: list[Line]) -> str:
    """Return the lines as a Markdown table."""
    rows = [("case", "against", "lbsim", "the other", "ratio", "mark", "reached?")]
    for line in lines:
        ratio = "" if line.ratio is None else f"{line.ratio:.3g}"
        reached = {None: "", True: "yes", False: "**no**"}[line.reached]
        rows.append((line.case, line.rival, line.lab, line.other, ratio, line.mark, reached))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )

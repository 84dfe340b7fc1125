"""What a machine costs, measured beforehand: the figures and their file.

They are the times that a real master and real workers take beside the requests' own work. What a
simulation makes of them is in `lbsim.calibration`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from lbsim import checks
from lbsim.errors import InputError
from lbsim.spread import Spread, mean, value_at_rate

__all__ = ["REGIMES", "SINGLES", "Costs"]

VERSION = 5

OCCASIONS = 4
"""So many calibrations tell by themselves how much the machine changes between two times."""

SINGLES = (
    "accept_s", "dispatch_s", "per_byte_s", "worker_accept_s", "worker_turn_s", "worker_setup_s",
    "setup_share", "restart_s", "herd_s",
)  # fmt: skip
"""What a `Calibration` has one figure of."""

REGIMES = ("queued", "acknowledged", "held")
"""Where the next request is when a worker has done with one: at the worker; at the worker, which
takes them off its channel one by one, since the policy waits for acknowledgements; at the master,
which must hear of the end before it hands over the next."""


@dataclass(frozen=True)
class Costs:
    """What a machine costs; all times in seconds.

    Spreads are quantiles at evenly spaced probabilities, the smallest and the largest included.

    Attributes
    ----------
    accept_s, dispatch_s, per_byte_s : float
        The master's processor time: to accept a connection, read and decide; to hand it over and
        to hear of it; for each byte of a request that it holds or passes on.
    worker_accept_s, worker_turn_s : float
        A worker's time for a connection that it takes off its channel; and for a turn of its loop
        that finds some, beside that. Where no master of ours has a part: until its handler begins.
    overrun : mapping of str to mapping of float to tuple of float
        By how much longer a request occupies its worker than its own work and what it costs to
        take it, in each of the `REGIMES`: a spread for each of some rates (requests a second),
        since workers that share processors are in each other's way.
    before : mapping of float to tuple of float
        From when a request is due until it is decided who gets it, without the costs above: the
        load generator's lateness, the network, the master's waking. A spread for each of several
        rates (requests a second).
    waking : mapping of float to tuple of float
        From then until an idle worker begins with it, without the costs above. A spread for each
        rate; empty if it is not known, and a part of `before`.
    rest : mapping of float to tuple of float
        From then until the client has the answer, without the work. A spread for each rate.
    restart_s : float
        From a worker's death until its successor is up.
    making : mapping of float to float
        How long the load generator took at each rate to make a socket, the median: at those of
        `before`, and of `overrun` where that is known; empty if it is not known at all.
    worker_setup_s, setup_share : float
        A worker's time for a connection after it has acknowledged it, and how many connections
        (a share) take it that long, `Cluster.setup_s`. Known by its effect only: how often what
        the master sent in answer was accepted before that connection's handler ran.
    herd_s : float
        How much later each looks for a connection than the one before, of workers that all wake
        for it; 0 of a server whose workers do not.
    unsure : mapping of str to float
        How uncertain the mean of `overrun` is in each of the `REGIMES`: its standard error,
        relative to it. Empty if that is not known.
    bunched : mapping of str to tuple of float
        How much of the `overrun` neighbours have in common in each of the `REGIMES`:
        `lbsim.bunches.shares_of`. Nothing if that is not known.
    levels : tuple of float
        How slow the machine was in each repetition of the measurement, relative to their mean,
        and to `making`.
    machine : dict
        Where it was measured.
    is_quiet : bool
        Whether the machine could be had for itself: some experiments were disturbed each time if
        not, and the figures may be far off.
    """

    accept_s: float
    dispatch_s: float
    per_byte_s: float
    worker_accept_s: float
    worker_turn_s: float
    overrun: dict[str, dict[float, Spread]]
    before: dict[float, Spread]
    rest: dict[float, Spread]
    restart_s: float
    waking: dict[float, Spread] = field(default_factory=dict)
    making: dict[float, float] = field(default_factory=dict)
    unsure: dict[str, float] = field(default_factory=dict)
    bunched: dict[str, tuple[float, float]] = field(default_factory=dict)
    worker_setup_s: float = 0.0
    setup_share: float = 0.0
    herd_s: float = 0.0
    levels: tuple[float, ...] = (1.0,)
    machine: dict[str, Any] = field(default_factory=dict)
    is_quiet: bool = True

    def __post_init__(self) -> None:
        for name in SINGLES:
            checks.not_negative("Calibration", name, getattr(self, name))
        checks.share("Calibration", "setup_share", self.setup_share)
        if set(self.overrun) != set(REGIMES):
            raise InputError(
                f"Calibration: overrun has {', '.join(self.overrun)}, not {', '.join(REGIMES)}; "
                "measure it again with: live calibrate"
            )
        ways = {"before": self.before, "rest": self.rest}
        if self.waking:
            ways["waking"] = self.waking
        if not self.before or any(set(of) != set(self.before) for of in ways.values()):
            rates = (
                f"{name} is of the rates {', '.join(map(str, of))}" for name, of in ways.items()
            )
            raise InputError(
                f"Calibration: {'; '.join(rates)}; all need the same ones, and at least one; "
                "measure it again with: live calibrate"
            )
        if self.making and not set(self.making) >= set(self.before):
            raise InputError(
                f"Calibration: making is of the rates {', '.join(map(str, self.making))}, before "
                f"of {', '.join(map(str, self.before))}; making needs those at least; "
                "measure it again with: live calibrate"
            )
        for regime, value in self.unsure.items():
            checks.not_negative("Calibration", f"unsure of {regime}", value)
        for regime, shares in self.bunched.items():
            if len(shares) != 2 or not np.isfinite(shares).all():
                raise InputError(
                    f"Calibration: bunched has {shares} for {regime}, and needs two shares; "
                    "measure it again with: live calibrate"
                )
        busy = [rate for of_rate in self.overrun.values() for rate in of_rate]
        if not all(self.overrun.values()):
            raise InputError(
                "Calibration: overrun is of no rate in some regime, and needs one in each; "
                "measure it again with: live calibrate"
            )
        for value in (*busy, *self.before, *self.making.values(), *self.levels):
            checks.positive("Calibration", "rates, making and levels", value)
        for name, of in self._spreads():
            values = np.asarray(of, np.float64)
            if len(values) < 2 or not np.isfinite(values).all() or (np.diff(values) < 0).any():
                raise InputError(
                    f"Calibration: {name} is not an ascending list of two or more numbers; "
                    "measure it again with: live calibrate"
                )

    def _spreads(self) -> list[tuple[str, Spread]]:
        """Return all spreads with their names."""
        named = {f"overrun, {regime}": of_rate for regime, of_rate in self.overrun.items()}
        named |= {"before": self.before, "waking": self.waking, "rest": self.rest}
        return [
            (f"{name}, {rate:g}/s", of_rate[rate])
            for name, of_rate in named.items()
            for rate in sorted(of_rate)
        ]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` has written."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise InputError(
                f"{path} does not exist; write a calibration with: live calibrate"
            ) from error
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path} is not a calibration ({error}); write one with: live calibrate"
            ) from error
        return cls.from_json(text, str(path))

    @classmethod
    def from_json(cls, text: str, name: str = "this text") -> Self:
        """Return what `to_json` has written; `name` is for errors."""
        try:
            data = json.loads(text)
            version = data.pop("version")
            if version != VERSION:
                raise InputError(
                    f"{name} has version {version}, and this lbsim reads {VERSION}; "
                    "measure again with: live calibrate"
                )
            data["overrun"] = {name: _by_rate(of) for name, of in data["overrun"].items()}
            for name in ("before", "waking", "rest"):
                data[name] = _by_rate(data.get(name, {}))
            data["making"] = {float(rate): value for rate, value in data["making"].items()}
            data["levels"] = tuple(data["levels"])
            data["bunched"] = {of: tuple(two) for of, two in data.get("bunched", {}).items()}
            return cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{name} is not a calibration ({error}); write one with: live calibrate"
            ) from error

    @classmethod
    def pooled(cls, calibrations: Sequence[Self]) -> Self:
        """Return the mean of calibrations of one machine, made at different times.

        Parameters
        ----------
        calibrations : sequence of Calibration
            Measured at the same rates. `levels` then knows by how much the machine changes between
            them: of `OCCASIONS` or more each is one value; of fewer their repetitions count
            together. `unsure` knows by how much what a worker is occupied for changes beside that.
        """
        first = calibrations[0]
        if any(each.rates() != first.rates() for each in calibrations):
            raise InputError(
                "Calibration.pooled: these calibrations are of different rates; "
                "measure them again with: live calibrate"
            )

        apart = _apart(calibrations)
        levels = [
            level * of
            for each, of in zip(calibrations, apart, strict=True)
            for level in each.levels
        ]

        def middle(values: Sequence[Any]) -> Any:
            return np.mean(values, axis=0).tolist()

        def spreads(all_of: list[dict[float, Spread]]) -> dict[float, Spread]:
            return {rate: tuple(middle([each[rate] for each in all_of])) for rate in all_of[0]}

        return replace(
            first,
            **{name: middle([getattr(each, name) for each in calibrations]) for name in SINGLES},
            overrun={
                name: spreads([each.overrun[name] for each in calibrations]) for name in REGIMES
            },
            before=spreads([each.before for each in calibrations]),
            waking=spreads([each.waking for each in calibrations]),
            rest=spreads([each.rest for each in calibrations]),
            making={
                rate: middle([each.making[rate] for each in calibrations]) for rate in first.making
            },
            unsure={name: _unsure(calibrations, apart, name) for name in REGIMES},
            bunched={
                name: tuple(middle([each.bunched[name] for each in calibrations]))
                for name in REGIMES
                if all(name in each.bunched for each in calibrations)
            },
            levels=tuple(apart if len(calibrations) >= OCCASIONS else levels),
            is_quiet=all(each.is_quiet for each in calibrations),
        )

    def rates(self) -> list[set[float]]:
        """Return at which rates it was measured: all ways, sockets, and overruns."""
        busy = (self.overrun[name] for name in REGIMES)
        return [set(self.before), set(self.waking), set(self.making), *(set(of) for of in busy)]

    def _way(self, rate: float) -> float:
        """Return how slow all of a request's way was at a rate, beside what `making` says of it."""
        parts = (self.before, self.waking, self.rest)
        way = sum(float(np.median(of[rate])) for of in parts if of)
        return way / self.making.get(rate, 1.0)

    def _occupied(self, regime: str, rate: float) -> float:
        """Return for how long a request occupied its worker, likewise."""
        occupied = mean(self.overrun[regime][rate])
        return occupied / value_at_rate(self.making, rate) if self.making else occupied

    def save(self, path: str | Path) -> None:
        """Write a small JSON file."""
        Path(path).write_text(self.to_json(indent=1) + "\n", encoding="utf-8")

    def to_json(self, indent: int | None = None) -> str:
        """Return it as JSON."""
        return json.dumps({"version": VERSION, **vars(self)}, indent=indent)

    def describe(self) -> str:
        """Return the figures as lines of text."""
        lines = [
            f"{name:28} {getattr(self, name) * 1e6:10.2f} µs"
            for name in (
                "accept_s", "dispatch_s", "worker_accept_s", "worker_turn_s", "worker_setup_s",
                "herd_s",
            )
        ]  # fmt: skip
        lines += [
            f"{'setup_share':28} {self.setup_share:10.1%}",
            f"{'per_byte_s':28} {self.per_byte_s * 1e9:10.3f} ns",
            f"{'restart_s':28} {self.restart_s * 1e3:10.1f} ms",
        ]
        for name, of in self._spreads():
            p10, p50, p99 = np.quantile(np.asarray(of), [0.1, 0.5, 0.99]) * 1e6
            lines.append(f"{name:28} {p50:10.1f} µs (p10 {p10:.1f}, p99 {p99:.1f})")
        lines += [
            f"{f'making, {rate:g}/s':28} {self.making[rate] * 1e6:10.1f} µs"
            for rate in sorted(self.making)
        ]
        lines += [
            f"{f'overrun, {regime}, unsure':28} ± {value:.1%}"
            for regime, value in self.unsure.items()
        ]
        lines += [
            f"{f'overrun, {regime}, bunched':28} {small:10.1%} small, {large:.1%} large"
            for regime, (small, large) in self.bunched.items()
        ]
        times = f"{len(self.levels)} repetition{'s' if len(self.levels) != 1 else ''}"
        lines.append(f"{'level':28} ± {self._uncertainty():.1%} (from {times})")
        if not self.is_quiet:
            lines.append("disturbed: other processes took the processors; measure it again")
        return "\n".join(lines)

    def _uncertainty(self) -> float:
        """Return the standard deviation of the next repetition's level, relative."""
        m = len(self.levels)
        apart = float(np.std(np.log(self.levels), ddof=1)) if m > 1 else 0.0
        return apart * math.sqrt(1.0 + 1.0 / m)


def _relative(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return values relative to their mean; ones if that is zero."""
    middle = float(np.mean(values))
    return np.asarray(values) / middle if middle > 0.0 else np.ones(len(values))


def _apart(calibrations: Sequence[Costs]) -> list[float]:
    """Return how slow the machine was in each, relative to their mean.

    As far from it as its ways were at the single rates (root mean square): the mean over rates
    hides what moves at one of them.
    """
    off = np.array(
        [
            _relative([each._way(rate) for each in calibrations]) - 1.0
            for rate in calibrations[0].before
        ]
    )
    slow = np.exp(np.sign(off.mean(axis=0)) * np.sqrt(np.mean(off**2, axis=0)))
    relative: list[float] = (slow / slow.mean()).tolist()
    return relative


def _unsure(calibrations: Sequence[Costs], apart: Sequence[float], regime: str) -> float:
    """Return how far the next time's mean overrun may be from the mean of several.

    By variance components: what they differ by, at the same rate and beside their levels, is
    partly the error of each; the rest is between occasions, of which the next is one more (Searle,
    Casella and McCulloch, Variance Components, 1992, chapter 3).
    """
    k = len(calibrations)
    error = sum(each.unsure.get(regime, 0.0) ** 2 for each in calibrations) / k
    if k == 1:
        return math.sqrt(error)
    differ = []
    for rate in calibrations[0].overrun[regime]:
        occupied = np.array([each._occupied(regime, rate) for each in calibrations])
        differ.append(np.var(_relative(occupied / apart), ddof=1))
    between = max(0.0, float(np.mean(differ)) - error)
    return math.sqrt(between + (between + error) / k)


def _by_rate(data: dict[str, list[float]]) -> dict[float, Spread]:
    """Return spreads by rate, which JSON has as text."""
    return {float(rate): tuple(of) for rate, of in data.items()}

"""What a workload is like: rate, burstiness, variability, tail, sessions."""

import math
from dataclasses import dataclass

import numpy as np

from lbsim.errors import InputError
from lbsim.workload.tail import LEAST_TAIL, Tail, tail
from lbsim.workload.workload import Workload

__all__ = ["Description", "describe", "dispersion"]

LEAST_WINDOWS = 20  # windows of time below which no dispersion is given


@dataclass(frozen=True, repr=False)
class Description:
    """Figures of a workload; times in seconds. Its repr is a text to read."""

    name: str
    requests: int
    duration: float
    rate: float
    gap_scv: float
    dispersion: tuple[tuple[float, float], ...]
    """Pairs of a window's length and the index of dispersion of counts in such windows."""
    mean: float
    scv: float
    quantiles: tuple[tuple[str, float], ...]
    top_share: float
    """Share of all work that the largest 1 % of requests carry."""
    tail: Tail | None
    sessions: int
    top_session: float
    kinds: tuple[tuple[str, float], ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [
            f"{self.name}: {self.requests:,} requests in {_seconds(self.duration)}, "
            f"{self.rate:.4g} per second"
        ]
        if self.duration > 0.0:
            lines.append(f"  gaps: C² = {self.gap_scv:.3g} (Poisson: 1)")
        if self.dispersion:
            shown = ", ".join(f"{value:.3g} in {_seconds(w)}" for w, value in self.dispersion)
            lines.append(f"  index of dispersion of counts: {shown} (Poisson: 1)")
        shown = ", ".join(f"{name} {_seconds(value)}" for name, value in self.quantiles)
        lines.append(
            f"  service: mean {_seconds(self.mean)}, C² = {self.scv:.3g} (exponential: 1), {shown}"
        )
        if self.mean > 0.0:
            lines.append(f"  work: the largest 1 % of requests carry {100 * self.top_share:.1f} %")
        if self.tail is None:
            lines.append(f"  tail: too few different values to say (fewer than {LEAST_TAIL})")
        else:
            t = self.tail
            lines.append(
                f"  tail: the largest {t.k:,} (from {_seconds(t.threshold)}): Hill estimate "
                f"{t.alpha:.2f} ± {t.alpha_error:.2f}; {t.verdict} (Vuong p = {t.p_value:.2g})"
            )
        if self.sessions:
            lines.append(
                f"  sessions: {self.sessions:,}, the busiest sends {100 * self.top_session:.1f} %"
            )
        if len(self.kinds) > 1:
            shown = ", ".join(f"{name} {100 * share:.1f} %" for name, share in self.kinds[:6])
            lines.append(f"  kinds: {shown}")
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])


def describe(workload: Workload) -> Description:
    """Describe a workload.

    Parameters
    ----------
    workload : Workload
        With arrival times: not a closed loop.

    Returns
    -------
    Description
    """
    arrival, service = workload.arrival, workload.service
    if workload.is_closed:
        raise InputError(
            f"{workload.name}: a closed loop has no arrival times before it is run; describe the "
            "run's latencies instead"
        )
    if len(arrival) < 2:
        raise InputError(f"{workload.name} has {len(arrival)} requests; give at least 2")
    duration = float(arrival[-1] - arrival[0])
    gaps = np.diff(arrival)
    keys = workload.key[workload.key >= 0]
    counts = np.unique(keys, return_counts=True)[1]
    numbers, of_kind = np.unique(workload.kind, return_counts=True)
    names = workload.kind_names or tuple(str(number) for number in range(numbers.max() + 1))
    kinds = sorted(
        ((names[i], float(c) / len(arrival)) for i, c in zip(numbers, of_kind, strict=True)),
        key=lambda pair: -pair[1],
    )
    largest = np.sort(service)[::-1]
    top = max(1, round(0.01 * len(service)))
    total = float(service.sum())
    return Description(
        name=workload.name,
        requests=len(arrival),
        duration=duration,
        rate=(len(arrival) - 1) / duration if duration > 0 else math.inf,
        gap_scv=_scv(gaps),
        dispersion=dispersion(arrival),
        mean=float(service.mean()),
        scv=_scv(service),
        quantiles=tuple(
            (name, float(np.quantile(service, q)))
            for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
        ),
        top_share=float(largest[:top].sum()) / total if total > 0 else math.nan,
        tail=tail(service),
        sessions=len(counts),
        top_session=float(counts.max()) / len(keys) if len(counts) else math.nan,
        kinds=tuple(kinds),
        notes=workload.notes,
    )


def dispersion(arrival: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return the index of dispersion of counts (variance / mean) for windows of several lengths.

    The windows are 10, 100, 1000, … mean gaps long, as long as there are 20 of them. It is 1 at
    all lengths for a Poisson process and grows with the window where bursts have long memory
    (Cox and Lewis 1966, section 4.5).
    """
    span = float(arrival[-1] - arrival[0])
    found = []
    per_window = 10.0
    while span > 0 and len(arrival) / per_window >= LEAST_WINDOWS:
        width = per_window * span / (len(arrival) - 1)
        windows = int(span / width)
        place = ((arrival - arrival[0]) / width).astype(np.int64)
        counts = np.bincount(place[place < windows], minlength=windows)
        found.append((width, float(counts.var() / counts.mean())))
        per_window *= 10.0
    return tuple(found)


def _scv(values: np.ndarray) -> float:
    mean = float(values.mean())
    return float(values.var()) / mean**2 if mean > 0.0 else math.nan


def _seconds(value: float) -> str:
    if value >= 1000.0:
        return f"{value:,.0f} s"
    if value >= 1.0 or value == 0.0:
        return f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms"

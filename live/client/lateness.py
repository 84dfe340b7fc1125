"""How late the load generator itself was, and whether a run can be trusted."""

from dataclasses import dataclass

import numpy as np

__all__ = ["LIMITS", "Lateness"]

LIMITS = {0.5: 0.5e-3, 0.99: 5e-3}
"""Seconds that the lateness may have at these quantiles; above them a run is not valid. A
quiet machine stays a factor of five below."""


@dataclass(frozen=True)
class Lateness:
    """From when requests were due until the generator had begun to send them.

    Latency counts from when a request was due, so what is late here is already in the latencies:
    as if the network had been slow.

    Attributes
    ----------
    p50, p99, most : float
        Seconds.
    n : int
        Requests it is of.
    """

    p50: float
    p99: float
    most: float
    n: int

    @classmethod
    def of(cls, due: np.ndarray, sent: np.ndarray) -> "Lateness":
        """Compare when requests were due and when they were sent; NaN is left out."""
        late = sent - due
        late = late[~np.isnan(late)]
        if len(late) == 0:
            return cls(np.nan, np.nan, np.nan, 0)
        p50, p99 = np.quantile(late, [0.5, 0.99])
        return cls(float(p50), float(p99), float(late.max()), len(late))

    @property
    def is_valid(self) -> bool:
        """Whether the generator kept up."""
        return self.n > 0 and self.p50 <= LIMITS[0.5] and self.p99 <= LIMITS[0.99]

    def __str__(self) -> str:
        text = (
            f"client late by {self.p50 * 1e3:.3f} ms (p50), {self.p99 * 1e3:.3f} ms (p99), "
            f"{self.most * 1e3:.2f} ms (most)"
        )
        if not self.is_valid:
            text += (
                "; the run is NOT VALID, since the load generator could not keep up "
                f"(limits: {LIMITS[0.5] * 1e3:g} ms at p50, {LIMITS[0.99] * 1e3:g} ms at p99)"
            )
        return text

"""What many simulated replays of the same requests say of a run that is to be measured."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Prediction"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Latencies of the same requests in many simulated replays.

    Attributes
    ----------
    latency : ndarray of float64, shape (replays, n)
        Seconds; NaN where there was no answer.
    worker : ndarray of int, shape (replays, n)
        Who served it; -1 if nobody.
    """

    latency: np.ndarray
    worker: np.ndarray

    def of(self, rows: np.ndarray) -> "Prediction":
        """Return the prediction for some of the requests: a mask, or row numbers."""
        return Prediction(self.latency[:, rows], self.worker[:, rows])

    @property
    def is_blind(self) -> bool:
        """Whether every replay chose the same workers: jitter changes nothing."""
        return bool((self.worker == self.worker[0]).all())

    def interval(self, q: float, confidence: float = 0.95) -> tuple[float, float, float]:
        """Return where a measured quantile should lie.

        Returns
        -------
        low, middle, high : float
            Seconds: the ends of the prediction interval, and the median of the replays.

        Notes
        -----
        The i-th smallest of m replays has the share i / (m + 1) of all possible ones below it, in
        the mean (David and Nagaraja, Order Statistics, 3rd ed., section 2.3). So 40 replays are
        the fewest that have an interval of 95 %; of fewer, it is from the smallest to the largest.
        """
        tail = (1.0 - confidence) / 2.0
        each = np.nanquantile(self.latency, q, axis=1)
        low, middle, high = np.quantile(each, [tail, 0.5, 1.0 - tail], method="weibull")
        return float(low), float(middle), float(high)

    def median(self) -> np.ndarray:
        """Return each request's median latency over the replays, in seconds."""
        return np.asarray(np.nanmedian(self.latency, axis=0))

"""One policy, simulated and measured on the same requests: how far apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lbsim import stats
from lbsim.prediction import Prediction
from lbsim.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from live.measured import MeasuredRun

__all__ = ["BANDS", "BEYOND", "Pair", "quantiles_of"]

BANDS = {"p50": 0.05, "p90": 0.05, "p99": 0.05, "p99.9": 0.10}
"""By how much measured / simulated may differ from 1 where choices do not depend on load."""

REQUEST_BAND_S = 1e-3
"""The median error of single requests must be below this, for such policies."""

BEYOND = 5
"""A quantile is looked at only if so many requests are beyond it."""

LEAST = 50
"""Fewer requests that were answered are not compared."""

_Q = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


def quantiles_of(n: int) -> dict[str, float]:
    """Return the quantiles that a run of `n` requests can tell, by name."""
    return {name: q for name, q in _Q.items() if n * (1.0 - q) >= BEYOND - 1e-9 or name == "p50"}


@dataclass(frozen=True, eq=False)
class Pair:
    """One policy's runs on the same requests.

    Attributes
    ----------
    name : str
        The policy's.
    bare : Run
        Simulated without the machine's costs.
    prediction : Prediction
        Simulated with them, many times.
    measured : MeasuredRun
        By our own server.
    peers : dict of str to MeasuredRun
        By other servers.
    peer_predictions : dict of str to Prediction
        With the costs of those that were calibrated.
    """

    name: str
    bare: Run
    prediction: Prediction
    measured: "MeasuredRun"
    peers: "Mapping[str, MeasuredRun]" = field(default_factory=dict)
    peer_predictions: Mapping[str, Prediction] = field(default_factory=dict)

    @property
    def is_blind(self) -> bool:
        """Whether the policy's choices do not depend on how long anything takes."""
        return self.prediction.is_blind

    @property
    def simulated(self) -> np.ndarray:
        """One simulated latency for each request, in seconds; see `typical`."""
        return self.typical(self.prediction)

    def typical(self, prediction: Prediction) -> np.ndarray:
        """Return one latency for each request out of many replays, in seconds.

        Of a blind policy each request's median over the replays; of another one the replay
        whose p99 is the median, since medians over replays that differ are no run.
        """
        if prediction.is_blind:
            return prediction.median()
        worst = np.nanquantile(prediction.latency, 0.99, axis=1)
        return np.asarray(prediction.latency[np.argsort(worst)[len(worst) // 2]])

    def answered(self) -> np.ndarray:
        """Return which requests were answered, both simulated and measured; a mask."""
        return ~np.isnan(self.measured.latency) & ~np.isnan(self.simulated)

    def both(self) -> tuple[np.ndarray, np.ndarray]:
        """Return measured and simulated latencies of the requests that both answered."""
        ok = self.answered()
        return self.measured.latency[ok], self.simulated[ok]

    # --- tables ------------------------------------------------------------------------------

    def quantiles(self, seed: int = 0, confidence: float = 0.95) -> "pd.DataFrame":
        """Compare quantiles.

        Parameters
        ----------
        seed : int, default 0
            Of the bootstrap.
        confidence : float, default 0.95
            Of the prediction interval.

        Returns
        -------
        DataFrame
            One row per server (ours, then peers) and quantile: measured, `simulated` (the median
            of the replays), `low` and `high` (their prediction interval), `inside`; `ratio`
            measured / simulated with its interval `ratio_low`, `ratio_high` (blocks of requests
            resampled), `bare_ratio` against the simulation without costs; `passed`, by the
            band for blind policies and by the prediction interval for others.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for server, run in {"live": self.measured, **self.peers}.items():
            whole = self.peer_predictions.get(server, self.prediction)
            typical = self.typical(whole)
            ok = ~np.isnan(run.latency) & ~np.isnan(typical)
            mine, theirs = run.latency[ok], typical[ok]
            prediction, bare = whole.of(ok), self.bare.latency[ok]
            names = quantiles_of(len(mine))
            if len(mine) < LEAST:
                continue
            intervals = stats.quantile_ratio_intervals(
                mine, theirs, list(names.values()), paired=True, seed=seed, allow_constant=True
            )
            for (name, q), interval in zip(names.items(), intervals, strict=True):
                low, middle, high = prediction.interval(q, confidence)
                value = float(np.quantile(mine, q))
                inside = low <= value <= high
                ratio = value / middle
                # The bootstrap's spread around the ratio to one run, at the ratio to all.
                shift = ratio / interval.estimate
                rows.append(
                    {
                        "policy": self.name,
                        "server": server,
                        "quantile": name,
                        "measured": value,
                        "simulated": middle,
                        "low": low,
                        "high": high,
                        "inside": inside,
                        "ratio": ratio,
                        "ratio_low": interval.low * shift,
                        "ratio_high": interval.high * shift,
                        "bare_ratio": value / float(np.nanquantile(bare, q)),
                        "blind": self.is_blind,
                        "passed": abs(ratio - 1.0) <= BANDS[name] if self.is_blind else inside,
                    }
                )
        return pd.DataFrame(rows)

    def distances(self) -> dict[str, Any]:
        """Compare whole distributions and single requests.

        Returns
        -------
        dict
            `ks` and `wasserstein` (seconds) between measured and simulated latencies, and between
            measured ones and the simulation without costs; `request_error`, the median of the
            absolute differences of the same request (seconds); `same_worker`, the share of
            requests that went to the same worker in both.
        """
        ok = self.answered()
        mine, theirs = self.both()
        bare = self.bare.latency[ok]
        bare = bare[~np.isnan(bare)]
        served = self.measured.worker >= 0
        return {
            "policy": self.name,
            "blind": self.is_blind,
            "ks": stats.ks_distance(mine, theirs),
            "wasserstein": stats.wasserstein_distance(mine, theirs),
            "bare_ks": stats.ks_distance(mine, bare),
            "bare_wasserstein": stats.wasserstein_distance(mine, bare),
            "request_error": float(np.median(np.abs(mine - theirs))),
            "same_worker": float((self.measured.worker == self.prediction.worker[0])[served].mean())
            if served.any()
            else np.nan,
        }

    def breakdown(self) -> "pd.DataFrame":
        """Say where the time went, measured: mean seconds of each phase over the answered."""
        import pandas as pd

        phases = self.measured.breakdown()
        return pd.DataFrame({"policy": self.name, "phase": phases.columns, "mean": phases.mean()})

    def losses(self) -> "pd.DataFrame":
        """Compare what faults did: one row simulated, one measured."""
        import pandas as pd

        rows = []
        for source, run in (("simulated", self.bare), ("measured", self.measured)):
            figures = run.summary()
            rows.append(
                {
                    "policy": self.name,
                    "source": source,
                    **{k: figures[k] for k in ("answered", "lost", "timeout", "redispatched")},
                    "p99": figures["p99"],
                    "worst": figures["worst"],
                }
            )
        return pd.DataFrame(rows)

    def failures(self, seed: int = 0, confidence: float = 0.95) -> list[str]:
        """Return in words what is out of its band (our own server only); nothing if all is well."""
        words = []
        for row in self.quantiles(seed, confidence).itertuples():
            if row.server == "live" and not row.passed:
                replays = (
                    f"{100 * confidence:.4g} % of the replays are in {row.low * 1e3:.2f} to "
                    f"{row.high * 1e3:.2f} ms"
                )
                band = f"the band is ± {BANDS[row.quantile]:.0%}; " if row.blind else ""
                words.append(
                    f"{self.name}: {row.quantile} measured "
                    f"{row.measured * 1e3:.2f} ms, simulated {row.simulated * 1e3:.2f} ms, "
                    f"ratio {row.ratio:.3f}; {band}{replays}"
                )
        if self.is_blind:
            far = self.distances()
            if far["request_error"] > REQUEST_BAND_S:
                words.append(
                    f"{self.name}: the median error of single requests is "
                    f"{far['request_error'] * 1e3:.2f} ms; the band is {REQUEST_BAND_S * 1e3:g} ms"
                )
            if far["same_worker"] < 1.0:
                words.append(
                    f"{self.name}: {1 - far['same_worker']:.2%} of the requests went to another "
                    "worker than simulated; all should go to the same one"
                )
        return words

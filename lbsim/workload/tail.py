"""The largest values of a sample: how heavy the tail is, and whether it is a power law."""

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["LEAST_TAIL", "Tail", "hill", "tail"]

TAIL_SHARE = 0.05  # of the values, the largest, that count as the tail
LEAST_TAIL = 50  # values below which nothing is said of a tail


@dataclass(frozen=True)
class Tail:
    """The largest values of a sample.

    Attributes
    ----------
    k : int
        How many values the tail has.
    threshold : float
        The largest value below them.
    alpha : float
        Hill's estimate of the Pareto index, from all k.
    alpha_error : float
        Its standard error, alpha / sqrt(k), for a true Pareto tail of independent values.
    vuong : float
        Vuong's normalised log likelihood ratio, in favour of a truncated lognormal tail against
        a Pareto tail.
    p_value : float
        Two-sided; above 0.05 the sample does not tell the two apart.
    """

    k: int
    threshold: float
    alpha: float
    alpha_error: float
    vuong: float
    p_value: float

    @property
    def verdict(self) -> str:
        """Which of the two laws describes the tail, in words."""
        if self.p_value > 0.05:
            return "a Pareto tail fits it as well as a lognormal one"
        return "a lognormal tail fits it better than a Pareto"


def hill(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Hill's estimate of the Pareto index for every number of largest values.

    Parameters
    ----------
    values : ndarray of float
        Those above 0 count.

    Returns
    -------
    k : ndarray of int
        2, 3, …, n - 1.
    alpha : ndarray of float
        Where the curve is flat, the tail is a power law with that index (Hill 1975; Drees, de Haan
        and Resnick 2000, "How to make a Hill plot").
    """
    logs = np.log(np.sort(values[values > 0.0])[::-1])
    k = np.arange(2, len(logs))
    means = np.cumsum(logs)[1:-1] / k
    excess = means - logs[2:]
    with np.errstate(divide="ignore"):
        return k, np.where(excess > 0.0, 1.0 / excess, np.inf)


def tail(values: np.ndarray) -> Tail | None:
    """Compare a Pareto and a lognormal law on the largest 5 % of the values.

    Both are fitted to the tail alone by maximum likelihood, the lognormal truncated at the
    threshold, and compared by Vuong's test (Clauset, Shalizi and Newman 2009, section 5). The
    Pareto law is a limit of the truncated lognormal one, which therefore never fits worse; the
    question is whether its second parameter gains more than chance would.

    Returns
    -------
    Tail or None
        None if the tail has too few values, or too few different ones.
    """
    ordered = np.sort(values[values > 0.0])
    k = max(LEAST_TAIL, int(TAIL_SHARE * len(ordered)))
    if k >= len(ordered) or len(np.unique(ordered[-k:])) < LEAST_TAIL // 2:
        return None
    threshold = float(ordered[-k - 1])
    x = np.log(ordered[-k:] / threshold)
    alpha = 1.0 / float(x.mean())
    gain = _truncated_lognormal(x) - (math.log(alpha) - alpha * x)
    spread = float(gain.std())
    vuong = max(0.0, float(gain.sum())) / (math.sqrt(k) * spread) if spread > 1e-9 else 0.0
    p_value = math.erfc(vuong / math.sqrt(2.0))
    return Tail(k, threshold, alpha, alpha / math.sqrt(k), vuong, p_value)


def _truncated_lognormal(x: np.ndarray) -> np.ndarray:
    """Return the log density, at x >= 0, of a normal law truncated at 0 fitted to x."""
    from scipy.optimize import minimize
    from scipy.special import log_ndtr

    def log_density(parameters: np.ndarray) -> np.ndarray:
        mu, sigma = parameters[0], math.exp(parameters[1])
        normal = -0.5 * ((x - mu) / sigma) ** 2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)
        return np.asarray(normal - log_ndtr(mu / sigma))

    mean = float(x.mean())
    # From a bell, and from its left-most limit, which is nearly the exponential law of that mean.
    starts = (mean, math.log(float(x.std()))), (-100.0 * mean, math.log(10.0 * mean))
    fits = [
        minimize(lambda p: -float(log_density(p).mean()), start, method="Nelder-Mead")
        for start in starts
    ]
    return log_density(min(fits, key=lambda fit: float(fit.fun)).x)

"""The largest values of a sample: how heavy is the tail, and is it a power law?"""

import math
from dataclasses import dataclass

import numpy as np

from lbsim.workload.laws import FloatArray

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
        The smallest of them.
    alpha : float
        Hill's estimate of the Pareto index, from all k.
    alpha_error : float
        Its standard error, alpha / sqrt(k), for a true Pareto tail of independent values.
    vuong : float
        Vuong's normalised log likelihood ratio, above 0 in favour of a truncated lognormal tail,
        below 0 in favour of a Pareto tail.
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
        """Which of the two laws fits the tail better, in words."""
        if self.p_value > 0.05:
            return "lognormal and Pareto fit the tail equally well"
        better = "lognormal" if self.vuong > 0 else "Pareto"
        return f"a {better} tail fits better than a {'Pareto' if self.vuong > 0 else 'lognormal'}"


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
    Pareto law is a limit of the truncated lognormal one, so "Pareto fits better" means that the
    extra parameter buys nothing.

    Returns
    -------
    Tail or None
        None if the tail has too few values, or too few different ones.
    """
    ordered = np.sort(values[values > 0.0])
    k = max(LEAST_TAIL, int(TAIL_SHARE * len(ordered)))
    if k >= len(ordered) or len(np.unique(ordered[-k:])) < LEAST_TAIL // 2:
        return None
    threshold = float(ordered[-k])
    x = np.log(ordered[-k:] / threshold)
    mean = float(x.mean())
    alpha = 1.0 / mean
    pareto = math.log(alpha) - alpha * x
    lognormal = _truncated_lognormal(x)
    ratio = lognormal - pareto
    spread = float(ratio.std())
    if spread < 1e-12:
        vuong, p = 0.0, 1.0
    else:
        vuong = float(ratio.sum()) / (math.sqrt(k) * spread)
        p = math.erfc(abs(vuong) / math.sqrt(2.0))
    return Tail(k, threshold, alpha, alpha / math.sqrt(k), vuong, p)


def _truncated_lognormal(x: np.ndarray) -> np.ndarray:
    """Return the log density, at x >= 0, of a normal law truncated at 0 fitted to x."""
    from scipy.optimize import minimize
    from scipy.special import log_ndtr

    def log_density(parameters: np.ndarray) -> np.ndarray:
        mu, sigma = parameters[0], math.exp(parameters[1])
        normal = -0.5 * ((x - mu) / sigma) ** 2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)
        return np.asarray(normal - log_ndtr(mu / sigma))

    start = np.array([float(x.mean()), math.log(float(x.std()))])
    found = minimize(lambda p: -float(log_density(p).mean()), start, method="Nelder-Mead")
    return log_density(found.x)

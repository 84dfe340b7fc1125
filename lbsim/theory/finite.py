"""M/M/c/K: at most K requests in the system, the rest is refused."""

import math
from dataclasses import dataclass

import numpy as np

from lbsim import checks
from lbsim.errors import InputError

__all__ = ["FiniteQueue", "mmck"]


@dataclass(frozen=True)
class FiniteQueue:
    """What becomes of requests that find room, and of those that do not.

    Attributes
    ----------
    loss : float
        Share of requests refused.
    mean_number : float
        Requests in the system, on average over time.
    throughput : float
        Requests served per second.
    mean : float
        Mean sojourn time of the accepted requests, in seconds.
    """

    loss: float
    mean_number: float
    throughput: float
    mean: float


def mmck(arrival_rate: float, service_rate: float, servers: int, places: int) -> FiniteQueue:
    """Solve the birth-death chain of M/M/c/K.

    Parameters
    ----------
    arrival_rate, service_rate : float
        λ in all and μ of one worker, per second. The load may exceed 1.
    servers : int
        c.
    places : int
        K, requests in service included; at least c. K = c is Erlang's loss system.

    Returns
    -------
    FiniteQueue

    Notes
    -----
    p(n) ∝ Π λ / (min(i, c) μ) for i = 1 .. n; any textbook, as Kleinrock 1975, section 3.6.

    Examples
    --------
    >>> result = mmck(0.8, 1.0, servers=1, places=5)
    >>> round(result.loss, 7), round(result.mean, 6)
    (0.0888195, 2.563065)
    """
    arrival_rate = checks.positive("mmck", "arrival_rate", arrival_rate)
    service_rate = checks.positive("mmck", "service_rate", service_rate)
    servers = checks.count("mmck", "servers", servers)
    places = checks.count("mmck", "places", places)
    if places < servers:
        raise InputError(
            f"mmck: places = {places} are fewer than servers = {servers}; places count the "
            "requests in service too, so give at least as many"
        )
    busy = np.minimum(np.arange(1, places + 1), servers)
    # In logarithms: powers of large loads overflow.
    weights = np.cumsum(math.log(arrival_rate / service_rate) - np.log(busy))
    weights = np.concatenate([[0.0], weights])
    p = np.exp(weights - weights.max())
    p /= p.sum()
    number = float((np.arange(places + 1) * p).sum())
    throughput = arrival_rate * float(p[:-1].sum())
    return FiniteQueue(float(p[-1]), number, throughput, number / throughput)

"""M/M/1 with clients that give up: after a fixed time in the queue they leave."""

import math

from lbsim import checks

__all__ = ["abandoned_share"]


def abandoned_share(arrival_rate: float, service_rate: float, patience: float) -> float:
    """Return the share of requests that leave the queue before their service begins (M/M/1+D).

    Parameters
    ----------
    arrival_rate, service_rate : float
        λ and μ, per second; the load may exceed 1.
    patience : float
        How long a client waits for its service to begin, in seconds. Once begun it is finished.

    Notes
    -----
    Barrer, "Queuing with impatient customers and ordered service", Operations Research 5 (1957):
    (1 - ρ) ρ e / (1 - ρ² e) with e = exp(-(μ - λ) patience); at ρ = 1 its limit,
    1 / (2 + μ patience).

    Examples
    --------
    >>> round(abandoned_share(0.8, 1.0, 2.0), 7), round(abandoned_share(1.2, 1.0, 2.0), 7)
    (0.1878321, 0.3118179)
    """
    arrival_rate = checks.positive("M/M/1+D", "arrival_rate", arrival_rate)
    service_rate = checks.positive("M/M/1+D", "service_rate", service_rate)
    patience = checks.not_negative("M/M/1+D", "patience", patience)
    load = arrival_rate / service_rate
    x = service_rate * patience
    # With g = (e^((1 - ρ) x) - 1) / (1 - ρ), which is x at ρ = 1, the share is ρ / (1 + ρ + g).
    exponent = (1.0 - load) * x
    growth = x if exponent == 0.0 else x * math.expm1(min(exponent, 700.0)) / exponent
    return load / (1.0 + load + growth)

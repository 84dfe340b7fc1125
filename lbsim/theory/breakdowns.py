"""M/M/1 with a worker that fails and is repaired; the request in service goes on afterwards."""

from lbsim import checks
from lbsim.theory.stability import stable_load

__all__ = ["availability", "breakdown_mean"]


def availability(failure_rate: float, repair_rate: float) -> float:
    """Return the share of time in which the worker is up, η / (ξ + η).

    Parameters
    ----------
    failure_rate : float
        ξ, per second of time up.
    repair_rate : float
        η = 1 / mean time to repair, per second.
    """
    failure_rate = checks.positive("breakdowns", "failure_rate", failure_rate)
    repair_rate = checks.positive("breakdowns", "repair_rate", repair_rate)
    return repair_rate / (failure_rate + repair_rate)


def breakdown_mean(
    arrival_rate: float,
    service_rate: float,
    failure_rate: float,
    repair_rate: float,
    *,
    only_while_serving: bool = False,
) -> float:
    """Return the mean sojourn time, in seconds.

    Parameters
    ----------
    arrival_rate, service_rate : float
        λ and μ, per second.
    failure_rate, repair_rate : float
        ξ and η, per second; times to failure and to repair are exponential.
    only_while_serving : bool, default False
        True for a worker that cannot fail while it is idle.

    Notes
    -----
    White and Christie, "Queuing with preemptive priorities or with breakdown", Operations
    Research 6 (1958): E[N] = λ ((ξ + η)² + μ ξ) / ((ξ + η) (μ η - λ (ξ + η))), and Little's law.
    Failing only while serving it is M/G/1 with the completion time C as service (Gaver 1962;
    Avi-Itzhak and Naor 1963): E[C] = (1 + ξ/η) / μ, E[C²] = 2 E[C]² + 2 ξ / (μ η²).

    Examples
    --------
    >>> round(breakdown_mean(0.5, 1.0, 0.1, 1.0), 6)
    2.646465
    >>> round(breakdown_mean(0.5, 1.0, 0.1, 1.0, only_while_serving=True), 6)
    2.555556
    """
    up = availability(failure_rate, repair_rate)
    service_rate = checks.positive("breakdowns", "service_rate", service_rate)
    load = stable_load("M/M/1 with breakdowns", arrival_rate, service_rate * up)
    if only_while_serving:
        completion = 1.0 / (service_rate * up)
        second = 2.0 * completion**2 + 2.0 * failure_rate / (service_rate * repair_rate**2)
        return completion + arrival_rate * second / (2.0 * (1.0 - load))
    both = failure_rate + repair_rate
    slack = service_rate * repair_rate - arrival_rate * both
    return (both**2 + service_rate * failure_rate) / (both * slack)

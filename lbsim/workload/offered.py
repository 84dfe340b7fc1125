"""Offered load: what a workload asks of a cluster, and the arrival rate that asks for so much.

The offered load per worker is the work that comes in a second, divided by the work that the
cluster can do in a second (`Cluster.capacity`, the sum of its workers' speeds). Work is the time
that a request holds its worker: computing, and waiting too where a worker does one thing at a time.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lbsim import checks
from lbsim.errors import InputError
from lbsim.workload.columns import Columns
from lbsim.workload.recipe import Kind

if TYPE_CHECKING:
    from lbsim.cluster import Cluster

__all__ = ["arrival_rate", "check_load", "mean_hold", "measured_load"]


def check_load(load: float, allow_overload: bool) -> float:
    """Return the load, unless it is 1 or more and nobody has said so on purpose."""
    load = checks.positive("Workload", "load", load)
    if load >= 1.0 and not allow_overload:
        raise InputError(
            f"load = {load:g} is not below 1: the queue grows without bound; lower the arrival "
            "rate, add workers, or pass allow_overload=True"
        )
    return load


def mean_hold(kinds: Mapping[str, Kind], cluster: "Cluster") -> float:
    """Return the mean time that a request holds a worker, in seconds at speed 1; of the laws."""
    mean = 0.0
    for name, kind in kinds.items():
        held = kind.service.mean + (kind.wait.mean if cluster.wait_holds_worker else 0.0)
        if not held < math.inf:
            raise InputError(
                f"the mean of {kind.service!r} ({name}) is infinite, so no arrival rate gives a "
                "finite load; give rate=, or use BoundedPareto"
            )
        mean += kind.share * held
    return checks.positive("Workload.synthetic", "mean service time", mean)


def arrival_rate(
    load: float | None,
    rate: float | None,
    kinds: Mapping[str, Kind],
    cluster: "Cluster | None",
    allow_overload: bool,
) -> float:
    """Return the arrival rate that a load asks for, or the given one, in requests per second."""
    if (load is None) == (rate is None):
        raise InputError(
            f"load = {load!r} and rate = {rate!r}: give one of the two, load= (with cluster=) or "
            "rate= in requests per second"
        )
    if rate is not None:
        rate = checks.positive("Workload.synthetic", "rate", rate)
        if cluster is not None:
            check_load(rate * mean_hold(kinds, cluster) / cluster.capacity, allow_overload)
        return rate
    assert load is not None
    if cluster is None:
        raise InputError(
            f"load = {load!r} needs to know how much the workers can do; give cluster=, or rate= "
            "in requests per second"
        )
    return check_load(load, allow_overload) * cluster.capacity / mean_hold(kinds, cluster)


def measured_load(name: str, columns: Columns, cluster: "Cluster") -> float:
    """Return the load that given rows offer, from their first to their last arrival."""
    if len(columns.arrival) == 0 or np.isnan(columns.arrival[0]):
        raise InputError(
            f"{name}: without arrival times there is no offered load; in a closed loop the number "
            "of clients and their think time set the pace"
        )
    span = float(columns.arrival[-1] - columns.arrival[0])
    if not span > 0.0:
        raise InputError(
            f"{name}: all {len(columns.arrival)} requests arrive at {columns.arrival[0]:g} s, so "
            "there is no rate and no load; give arrivals that differ"
        )
    held = columns.cpu + columns.wait if cluster.wait_holds_worker else columns.cpu
    # The last gap ends with the last arrival, so n - 1 requests belong to the span.
    load = float(held[:-1].sum()) / span / cluster.capacity
    if not load > 0.0:
        raise InputError(
            f"{name}: the requests ask for no work at all, so there is no load to scale; give "
            "service times above 0"
        )
    return load

"""What the policy is shown: the request, and the load of the workers, maybe as it was before."""

import math

from lbsim.dispatch.core import LOG_FULL, LOG_HEAD, LOG_TAIL, N_UP, Core
from lbsim.policy import UNLIMITED, ClusterView, Request

__all__ = ["change_load", "reindex", "request_of", "view"]


def request_of(core: Core, now: float, ticket: int) -> Request:
    """Return what the policy may know of the request behind a ticket."""
    copies = core.settings.copies
    row = ticket if copies == 1 else ticket // copies  # a division costs as much as all the rest
    requests = core.requests
    return Request(
        now,
        requests.key[row],
        requests.kind[row],
        requests.priority[row],
        requests.size[row],
        requests.service[row],
    )


def view(core: Core, now: float) -> ClusterView:
    """Return what the policy may know of the workers at this instant."""
    age_information(core, now)
    full = core.shown
    return ClusterView(
        full.up[: core.count[N_UP]],
        full.is_up,
        full.in_flight,
        full.slots,
        full.weight,
        full.latency,
        full.rng,
        full.index,
    )


def change_load(core: Core, now: float, worker: int, change: int) -> None:
    """Count one request more or fewer at a worker, and when, if the policy sees it late."""
    settings = core.settings
    if settings.info_every > 0.0:
        age_information(core, now)  # the board shows what was before this change
    elif settings.info_delay > 0.0:
        size = len(core.log_time)
        if core.count[LOG_TAIL] - core.count[LOG_HEAD] >= size:
            age_information(core, now)
        if core.count[LOG_TAIL] - core.count[LOG_HEAD] >= size:
            core.count[LOG_FULL] = 1
        else:
            entry = core.count[LOG_TAIL] % size
            core.log_time[entry] = now
            core.log_worker[entry] = worker
            core.log_change[entry] = change
            core.count[LOG_TAIL] += 1
    core.in_flight[worker] += change
    reindex(core, worker)


def reindex(core: Core, worker: int) -> None:
    """Keep the search tree of `least_loaded`, if there is one, in step with one worker."""
    if not core.settings.indexed:
        return
    tree = core.index
    node = len(tree) // 2 + worker
    value = core.in_flight[worker] if core.is_up[worker] else UNLIMITED
    while tree[node] != value:
        tree[node] = value
        if node == 1:
            break
        value = min(value, tree[node ^ 1])
        node //= 2


def age_information(core: Core, now: float) -> None:
    """Let the policy see the load as it was, where the cluster says that it is old."""
    settings = core.settings
    if settings.info_every > 0.0:
        if now >= core.board[0]:
            for worker in range(len(core.in_flight)):
                core.seen[worker] = core.in_flight[worker]
            core.board[0] = (math.floor(now / settings.info_every) + 1) * settings.info_every
    elif settings.info_delay > 0.0:
        size = len(core.log_time)
        while core.count[LOG_HEAD] < core.count[LOG_TAIL]:
            entry = core.count[LOG_HEAD] % size
            if core.log_time[entry] + settings.info_delay > now:
                break
            core.seen[core.log_worker[entry]] += core.log_change[entry]
            core.count[LOG_HEAD] += 1

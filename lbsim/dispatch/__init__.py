"""The dispatcher: what a master process knows and decides, without clock or sockets.

Events go in, decisions come out. Every driver, the two simulation engines and the live
master, calls these transitions and nothing else, so that "simulated" and "measured" differ in
the physics and never in the logic:

====================================  ==================================================
transition                            answer
====================================  ==================================================
`arrive` (now, ticket)                the worker that gets it, `HOLD` or `SHED`
`accepted` (now, worker)              the held ticket that may follow, or `NONE`
`looked` (now, worker)                the held ticket it takes at a turn, or `NONE`
`idle` (now, worker)                  the held ticket it takes, or `NONE`: it sleeps
`complete` (now, worker, ticket)      the held ticket that this worker takes next, or `NONE`
`kept` (now, worker, …)               the held ticket that this worker takes next, or `NONE`
`cancel` (now, ticket)                the worker it was at, or `NONE`
`worker_down` (now, worker)           the tickets it had, for `retry_due`
`worker_leaving` (now, worker)        the tickets that wait for it, for `retry_due`
`worker_up` (now, worker)             the first held ticket it takes, or `NONE`
`resize` (now, worker, slots)         the first held ticket it takes, or `NONE`
`refused` (now, worker, ticket)       as `arrive`: the ticket is dispatched again
`retry_due` (now, ticket)             as `arrive`, or `LOST` by the retry rule
`spare` (ticket)                      nothing: a failed attempt does not count
`pull` (now, worker)                  one more held ticket for this worker, or `NONE`
`reported` (now, worker, busy)        nothing
====================================  ==================================================

A *ticket* is one copy of a request: retries and hedges by the client are tickets of their
own. ``ticket // copies`` is the row of the request they belong to.

After `accepted`, `complete`, `kept`, `worker_up` and `resize` the driver calls `pull` until it
answers `NONE`. Where a request is held is decided here and obeys one law: *a held request
never waits while a worker that is up, ready, has a free slot and may take it.*

- `core`: what a master knows;
- `transitions`: the functions above;
- `held`: the requests that wait at the master;
- `sight`: what the policy is shown.

The functions are written for Numba: numbers, arrays, loops, and named tuples of them.
"""

from lbsim.dispatch.core import (
    BAD_CHOICE,
    CHOICE,
    INDEX_FROM,
    LOST,
    N_UP,
    Core,
    Requests,
    Settings,
    make_core,
)
from lbsim.dispatch.sight import request_of, view
from lbsim.dispatch.transitions import (
    accepted,
    arrive,
    cancel,
    complete,
    idle,
    kept,
    looked,
    pull,
    refused,
    reported,
    resize,
    retry_due,
    spare,
    take_down,
    take_out,
    worker_down,
    worker_leaving,
    worker_up,
)
from lbsim.queues import NONE

__all__ = [
    "BAD_CHOICE",
    "CHOICE",
    "INDEX_FROM",
    "LOST",
    "NONE",
    "N_UP",
    "Core",
    "Requests",
    "Settings",
    "accepted",
    "arrive",
    "cancel",
    "complete",
    "idle",
    "kept",
    "looked",
    "make_core",
    "pull",
    "refused",
    "reported",
    "request_of",
    "resize",
    "retry_due",
    "spare",
    "take_down",
    "take_out",
    "view",
    "worker_down",
    "worker_leaving",
    "worker_up",
]

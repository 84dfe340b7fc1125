"""Run the policies of `lbsim` on real forked workers (Linux).

A pre-fork master accepts connections, asks the same dispatcher and policy classes that are
simulated, and passes the socket to a worker that serves any ASGI application:
``python -m live serve module:app --workers 4 --policy PowerOfD:d=2``.

`measure` replays a workload that `lbsim.simulate` takes, for real, and returns a `Run` with the
same columns.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.measuring import measure, measure_against

__all__ = ["measure", "measure_against"]


def __getattr__(name: str) -> Any:
    # Loaded when used: the master, which imports this package too, is to stay small.
    if name in __all__:
        from live import measuring

        return getattr(measuring, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

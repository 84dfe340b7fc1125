"""What ships: a heavy-tailed workload, and recordings of runs that were measured."""

from pathlib import Path
from typing import TYPE_CHECKING

from lbsim.errors import InputError
from lbsim.workload import BoundedPareto, Exponential, Kind, Sessions, Workload

if TYPE_CHECKING:
    from lbsim.cluster import Cluster
    from lbsim.run import Run

__all__ = ["heavy_tailed", "load", "names"]


def heavy_tailed(
    cluster: "Cluster",
    load: float = 0.8,
    n: int = 20_000,
    seed: int = 1,
    allow_overload: bool = False,
) -> Workload:
    """Describe a web service whose few slow requests carry much of the work.

    Nine in ten requests are pages (exponential, mean 5 ms); one in ten is a search whose time is
    bounded Pareto (α = 1.5, mean 55 ms, at most 2 s). The mean is 10 ms. 2,000 sessions have
    Zipf popularity, and clients know the size of a request to within a factor of about 2.

    Parameters
    ----------
    cluster : Cluster
        What `load` refers to.
    load : float, default 0.8
    n : int, default 20000
    seed : int, default 1
    allow_overload : bool, default False

    Examples
    --------
    >>> import lbsim
    >>> len(heavy_tailed(lbsim.Cluster(8), n=500))
    500
    """
    return Workload.synthetic(
        n,
        kinds={
            "page": Kind(0.9, Exponential(0.005)),
            "search": Kind(0.1, BoundedPareto(alpha=1.5, mean=0.055, maximum=2.0)),
        },
        load=load,
        cluster=cluster,
        sessions=Sessions(2000),
        size_error=0.7,
        seed=seed,
        allow_overload=allow_overload,
        name="heavy_tailed",
    )


def names() -> tuple[str, ...]:
    """Return the names of the recordings that ship."""
    return tuple(sorted(path.stem for path in _place().glob("*.parquet")))


def load(name: str) -> "dict[str, Run]":
    """Load a recording: runs that were measured by this project, and simulated ones beside them.

    Parameters
    ----------
    name : str
        One of `names`. ``lbsim.recordings.about`` tells on what machine it was made.

    Returns
    -------
    dict of str to Run
    """
    from lbsim.recordings import load as read

    if name not in names():
        known = ", ".join(names()) or "none"
        raise InputError(f"recording {name!r} is not known; there is {known}")
    return read(_place() / f"{name}.parquet")


def _place() -> Path:
    return Path(__file__).with_name("recorded")

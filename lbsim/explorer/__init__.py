"""Sliders whose picture answers at once."""

from typing import TYPE_CHECKING, Any

from lbsim.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lbsim.explorer.widget import Explorer

__all__ = ["explore"]


def explore(
    policies: "Sequence[Any] | None" = None,
    *,
    load: float = 0.8,
    workers: int = 8,
    alpha: float = 1.5,
    sticky: float = 0.0,
    requests: int = 100_000,
    seed: int = 1,
) -> "Explorer":
    """Show sliders for load, workers, policies, tail and stickiness, and what comes of them.

    Every movement runs all requests again, under one policy or two, and redraws the
    distribution of latency and what each worker did. Needs Jupyter, ipywidgets and anywidget.

    Parameters
    ----------
    policies : sequence of Policy or str, optional
        What there is to choose from, your own among them; the first two are shown first. A
        selection of the shipped ones by default.
    load : float, default 0.8
        Per worker, 0.05 to 0.98.
    workers : int, default 8
        1 to 32.
    alpha : float, default 1.5
        Tail index of the service times (bounded Pareto, mean 10 ms, at most 1 s), 1.1 to 3:
        the smaller, the more of the work is in a few large requests.
    sticky : float, default 0
        Share of the requests that belong to a session and go to the worker that has it.
    requests : int, default 100000
    seed : int, default 1
        The requests of two settings differ by nothing but the settings.

    Returns
    -------
    Explorer
        A widget: show it as the last line of a cell. Its settings are attributes that can be
        set and linked; `Explorer.runs` are the runs behind the picture.

    Raises
    ------
    InputError
        A setting is out of range, or ipywidgets or anywidget is not installed.
    """
    try:
        from lbsim.explorer.widget import Explorer
    except ImportError as error:
        raise InputError(
            f"explore() needs the package {error.name}, which is not installed; "
            "pip install 'lbsim[notebook]' and restart the kernel"
        ) from error
    from lbsim.explorer.model import Settings, choices

    first = Settings(load, workers, alpha, sticky, requests, seed)
    return Explorer(choices(policies), first)

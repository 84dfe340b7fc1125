"""Live experiments in lessons: measured here if the machine can, else from a recording.

A lesson gives a function that measures. Where processes can be forked it is called; elsewhere
(Windows, a browser's kernel), or with ``LBSIM_RECORDED=1``, the runs come from ``data/``, where
``LBSIM_RECORD=DIR`` puts what is measured.
"""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lbsim.run import Run

__all__ = ["can_measure", "measured"]


def can_measure() -> bool:
    """Say whether real workers can be run here."""
    if os.environ.get("LBSIM_RECORDED", "0") not in ("", "0"):
        return False
    return sys.platform == "linux" and importlib.util.find_spec("live") is not None


def measured(name: str, experiment: "Callable[[], dict[str, Run]]") -> "dict[str, Run]":
    """Return the runs of a live experiment.

    Parameters
    ----------
    name : str
        Of the recording, ``data/NAME.parquet``.
    experiment : callable
        Measures, and returns runs by name. Only it imports `live`.

    Returns
    -------
    dict of str to Run
    """
    from lbsim import data, recordings

    if not can_measure():
        return data.load(name)
    runs = experiment()
    directory = os.environ.get("LBSIM_RECORD")
    if directory:
        recordings.save(runs, Path(directory) / f"{name}.parquet")
    return runs

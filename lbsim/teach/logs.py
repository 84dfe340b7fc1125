"""An access log to practise on, for whoever has none at hand."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from lbsim import checks

__all__ = ["write_example_log"]

# What the site serves: path, share, mean time in seconds, spread of its logarithm.
PAGES = (
    ("/", 0.45, 0.008, 0.5),
    ("/item", 0.40, 0.012, 0.6),
    ("/search", 0.13, 0.060, 1.0),
    ("/export.csv", 0.02, 0.500, 0.8),
)
START = datetime(2024, 3, 5, 9, 0, 0, tzinfo=UTC)


def write_example_log(path: str | Path, n: int = 12_000, seed: int = 0) -> Path:
    """Write a made-up nginx access log with request times.

    Four kinds of page with lognormal times, arrivals whose rate swings by a third every ten
    minutes, stamps in whole seconds as nginx writes them.

    Parameters
    ----------
    path : str or Path
    n : int, default 12000
        Lines.
    seed : int, default 0

    Returns
    -------
    Path
        Where it is. The file appears whole or not at all.
    """
    n = checks.count("write_example_log", "n", n)
    rng = np.random.default_rng(seed)
    # Poisson at a rate that swings: gaps are divided by the swing at where they begin.
    gaps = rng.exponential(1.0 / 20.0, n)
    time = np.cumsum(gaps)
    time = np.cumsum(gaps / np.exp2(0.4 * np.sin(2.0 * np.pi * time / 600.0)))
    which = rng.choice(len(PAGES), n, p=[page[1] for page in PAGES])
    spread = np.array([page[3] for page in PAGES])[which]
    mean = np.array([page[2] for page in PAGES])[which]
    took = mean * np.exp(spread * rng.standard_normal(n) - spread**2 / 2.0)
    # nginx writes a line when a request is over.
    over = np.argsort(time + took, kind="stable")
    lines = []
    for i in over.tolist():
        stamp = (START + timedelta(seconds=float(time[i] + took[i]))).strftime("%d/%b/%Y:%H:%M:%S")
        address = f"10.0.{int(rng.integers(4))}.{int(rng.integers(1, 255))}"
        size = int(rng.integers(300, 30_000))
        lines.append(
            f'{address} - - [{stamp} +0000] "GET {PAGES[which[i]][0]} HTTP/1.1" 200 {size} '
            f'"-" "practice" {took[i]:.3f}\n'
        )
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text("".join(lines), encoding="ascii")
    os.replace(temporary, path)
    return path

"""A progress bar for what takes long, and nothing for what does not."""

import math
import time
from typing import Any, Self

__all__ = ["Progress"]

PATIENCE_S = 2.0


class Progress:
    """Shows a bar (`tqdm.auto`) once something has taken two seconds after its first step.

    The first step may include compiling, of which a bar would show nothing.

    Parameters
    ----------
    total : int
        Steps until it is done.
    unit : str
        What is counted.
    """

    def __init__(self, total: int, unit: str = "request") -> None:
        self.total = total
        self.unit = unit
        self.begin = math.inf
        self.bar: Any = None

    def done(self, steps: int) -> None:
        """Say how many steps are done, all in all."""
        self.begin = min(self.begin, time.monotonic())
        if self.bar is None and time.monotonic() - self.begin > PATIENCE_S:
            from tqdm.auto import tqdm

            self.bar = tqdm(total=self.total, unit=f" {self.unit}s", unit_scale=True, leave=False)
        if self.bar is not None:
            self.bar.update(steps - self.bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

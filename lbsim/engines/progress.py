"""A progress bar for what takes long, and nothing for what does not."""

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

__all__ = ["Progress", "silent"]

PATIENCE_S = 2.0

_is_silent: ContextVar[bool] = ContextVar("_is_silent", default=False)


@contextmanager
def silent(*, when: bool = True) -> Iterator[None]:
    """Show no bars within this context (and thread), if `when` is true."""
    before = _is_silent.set(when or _is_silent.get())
    try:
        yield
    finally:
        _is_silent.reset(before)


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
        self.is_silent = _is_silent.get()

    def done(self, steps: int) -> None:
        """Say how many steps are done, all in all."""
        self.begin = min(self.begin, time.monotonic())
        if self.is_silent:
            return
        if self.bar is None and time.monotonic() - self.begin > PATIENCE_S:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that Jupyter lacks widgets: text will do
                from tqdm.auto import tqdm

            self.bar = tqdm(total=self.total, unit=f" {self.unit}s", unit_scale=True, leave=False)
        if self.bar is not None:
            self.bar.update(steps - self.bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

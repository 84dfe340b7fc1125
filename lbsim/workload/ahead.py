"""Draw the next piece of a workload while the present one is used."""

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")


def ahead(pieces: Iterator[T], depth: int = 4) -> Generator[T, None, None]:
    """Yield the same pieces, made in a thread of their own.

    NumPy lets go of the interpreter while it draws, and so does compiled code while it runs, so
    the two keep two cores busy.

    Parameters
    ----------
    pieces : iterator
        An error that it raises is raised here.
    depth : int, default 4
        How many pieces are made in advance at most.

    Notes
    -----
    Close the iterator (or exhaust it) to end the thread.
    """
    made: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(depth)
    stop = threading.Event()

    def make() -> None:
        try:
            for piece in pieces:
                made.put((True, piece))
                if stop.is_set():
                    return
            made.put((False, None))
        except BaseException as error:
            made.put((False, error))

    thread = threading.Thread(target=make, name="lbsim-draws", daemon=True)
    thread.start()
    try:
        while True:
            is_piece, value = made.get()
            if is_piece:
                yield value  # type: ignore[misc]
            elif isinstance(value, BaseException):
                raise value
            else:
                return
    finally:
        stop.set()
        while thread.is_alive():  # it may be waiting for room
            with contextlib.suppress(queue.Empty):
                made.get(timeout=0.01)
        thread.join()

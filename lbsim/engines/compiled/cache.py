"""Compiled kernels on disk.

Numba's own cache keeps one index for each function of a file, stamped with that file alone;
here a kernel depends on much more (see `lbsim.engines.compiled.fingerprint`), and several
processes may compile at once. So every kernel has a file of its own, named by the hash of all
it depends on, written to a temporary name and moved into place: two processes that compile the
same kernel write the same file, and nothing that changes can be mistaken for something else.
"""

import contextlib
import hashlib
import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys

from lbsim.engines.compiled.fingerprint import engine_stamp

__all__ = ["KernelCache", "directory"]


def directory() -> Path | None:
    """Return where kernels are kept, or None if nowhere can be written to.

    ``LBSIM_CACHE_DIR`` if it is set (an empty value turns the cache off), else ``lbsim`` below
    ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    chosen = os.environ.get("LBSIM_CACHE_DIR")
    if chosen == "":
        return None
    try:
        if chosen is not None:
            path = Path(chosen)
        elif os.environ.get("XDG_CACHE_HOME"):
            path = Path(os.environ["XDG_CACHE_HOME"]) / "lbsim"
        else:
            path = Path.home() / ".cache" / "lbsim"
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return path


class KernelCache(_Cache):
    """The disk cache of one kernel function, in the place of Numba's own.

    Parameters
    ----------
    name : str
        Of the kernel.
    stamp : str
        Of what the kernel depends on beside the engine and the signature.
    """

    def __init__(self, name: str, stamp: str) -> None:
        self.name = name
        self.stamp = stamp

    @property
    def cache_path(self) -> str | None:
        """The directory."""
        path = directory()
        return None if path is None else str(path)

    def holds(self, sig: Any, target_context: Any) -> bool:
        """Say whether there is a kernel for a signature."""
        path, _ = self._entry(sig, target_context)
        return path is not None and path.exists()

    def load_overload(self, sig: Any, target_context: Any) -> CompileResult | None:
        """Return the kernel for a signature, or None."""
        path, key = self._entry(sig, target_context)
        if path is None:
            return None
        # A kernel needs Numba's runtime. The rest of what `target_context.refresh()` loads is for
        # compiling, and takes longer than all else.
        rtsys.initialize(target_context)
        try:
            # A file that is damaged, or unreadable by this Numba, is as good as none.
            with path.open("rb") as file:
                found, payload = pickle.load(file)
            if found != key:
                return None
            return CompileResult._rebuild(target_context, *payload)
        except Exception:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a kernel, if there is anywhere to keep it."""
        path, key = self._entry(sig, data.target_context)
        if path is None:
            return
        with contextlib.suppress(OSError):
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
            try:
                with os.fdopen(handle, "wb") as file:
                    pickle.dump((key, data._reduce()), file, protocol=pickle.HIGHEST_PROTOCOL)
                os.replace(temporary, path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

    def _entry(self, sig: Any, target_context: Any) -> tuple[Path | None, str]:
        parts = (
            self.name,
            self.stamp,
            engine_stamp(),
            str(sig),
            target_context.codegen().magic_tuple(),
        )
        key = hashlib.sha256(repr(parts).encode()).hexdigest()
        root = directory()
        return (None if root is None else root / f"{self.name}-{key[:32]}.kernel"), key

    def enable(self) -> None:
        """Nothing to do: this cache is always on."""

    def disable(self) -> None:
        """Nothing to do."""

    def flush(self) -> None:
        """Nothing to do: files are never changed."""

"""Compile a kernel's functions once, not once for each function that calls them.

Numba links what a function calls into the function's module, optimises that and makes machine
code of it, for every function on the way up. For a kernel of a hundred functions that is most
of the time. Functions that only other compiled functions call (``no_cpython_wrapper``) need no
machine code of their own: here they stay as they are until the kernel is optimised as a whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

__all__ = ["PART", "parts_stay_parts"]

PART = {"_nrt": False, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of a function that only compiled functions call, and that makes no arrays."""

_WRAPPER = "_ZN7cpython"  # how the name of a function begins that Python can call


class _Part(JITCodeLibrary):
    """A compiled function that gets machine code only if Python can call it."""

    def finalize(self) -> None:
        defined = (f.name for f in self._final_module.functions if not f.is_declaration)
        if any(name.startswith(_WRAPPER) for name in defined):
            super().finalize()
            return
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@contextmanager
def parts_stay_parts() -> Iterator[None]:
    """While this lasts, give machine code only to functions that Python can call.

    Other threads that compile wait.
    """
    with global_compiler_lock:
        yield from _parts_stay_parts()


def _parts_stay_parts() -> Iterator[None]:
    codegen = cpu_target.target_context.codegen()
    environments: dict[str, Any] = {}  # of parts: their place is not there before the kernel is
    library_class, set_env = codegen._library_class, codegen.set_env

    def set_env_if_there(name: str, environment: Any) -> None:
        if codegen._engine.is_symbol_defined(name):
            set_env(name, environment)
        else:
            environments[name] = environment

    codegen._library_class = _Part
    codegen.set_env = set_env_if_there
    try:
        yield
    finally:
        codegen._library_class = library_class
        del codegen.set_env
        for name, environment in environments.items():
            if codegen._engine.is_symbol_defined(name):
                set_env(name, environment)

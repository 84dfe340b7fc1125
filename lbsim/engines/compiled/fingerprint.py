"""A name for a policy's code: everything that its choices depend on, hashed.

A compiled kernel may be used again, in this process or from the disk, only if nothing that it
was made of has changed: the policy's methods and those of its bases, every function they call,
and *the values* of the globals, closures, defaults and class attributes they read. All of it goes
into one hash, the policy's tag. The code itself is hashed as bytecode, not as source: a class
written in a notebook has no source file.
"""

import enum
import functools
import hashlib
import inspect
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from lbsim import hashing
from lbsim.policy import Policy, least_loaded

__all__ = ["ENTRIES", "OFFERED", "Inspection", "Reach", "engine_stamp", "inspect_class", "reach_of"]

ENTRIES = ("choose", "rank", "may_take", "on_complete", "on_down", "on_up", "on_ready")
"""What the dispatcher calls."""

OFFERED: frozenset[Any] = frozenset({hashing.hash64, hashing.uniform, least_loaded})
"""Functions that the package offers to policies and compiles in its own way."""

_THIS_PROCESS = secrets.token_hex(16)

_KEPT: dict[int, Any] = {}
"""Objects known by their address: none of these is given to another object."""

_NOTHING = object()

_TRUSTED = ("numpy", "math", "numba", "operator", "builtins")
"""Modules whose functions are known by name and version."""


class Inspection:
    """What the methods of a policy class can reach.

    Attributes
    ----------
    functions : dict of function to int
        Plain Python functions outside the class that are called, in the order of being found.
    names : set of str
        Every attribute and global that any of the code mentions.
    methods : dict of str to function
        The class's own methods and those of its bases, by name.
    constants : dict of str to object
        Class attributes that are no functions.
    kind : type
        The class.
    digest : str
        Of all that.
    """

    def __init__(self, kind: type[Policy]) -> None:
        self.functions: dict[FunctionType, int] = {}
        self.names: set[str] = set()
        self.methods: dict[str, FunctionType] = {}
        self.constants: dict[str, Any] = {}
        self.kind = kind
        self._holders: dict[ModuleType | type, set[str]] = {}
        self._parts = hashlib.sha256()
        for base in reversed(kind.__mro__[:-1]):
            for name, value in vars(base).items():
                if isinstance(value, FunctionType):
                    self.methods[name] = value
                    self.constants.pop(name, None)
                elif not name.startswith("__") and not callable(value):
                    self.constants[name] = getattr(value, "__func__", value)
                    self.methods.pop(name, None)
        seen: set[str] = set()
        # In an order that does not depend on how this process hashes texts.
        while reached := sorted((self.names.union(ENTRIES) & self.methods.keys()) - seen):
            for name in reached:
                seen.add(name)
                self._note("method", name)
                self._function(self.methods[name])
            if "super" in self.names:
                for base in kind.__mro__[1:-1]:
                    self._type(base)
            self._read_holders()
        for name in sorted(self.names & self.constants.keys()):
            self._note("constant", name)
            self._value(self.constants[name])
        self.digest = self._parts.hexdigest()

    def digest_of(self, value: Any) -> str:
        """Return a hash of a value, as this inspection would note it."""
        self._parts = hashlib.sha256()
        self._value(value)
        return self._parts.hexdigest()

    def _note(self, *parts: object) -> None:
        for part in parts:
            self._parts.update(repr(part).encode())
            self._parts.update(b"\0")

    def _function(self, function: FunctionType) -> None:
        self._code(function.__code__)
        for default in (function.__defaults__ or ()) + tuple(
            (function.__kwdefaults__ or {}).items()
        ):
            self._value(default)
        for cell in function.__closure__ or ():
            try:
                self._value(cell.cell_contents)
            except ValueError:  # not yet filled
                self._note("empty cell")
        for name in _mentioned(function.__code__):
            if name in function.__globals__:
                self._note("global", name)
                self._value(function.__globals__[name])

    def _code(self, code: CodeType) -> None:
        self._note(
            code.co_code,
            code.co_names,
            code.co_varnames,
            code.co_freevars,
            code.co_argcount,
            code.co_exceptiontable,
        )
        self.names.update(code.co_names)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._code(constant)
            else:
                self._note(constant)

    def _value(self, value: Any) -> None:
        """Note a value that code reads."""
        if isinstance(value, FunctionType):
            is_new = value not in self.functions
            # Which one it is counts each time: two names may change places.
            number = self.functions.setdefault(value, len(self.functions))
            self._note("function", value.__qualname__, number)
            if is_new and value not in OFFERED:  # the engine's stamp stands for those
                self._function(value)
        elif isinstance(value, ModuleType):
            self._module(value)
        elif isinstance(value, np.ndarray):
            self._note("array", value.dtype.str, value.shape, value.tobytes())
        elif isinstance(value, tuple | list):
            self._note(type(value).__name__, len(value), getattr(value, "_fields", None))
            for part in value:
                self._value(part)
        elif value is None or isinstance(value, bool | int | float | str | bytes | np.generic):
            self._note(type(value).__name__, value)
        elif isinstance(value, type):
            self._type(value)
        elif (getattr(value, "__module__", None) or "").split(".")[0] in _TRUSTED:
            self._note("known", value.__module__, getattr(value, "__name__", ""))
        else:
            # Whatever this is (a compiled function of the user's, say, which may have been
            # compiled before a value it reads was changed), another process cannot be trusted
            # to have the same.
            _KEPT[id(value)] = value
            self._note("object", type(value).__qualname__, id(value), _THIS_PROCESS)

    def _type(self, value: type) -> None:
        self._note("type", value.__module__, value.__qualname__)
        if issubclass(value, Policy):
            self._holders.setdefault(value, set())
        elif issubclass(value, enum.Enum):
            for member in value:
                self._note(member.name)
                self._value(member.value)
        elif hasattr(value, "_fields"):
            self._note(value._fields)
            self._value(tuple(getattr(value, "_field_defaults", {}).items()))
        elif value.__module__.split(".")[0] not in _TRUSTED:
            self._note(_THIS_PROCESS)

    def _module(self, module: ModuleType) -> None:
        self._note("module", module.__name__)
        if module.__name__.split(".")[0] not in _TRUSTED:
            self._holders.setdefault(module, set())

    def _read_holders(self) -> None:
        """Note what the code may read of modules and policies: all whose name it mentions."""
        found = True
        while found:  # what is read may be code that mentions more
            found = False
            for holder, known in list(self._holders.items()):
                for name in sorted(self.names - known):
                    if isinstance(holder, ModuleType):
                        value = vars(holder).get(name, _NOTHING)
                    else:
                        value = getattr(holder, name, _NOTHING)
                        if value is getattr(Policy, name, _NOTHING):
                            continue  # the engine's stamp stands for what every policy has
                    if value is _NOTHING:
                        continue
                    known.add(name)
                    self._note("attribute", holder.__name__, name)
                    self._value(value)
                    found = True


def _mentioned(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _mentioned(constant)


def inspect_class(kind: type[Policy]) -> Inspection:
    """Return what a policy class's methods can reach, as things stand now.

    Never cached: a helper may have been edited since the last run.
    """
    return Inspection(kind)


class Reach(NamedTuple):
    """What a policy object can reach, the policies inside it included."""

    digest: str
    names: frozenset[str]
    functions: frozenset[FunctionType]
    methods: tuple[FunctionType, ...]


def reach_of(policy: Policy) -> Reach:
    """Return what the code of a policy object, and of policies it is made of, can reach."""
    own = inspect_class(type(policy))
    inside = [reach_of(value) for value in vars(policy).values() if isinstance(value, Policy)]
    return Reach(
        hashlib.sha256("".join([own.digest, *(i.digest for i in inside)]).encode()).hexdigest(),
        frozenset(own.names).union(*(i.names for i in inside)),
        frozenset(own.functions).union(*(i.functions for i in inside)),
        (*own.methods.values(), *(m for i in inside for m in i.methods)),
    )


@functools.cache
def engine_stamp() -> str:
    """Return a hash of everything but the policy that compiled code depends on."""
    import llvmlite
    import numba

    digest = hashlib.sha256()
    for version in (sys.version, numba.__version__, llvmlite.__version__, np.__version__):
        digest.update(version.encode())
    root = Path(inspect.getfile(Policy)).parent
    # Whatever a kernel might be made of; reading all of it takes milliseconds.
    for path in sorted(
        [*root.glob("*.py"), *root.glob("dispatch/*.py"), *root.glob("engines/**/*.py")]
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()

"""A policy object as a value of compiled code.

Numba cannot compile a plain Python object, but it can be taught a type of value whose fields
are read and assigned and whose methods are called as the class says. Such a *policy value* has
its numbers in three small arrays (integers, floats, flags), its own arrays beside them, and
the values of policies inside it, so that

- ``self.last = worker`` and ``self.table[i] = worker`` change the state, as in Python;
- ``self.fallback.choose(request, cluster)`` calls the method of the policy inside;
- the sizes of arrays are no part of its type: two worker counts share one kernel.

The type's name is the policy's tag (`lbsim.engines.compiled.fingerprint`), by which its class is
found again when a method is compiled. What the constructor stored beside numbers and arrays
(None, texts, tuples) is a constant of the type. Attributes of the class are constants too.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import typeof, types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.errors import TypingError
from numba.core.imputils import impl_ret_borrowed, lower_builtin
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_getattr_generic,
    lower_setattr_generic,
    register_model,
    typeof_impl,
    unbox,
)

from lbsim.engines.compiled.fingerprint import Inspection, inspect_class
from lbsim.engines.compiled.methods import compiled_function
from lbsim.policy import Policy

__all__ = ["PolicyType", "PolicyValue", "Uncompilable", "class_of_tag", "policy_value"]

_NUMBERS = {"ints": types.int64, "floats": types.float64, "flags": types.boolean}
_POOLS = {name: types.Array(kind, 1, "C") for name, kind in _NUMBERS.items()}


class Uncompilable(Exception):
    """A policy has a field that compiled code cannot have; the message says which."""


class PolicyType(types.Type):
    """The Numba type of one policy class with one layout of fields.

    Parameters
    ----------
    tag : str
        Names the code and the constants; the same tag is the same type.
    numbers : tuple of (str, str, int)
        Field, pool ("ints", "floats" or "flags") and place in it.
    arrays : tuple of (str, Array type)
    inside : tuple of (str, PolicyType)
        Policies that are fields.
    """

    def __init__(
        self,
        tag: str,
        numbers: tuple[tuple[str, str, int], ...],
        arrays: tuple[tuple[str, types.Array], ...],
        inside: tuple[tuple[str, "PolicyType"], ...],
    ) -> None:
        self.tag = tag
        self.numbers = numbers
        self.arrays = arrays
        self.inside = inside
        super().__init__(name=f"Policy_{tag}")


class _Known(NamedTuple):
    """What compiling a method of a tagged class needs."""

    inspection: Inspection
    constants: dict[str, Any]
    allocates: bool


_KNOWN: dict[str, _Known] = {}


def class_of_tag(tag: str) -> type[Policy]:
    """Return the class of the policies of a tag."""
    return _KNOWN[tag].inspection.kind


class PolicyValue:
    """The Python side of a policy value: arrays that a kernel reads and changes.

    Its attributes are the members of the compiled structure, by name.
    """

    type: PolicyType

    def __init__(self, policy: Policy, allocates: bool) -> None:
        inspection = inspect_class(_class_of(policy))
        pools: dict[str, list[Any]] = {name: [] for name in _POOLS}
        numbers: list[tuple[str, str, int]] = []
        arrays: list[tuple[str, Any]] = []
        inside: list[tuple[str, Any]] = []
        constants: dict[str, Any] = {}
        for name, value in vars(policy).items():
            if name.startswith("_kinds"):
                continue  # the guard's
            if isinstance(value, Policy):
                part = PolicyValue(value, allocates)
                setattr(self, f"inside_{name}", part)
                inside.append((name, part.type))
            elif isinstance(value, np.ndarray):
                self._take_array(policy, name, value, arrays)
            else:
                pool = _pool_of(value)
                if pool is None:
                    constants[name] = value
                else:
                    numbers.append((name, pool, len(pools[pool])))
                    pools[pool].append(value)
        self.ints = np.array(pools["ints"], np.int64)
        self.floats = np.array(pools["floats"], np.float64)
        self.flags = np.array(pools["flags"], np.bool_)
        layout = (tuple(numbers), tuple(arrays), tuple((n, t.tag) for n, t in inside))
        used = {
            name: inspection.digest_of(constants[name])
            for name in sorted(inspection.names & constants.keys())
        }
        parts = (inspection.digest, layout, used, allocates)
        tag = hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
        self.type = PolicyType(tag, tuple(numbers), tuple(arrays), tuple(inside))
        _KNOWN.setdefault(tag, _Known(inspection, constants, allocates))

    def _take_array(
        self, policy: Policy, name: str, value: np.ndarray, arrays: list[tuple[str, Any]]
    ) -> None:
        if value.dtype.hasobject:
            raise Uncompilable(
                f"self.{name} is an array of Python objects; make it an array of numbers "
                "(np.zeros(n), np.zeros(n, np.int64), …)"
            )
        value = np.ascontiguousarray(value)
        setattr(self, f"array_{name}", value)
        arrays.append((name, typeof(value)))

    def read_into(self, policy: Policy) -> None:
        """Write the state back into the policy object it was made of."""
        state = vars(policy)
        for name, pool, place in self.type.numbers:
            state[name] = getattr(self, pool)[place]
        for name, _ in self.type.arrays:
            state[name][...] = getattr(self, f"array_{name}")
        for name, _ in self.type.inside:
            getattr(self, f"inside_{name}").read_into(state[name])


def policy_value(policy: Policy, *, allocates: bool = False) -> PolicyValue:
    """Return the compiled value of a prepared policy.

    Parameters
    ----------
    policy : Policy
        Prepared (see `lbsim.checked.fresh`); its arrays are shared with the value.
    allocates : bool
        Whether its methods make new arrays. Code that does not is compiled without reference
        counts, which makes it several times as fast.

    Raises
    ------
    Uncompilable
        A field can have no compiled type.
    """
    return PolicyValue(policy, allocates)


def _class_of(policy: Policy) -> type[Policy]:
    """Return the policy's own class, without the guard's subclass."""
    kind = type(policy)
    return kind.__mro__[1] if "_kinds" in vars(policy) else kind


def _pool_of(value: Any) -> str | None:
    if isinstance(value, bool | np.bool_):
        return "flags"
    if isinstance(value, int | np.integer):
        return "ints"
    if isinstance(value, float | np.floating):
        return "floats"
    return None


# --- the compiled structure ------------------------------------------------------------------


@register_model(PolicyType)
class _PolicyModel(models.StructModel):
    def __init__(self, manager: Any, kind: PolicyType) -> None:
        super().__init__(manager, kind, _members(kind))


def _field_type(kind: PolicyType, name: str) -> types.Type | None:
    for field, pool, _ in kind.numbers:
        if field == name:
            return _NUMBERS[pool]
    for field, member in (*kind.arrays, *kind.inside):
        if field == name:
            return member
    return None


def _members(kind: PolicyType) -> list[tuple[str, types.Type]]:
    members: list[tuple[str, types.Type]] = list(_POOLS.items())
    members += [(f"array_{name}", array) for name, array in kind.arrays]
    members += [(f"inside_{name}", part) for name, part in kind.inside]
    return members


@typeof_impl.register(PolicyValue)
def _typeof(value: PolicyValue, _: Any) -> PolicyType:
    return value.type


@unbox(PolicyType)
def _unbox(kind: PolicyType, obj: Any, c: Any) -> NativeValue:
    struct = cgutils.create_struct_proxy(kind)(c.context, c.builder)
    is_error = cgutils.false_bit
    for name, member in _members(kind):
        attribute = c.pyapi.object_getattr_string(obj, name)
        native = c.unbox(member, attribute)
        setattr(struct, name, native.value)
        is_error = c.builder.or_(is_error, native.is_error)
        c.pyapi.decref(attribute)
    return NativeValue(struct._getvalue(), is_error=is_error)


# --- fields ----------------------------------------------------------------------------------


@infer_getattr
class _Fields(AttributeTemplate):
    key = PolicyType

    def generic_resolve(self, kind: PolicyType, name: str) -> types.Type | None:
        field = _field_type(kind, name)
        if field is not None:
            return field
        known = _KNOWN[kind.tag]
        if name in known.inspection.methods:
            return types.BoundFunction(_method_template(name), kind)
        if name in known.constants:
            return _constant_type(name, known.constants[name])
        if name in known.inspection.constants:
            return _constant_type(name, known.inspection.constants[name])
        return None


def _constant_type(name: str, value: Any) -> types.Type:
    if not isinstance(value, list | dict | set):  # of which Numba makes copies
        try:
            return typeof(value)
        except ValueError:
            pass
    raise TypingError(
        f"self.{name} is a {type(value).__name__}, which compiled code cannot read; make it "
        "numbers or arrays in prepare()"
    )


@lower_getattr_generic(PolicyType)
def _read(context: Any, builder: Any, kind: PolicyType, value: Any, name: str) -> Any:
    struct = cgutils.create_struct_proxy(kind)(context, builder, value=value)
    for field, pool, place in kind.numbers:
        if field == name:
            pointer = _pointer(context, builder, struct, pool, place)
            raw = builder.load(pointer)
            return context.data_model_manager[_NUMBERS[pool]].from_data(builder, raw)
    for field, array in kind.arrays:
        if field == name:
            found = getattr(struct, f"array_{name}")
            return impl_ret_borrowed(context, builder, array, found)
    for field, part in kind.inside:
        if field == name:
            found = getattr(struct, f"inside_{name}")
            return impl_ret_borrowed(context, builder, part, found)
    known = _KNOWN[kind.tag]
    if name in known.inspection.methods:
        return context.get_dummy_value()
    constant = known.constants.get(name, known.inspection.constants.get(name))
    return context.get_constant_generic(builder, typeof(constant), constant)


@lower_setattr_generic(PolicyType)
def _write(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    kind, kind_of_value = sig.args
    struct = cgutils.create_struct_proxy(kind)(context, builder, value=args[0])
    for field, pool, place in kind.numbers:
        if field == name:
            number = context.cast(builder, args[1], kind_of_value, _NUMBERS[pool])
            raw = context.data_model_manager[_NUMBERS[pool]].as_data(builder, number)
            builder.store(raw, _pointer(context, builder, struct, pool, place))
            return
    raise NotImplementedError(name)


def _pointer(context: Any, builder: Any, struct: Any, pool: str, place: int) -> Any:
    numbers = context.make_array(_POOLS[pool])(context, builder, value=getattr(struct, pool))
    return cgutils.gep(builder, numbers.data, place)


# --- methods ---------------------------------------------------------------------------------


def _function_type(context: Any, kind: PolicyType, name: str) -> Any:
    known = _KNOWN[kind.tag]
    method = known.inspection.methods[name]
    return context.resolve_value_type(compiled_function(method, kind.tag, known.allocates))


@cache
def _method_template(name: str) -> type[AbstractTemplate]:
    """Return the template by which a call of a method is typed and lowered."""
    key_ = ("lbsim policy method", name)

    class Method(AbstractTemplate):
        key = key_
        prefer_literal = False

        def generic(self, args: Any, kws: Any) -> Any:
            function = _function_type(self.context, self.this, name)
            sig = function.get_call_type(self.context, (self.this, *args), kws)
            return None if sig is None else sig.as_method()

    @lower_builtin(key_, PolicyType, types.VarArg(types.Any))
    def call(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        typing_context = context.typing_context
        function = _function_type(typing_context, sig.args[0], name)
        sig = function.get_call_type(typing_context, sig.args, {})
        implementation: Callable[..., Any] = context.get_function(function, sig)
        context.add_linking_libs(getattr(implementation, "libs", ()))
        return implementation(builder, args)

    return Method

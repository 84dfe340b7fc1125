"""Named tuples passed by reference, in compiled code.

Numba passes a named tuple by value: every number and every array in it is an argument of its
own (an array is seven). With the hundred arrays of a run, a kernel took over a minute to
compile and a call took longer than what was called. A `Reference` is a pointer to such a tuple:
reading a field loads that field, a tuple inside is a `Reference` again. What the fields are never
changes while a kernel runs, and LLVM is told so: it may keep them in registers.
"""

import hashlib
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    models,
    register_model,
)

__all__ = ["Reference", "by_reference"]


def _is_named(kind: types.Type) -> bool:
    # A named tuple whose fields are all of one type is something else to Numba.
    return isinstance(kind, types.NamedTuple | types.NamedUniTuple)


class Reference(types.Type):
    """The Numba type of a pointer to a named tuple.

    Parameters
    ----------
    target : numba.(types.NamedTuple, types.NamedUniTuple)
    """

    def __init__(self, target: Any) -> None:
        self.target = target
        # Short: the name is part of the name of every function that is compiled for it.
        digest = hashlib.sha256(str(target).encode()).hexdigest()[:16]
        super().__init__(name=f"Reference_{target.instance_class.__name__}_{digest}")


@register_model(Reference)
class _ReferenceModel(models.OpaqueModel):
    """An address."""


@intrinsic
def by_reference(typingctx: Any, target: Any) -> Any:
    """Return a reference to a named tuple, valid while the calling function runs."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = cgutils.alloca_once_value(builder, args[0])
        return builder.bitcast(place, cgutils.voidptr_t)

    return Reference(target)(target), codegen


@infer_getattr
class _Fields(AttributeTemplate):
    key = Reference

    def generic_resolve(self, kind: Reference, name: str) -> types.Type | None:
        if name not in kind.target.fields:
            return None
        field = kind.target[kind.target.fields.index(name)]
        return Reference(field) if _is_named(field) else field


@lower_getattr_generic(Reference)
def _read(context: Any, builder: Any, kind: Reference, value: Any, name: str) -> Any:
    place = kind.target.fields.index(name)
    field = kind.target[place]
    if isinstance(field, types.NoneType):
        return context.get_dummy_value()
    struct = context.get_value_type(kind.target)
    pointer = cgutils.gep_inbounds(builder, builder.bitcast(value, struct.as_pointer()), 0, place)
    if _is_named(field):
        return builder.bitcast(pointer, cgutils.voidptr_t)
    if isinstance(field, types.Array):
        array = context.make_array(field)(context, builder)
        for i, member in enumerate(context.data_model_manager[field]._fields):
            part = _load(builder, cgutils.gep_inbounds(builder, pointer, 0, i))
            setattr(array, member, part)
        return array._getvalue()
    return _load(builder, pointer)


def _load(builder: Any, pointer: Any) -> Any:
    loaded = builder.load(pointer)
    loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
    return loaded

"""How the methods of a policy, and the functions they call, are compiled.

A plain Python function becomes a Numba function of the policy's tag: the values of globals and
class attributes are frozen into it, so the same function compiled for another tag is another
function. Three things differ from Numba's ordinary compilation:

- plain functions that are mentioned are compiled too, wherever they come from, methods of
  bases (``Base.choose(self, …)``, ``super().choose(…)``) included;
- a field keeps its type: what Numba would cut off silently (a float in an integer field) is an
  error that names the line, as it is in the interpreted engines (`lbsim.checked`);
- array bounds are checked, and so are sums, differences and products of integers: what would
  read garbage or wrap raises an error. Measured, that costs next to nothing.
"""

import operator
from types import FunctionType, ModuleType
from typing import Any, ClassVar

from llvmlite import ir as llvm
from numba import njit, types
from numba.core import ir
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.errors import TypingError
from numba.core.typed_passes import NopythonTypeInference
from numba.core.untyped_passes import IRProcessing
from numba.extending import intrinsic, overload

from lbsim.engines.compiled import known  # noqa: F401  (its overloads)
from lbsim.engines.compiled.fingerprint import OFFERED
from lbsim.policy import Policy

__all__ = ["compiled_function"]

_compiled: dict[tuple[Any, str], Any] = {}


def compiled_function(function: Any, tag: str, allocates: bool) -> Any:
    """Return the Numba function of a plain one, for the policy of a tag.

    Parameters
    ----------
    function : function
    tag : str
        Of the policy (`lbsim.engines.compiled.value`).
    allocates : bool
        Whether it, or what it calls, makes arrays. Otherwise it is compiled without reference
        counts: counting the references to arrays that live longer than the kernel anyway takes
        more time than all the rest.
    """
    key = (function, tag)
    if key not in _compiled:
        pipeline = type("PolicyCompiler", (_PolicyCompiler,), {"tag": tag, "allocates": allocates})
        _compiled[key] = njit(
            _any_keyword(function),
            boundscheck=True,
            error_model="python",
            forceinline=True,
            _nrt=allocates,
            pipeline_class=pipeline,
        )
    return _compiled[key]


def _any_keyword(function: Any) -> Any:
    """Return the function with its keyword-only parameters made ordinary: Numba knows no others."""
    code = function.__code__
    n = code.co_kwonlyargcount
    if n == 0:
        return function
    names = code.co_varnames[code.co_argcount : code.co_argcount + n]
    defaults = tuple((function.__kwdefaults__ or {}).get(name) for name in names)
    plain = FunctionType(
        code.replace(co_argcount=code.co_argcount + n, co_kwonlyargcount=0),
        function.__globals__,
        function.__name__,
        (function.__defaults__ or ()) + defaults,
        function.__closure__,
    )
    plain.__module__ = function.__module__
    plain.__qualname__ = function.__qualname__
    return plain


class _PolicyCompiler(CompilerBase):
    """Numba's pipeline with two passes more."""

    tag: ClassVar[str]
    allocates: ClassVar[bool]

    def define_pipelines(self) -> list[Any]:
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.add_pass_after(_Prepare, IRProcessing)
        manager.add_pass_after(_FieldsKeepTheirTypes, NopythonTypeInference)
        manager.finalize()
        self.state.lbsim = (self.tag, self.allocates)
        return [manager]


@register_pass(mutates_CFG=False, analysis_only=False)
class _Prepare(FunctionPass):
    """Put compiled functions in the place of plain ones, and checked arithmetic."""

    _name = "lbsim_prepare"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        tag, allocates = state.lbsim
        names = _Names(state, tag, allocates)
        draws = _draws(state.func_ir)
        for block in state.func_ir.blocks.values():
            body = []
            for statement in block.body:
                if isinstance(statement, ir.Assign):
                    names.resolve(statement)
                    body.extend(_arithmetic(statement))
                    body.extend(_draw(statement, draws))
                body.append(statement)
            block.body = body
        return True


class _Names:
    """What the names of one function stand for, as far as they are functions to be compiled.

    Parameters
    ----------
    state : numba.core.compiler.StateDict
    tag : str
    allocates : bool
    """

    def __init__(self, state: Any, tag: str, allocates: bool) -> None:
        self.function = state.func_id.func
        self.me = state.func_ir.arg_names[0] if state.func_ir.arg_names else ""
        self.tag = tag
        self.allocates = allocates
        # By variable: a module or a class of policies; what super() returns, or is called super.
        self.holders: dict[str, Any] = {}
        self.bound: set[str] = set()

    def resolve(self, statement: ir.Assign) -> None:
        """Put compiled functions in the place of plain ones."""
        value, target = statement.value, statement.target.name
        if isinstance(value, ir.Global | ir.FreeVar):
            if _is_plain(value.value):
                value.value = self._compiled(value.value)
            else:
                self._holder(statement, value.value)
        elif not isinstance(value, ir.Expr):
            return
        elif value.op == "getattr" and value.value.name in self.holders:
            holder = self.holders[value.value.name]
            found = getattr(holder, value.attr, None)
            if _is_plain(found):
                statement.value = ir.Global(value.attr, self._compiled(found), value.loc)
                if isinstance(holder, super):
                    self.bound.add(target)
            elif not isinstance(holder, ModuleType) and found is not None:
                statement.value = ir.Global(value.attr, found, value.loc)
            self._holder(statement, found)
        elif value.op == "call" and self.holders.get(value.func.name) is super:
            parent = self._parent() if not value.args else None
            if parent is not None:
                self.holders[target] = parent
                statement.value = ir.Const(None, value.loc)
        elif value.op == "call" and value.func.name in self.bound:
            value.args = [ir.Var(statement.target.scope, self.me, value.loc), *value.args]

    def _compiled(self, function: Any) -> Any:
        return compiled_function(function, self.tag, self.allocates)

    def _holder(self, statement: ir.Assign, found: Any) -> None:
        """Note that a variable is something whose attributes may be functions."""
        is_class = isinstance(found, type) and (found is super or issubclass(found, Policy))
        if is_class or isinstance(found, ModuleType):
            self.holders[statement.target.name] = found
        if is_class and (found is not super or self._parent() is not None):
            statement.value = ir.Const(None, statement.loc)  # Numba knows no such values

    def _parent(self) -> Any:
        """Return what ``super()`` is, as a holder of plain functions; None outside a class."""
        from lbsim.engines.compiled.value import class_of_tag

        for name, cell in zip(
            self.function.__code__.co_freevars, self.function.__closure__ or (), strict=True
        ):
            if name == "__class__":
                return super(cell.cell_contents, class_of_tag(self.tag))
        return None


def _is_plain(value: Any) -> bool:
    return (
        isinstance(value, FunctionType)
        and value not in OFFERED
        and (value.__module__ or "").split(".")[0] not in ("numpy", "math", "numba", "operator")
    )


def _draws(func_ir: Any) -> dict[str, tuple[str, ir.Var]]:
    """Find what is called as ``x.integers`` or ``x.choice``: name of the method, and x."""
    return {
        statement.target.name: (statement.value.attr, statement.value.value)
        for block in func_ir.blocks.values()
        for statement in block.body
        if isinstance(statement, ir.Assign)
        and isinstance(statement.value, ir.Expr)
        and statement.value.op == "getattr"
        and statement.value.attr in ("integers", "choice")
    }


def _draw(statement: ir.Assign, draws: dict[str, tuple[str, ir.Var]]) -> list[ir.Assign]:
    """Turn two ways of drawing that Numba does not know into such as it does.

    ``rng.integers(n)`` becomes ``rng.integers(0, n)``, and ``rng.choice(array)`` an element of
    the array at such an index; NumPy itself does the same, draw for draw.
    """
    value = statement.value
    if statement.target.name in draws:
        if draws[statement.target.name][0] == "choice":
            statement.value = ir.Const(None, value.loc)  # what is called is put in below
        return []
    if not isinstance(value, ir.Expr) or value.op != "call" or value.func.name not in draws:
        return []
    method, rng = draws[value.func.name]
    loc = value.loc
    name = ir.Var(statement.target.scope, f"$lbsim_{statement.target.name}_{id(value)}", loc)
    plain = len(value.args) == 1 and not value.kws and value.vararg is None
    if method == "choice":
        statement.value = ir.Expr.call(name, (rng, *value.args), value.kws, loc)
        return [ir.Assign(ir.Global("any_of", any_of, loc), name, loc)]
    if not plain:
        return []
    value.args = [name, *value.args]
    return [ir.Assign(ir.Const(0, loc), name, loc)]


def any_of(rng: Any, array: Any) -> Any:
    """Return any element of an array, each with the same chance: ``rng.choice(array)``."""
    return rng.choice(array)


@overload(any_of)
def _any_of(rng: Any, array: Any) -> Any:
    if not isinstance(array, types.Array) or array.ndim != 1:
        return None

    def element(rng: Any, array: Any) -> Any:
        return array[rng.integers(0, len(array))]

    return element


def _arithmetic(statement: ir.Assign) -> list[ir.Assign]:
    """Turn ``a + b`` into a call of a function; return what must come before it."""
    value = statement.value
    if not isinstance(value, ir.Expr):
        return []
    if value.op == "binop":
        function = _REPLACEMENTS.get(value.fn)
    elif value.op == "inplace_binop":
        function = _REPLACEMENTS.get(value.immutable_fn)
    else:
        return []
    if function is None:
        return []
    loc = value.loc
    name = ir.Var(statement.target.scope, f"$lbsim_{statement.target.name}_{id(value)}", loc)
    statement.value = ir.Expr.call(name, (value.lhs, value.rhs), (), loc)
    return [ir.Assign(ir.Global(function.__name__, function, loc), name, loc)]


@register_pass(mutates_CFG=False, analysis_only=True)
class _FieldsKeepTheirTypes(FunctionPass):
    """Refuse an assignment to a policy's field that would change the value."""

    _name = "lbsim_fields"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        from lbsim.engines.compiled.value import PolicyType

        for block in state.func_ir.blocks.values():
            for statement in block.body:
                if isinstance(statement, ir.SetAttr):
                    kind = state.typemap[statement.target.name]
                    if isinstance(kind, PolicyType):
                        field = state.calltypes[statement].args[1]
                        value = types.unliteral(state.typemap[statement.value.name])
                        if not _fits(value, field):
                            raise TypingError(
                                f"self.{statement.attr} is {_called(field)}, but a value of type "
                                f"{value} is assigned to it; a field keeps the type that "
                                "prepare() gave it",
                                statement.loc,
                            )
        return False


def _fits(value: types.Type, field: types.Type) -> bool:
    if field == types.int64:
        return isinstance(value, types.Integer)
    if field == types.float64:
        return isinstance(value, types.Integer | types.Float)
    return field == types.boolean and value == types.boolean


def _called(field: types.Type) -> str:
    names = {types.int64: "an int", types.float64: "a float", types.boolean: "a bool"}
    return names.get(field, "an array or a policy (write into it instead of replacing it)")


# --- checked arithmetic ----------------------------------------------------------------------


def _overflow_checked(llvm_name: str) -> Any:
    """Return an intrinsic: int64, int64 -> (result, overflowed)."""

    @intrinsic
    def with_overflow(typingctx: Any, a: Any, b: Any) -> Any:
        sig = types.Tuple((types.int64, types.boolean))(types.int64, types.int64)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = llvm.IntType(64)
            pair = llvm.LiteralStructType([word, llvm.IntType(1)])
            kind = llvm.FunctionType(pair, [word, word])
            function = builder.module.declare_intrinsic(llvm_name, [word], kind)
            both = builder.call(function, args)
            return context.make_tuple(
                builder,
                signature.return_type,
                [builder.extract_value(both, 0), builder.extract_value(both, 1)],
            )

        return sig, codegen

    return with_overflow


_ADD = _overflow_checked("llvm.sadd.with.overflow")
_SUBTRACT = _overflow_checked("llvm.ssub.with.overflow")
_MULTIPLY = _overflow_checked("llvm.smul.with.overflow")


def checked_add(a: Any, b: Any) -> Any:
    """Return a + b."""
    return a + b


def checked_subtract(a: Any, b: Any) -> Any:
    """Return a - b."""
    return a - b


def checked_multiply(a: Any, b: Any) -> Any:
    """Return a * b."""
    return a * b


def fast_modulo(a: Any, b: Any) -> Any:
    """Return a % b."""
    return a % b


@intrinsic
def _remainder(typingctx: Any, a: Any, b: Any) -> Any:
    """Return a % b for 0 <= a and 0 < b, by the reciprocal of b.

    With m = ⌊(2⁶⁴ - 1) / b⌋, the high word of a m is ⌊a / b⌋ or one less (a < 2⁶³; Granlund and
    Montgomery 1994, "Division by invariant integers using multiplication"). In a loop in which b
    stays the same, which LLVM sees for itself, m is computed once and no division is left.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = args
        word, wide = llvm.IntType(64), llvm.IntType(128)
        # Never zero, or the division could not be moved out of a branch of the loop.
        kind = llvm.FunctionType(word, [word, word])
        at_least = builder.module.declare_intrinsic("llvm.umax", [word], kind)
        divisor = builder.call(at_least, [b, word(1)])
        reciprocal = builder.udiv(word(2**64 - 1), divisor)
        product = builder.mul(builder.zext(a, wide), builder.zext(reciprocal, wide))
        quotient = builder.trunc(builder.lshr(product, wide(64)), word)
        rest = builder.sub(a, builder.mul(quotient, b))
        less = builder.sub(rest, b)
        return builder.select(builder.icmp_signed("<", less, word(0)), rest, less)

    return types.int64(types.int64, types.int64), codegen


@overload(fast_modulo)
def _fast_modulo(a: Any, b: Any) -> Any:
    """Avoid the slowest instruction of a processor where the answer is at hand.

    A position in a ring is nearly always within one turn of it: then no division is needed.
    """
    if isinstance(a, types.Integer) and isinstance(b, types.Integer) and _signed(a, b):

        def modulo(a: Any, b: Any) -> Any:
            a = types.int64(a)
            b = types.int64(b)
            if a >= 0 and b > 0:
                if a < b:
                    return a
                if a - b < b:
                    return a - b
                return _remainder(a, b)
            return a % b

        return modulo

    def plain(a: Any, b: Any) -> Any:
        return a % b

    return plain


def _overload_checked(function: Any, plain: Any, with_overflow: Any) -> None:
    @overload(function)
    def choose_version(a: Any, b: Any) -> Any:
        if isinstance(a, types.Integer) and isinstance(b, types.Integer) and _signed(a, b):

            def checked(a: Any, b: Any) -> Any:
                result, overflowed = with_overflow(a, b)
                if overflowed:
                    raise OverflowError("the result does not fit into 64 bits")
                return result

            return checked

        def unchecked(a: Any, b: Any) -> Any:
            return plain(a, b)

        return unchecked


def _signed(a: types.Integer, b: types.Integer) -> bool:
    return bool(a.signed and b.signed)


_overload_checked(checked_add, operator.add, _ADD)
_overload_checked(checked_subtract, operator.sub, _SUBTRACT)
_overload_checked(checked_multiply, operator.mul, _MULTIPLY)

_REPLACEMENTS = {
    operator.add: checked_add,
    operator.sub: checked_subtract,
    operator.mul: checked_multiply,
    operator.mod: fast_modulo,
}

"""Large tuples of arrays, passed by one address and without counting references.

Numba loads all of a tuple to read one of its arrays, and counts the array, and each row taken of it, in and out by atomic
operations of 5 ns. A borrowed tuple stays in one place, and its arrays are not counted. The caller of the kernel keeps them alive.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_getattr_generic, models, overload, register_model

from fastars._compiled.jit import INLINE


class BorrowedType(types.Type):
    """The address of a NamedTuple."""

    def __init__(self, kind: types.BaseNamedTuple) -> None:
        self.kind = kind
        super().__init__(name=f"Borrowed({kind})")


@register_model(BorrowedType)
class _BorrowedModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, ir.PointerType(manager.lookup(numba_type.kind).get_value_type()))


def borrowed(value):
    """Return a NamedTuple by its address, for the time of the function that calls: its fields can be read, and are not counted."""
    return value


@infer_global(borrowed)
class _BorrowedTemplate(AbstractTemplate):
    def generic(self, args, kws):
        if len(args) == 1 and isinstance(args[0], types.BaseNamedTuple):
            return signature(BorrowedType(args[0]), *args)


@lower_builtin(borrowed, types.BaseNamedTuple)
def _borrow(context, builder, sig, args):
    return cgutils.alloca_once_value(builder, _uncounted(context, builder, sig.args[0], args[0]))


def _uncounted(context, builder, kind, value):
    """Emit the value with arrays that have no owner."""
    if isinstance(kind, types.BaseTuple):
        values = cgutils.unpack_tuple(builder, value)
        parts = [_uncounted(context, builder, *pair) for pair in zip(kind.types, values, strict=True)]
        return context.make_tuple(builder, kind, parts)
    if isinstance(kind, types.Array):
        manager = context.data_model_manager[kind]
        for name in ("meminfo", "parent"):  # the object that owns the memory
            place = manager.get_field_position(name)
            value = builder.insert_value(value, cgutils.get_null_value(value.type.elements[place]), place)
        return value
    return value


@infer_getattr
class _FieldTemplate(AttributeTemplate):
    key = BorrowedType

    def generic_resolve(self, borrowed, name):
        if name in borrowed.kind.fields:
            return borrowed.kind.types[borrowed.kind.fields.index(name)]


@lower_getattr_generic(BorrowedType)
def _field(context, builder, borrowed, value, name):
    place = ir.Constant(ir.IntType(32), borrowed.kind.fields.index(name))
    return builder.load(builder.gep(value, [ir.Constant(ir.IntType(32), 0), place]))


def take(counter):
    """Return the number in `counter` (1,), and count it up. Of several threads, each gets another number."""
    number = counter[0]
    counter[0] += 1
    return number


@overload(take, jit_options=INLINE)
def _take(counter):
    return lambda counter: _fetch_and_add(counter)


@intrinsic
def _fetch_and_add(typing_context, counter):
    def codegen(context, builder, signature, arguments):
        view = context.make_array(counter)(context, builder, arguments[0])
        one = context.get_constant(counter.dtype, 1)
        return builder.atomic_rmw("add", view.data, one, "monotonic")

    return counter.dtype(counter), codegen

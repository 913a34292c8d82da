"""Arrays that compiled code reads and writes without counting references to them.

Numba counts an array, and each row taken of it, in and out by atomic operations: 5 ns each, and a time step of an episode takes
some twenty rows. A borrowed array is not counted, nor are its rows. The caller of the kernel keeps it alive.
"""

from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from fastars._compiled.jit import INLINE


def borrowed(value):
    """Return an array, or a tuple with arrays in it, not counted."""
    return value


@overload(borrowed, jit_options=INLINE)
def _borrowed(value):
    return lambda value: _without_owner(value)


@intrinsic
def _without_owner(typing_context, value):
    def codegen(context, builder, signature, arguments):
        return _uncounted(context, builder, value, arguments[0])

    return value(value), codegen


def _uncounted(context, builder, kind, value):
    if isinstance(kind, types.BaseTuple):
        values = cgutils.unpack_tuple(builder, value)
        parts = [_uncounted(context, builder, *pair) for pair in zip(kind.types, values, strict=True)]
        return context.make_tuple(builder, kind, parts)
    if isinstance(kind, types.Array):
        view = context.make_array(kind)(context, builder, value)
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()
    context.nrt.incref(builder, kind, value)
    return value


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

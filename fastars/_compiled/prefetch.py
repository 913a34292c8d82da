"""Ask for memory some time before it is read. A processor foresees rows one after the other, and no others."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from fastars._compiled.jit import INLINE

_FOR_READING, _KEEP, _DATA = 0, 3, 1  # arguments of LLVM's `prefetch`


def prefetch(rows, i):
    """Bring the beginning of `rows[i]` into the nearest cache, and go on at once. Any `i` is allowed."""


@overload(prefetch, jit_options=INLINE)
def _prefetch(rows, i):
    return lambda rows, i: _ask_for(rows, i)


@intrinsic
def _ask_for(typing_context, rows, i):
    def codegen(context, builder, signature, arguments):
        view = context.make_array(rows)(context, builder, arguments[0])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        stride = builder.extract_value(view.strides, 0)  # bytes
        place = builder.gep(builder.bitcast(view.data, byte), [builder.mul(arguments[1], stride)])
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [place, *(ir.Constant(number, value) for value in (_FOR_READING, _KEEP, _DATA))])
        return context.get_dummy_value()

    return types.void(rows, types.intp), codegen

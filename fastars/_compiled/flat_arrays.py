"""Flat arrays of float64 whose numbers are read and written as vectors of `simd`. No index is checked."""

from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from fastars._compiled.simd import LANES, WIDE, number
from fastars._compiled.tables import Table

_VECTOR = ir.VectorType(ir.DoubleType(), WIDE)


def lane_numbers(array):
    """Return a flat array of float64 as a table of numbers in `LANES` lanes, for the time of the function whose argument it is."""
    return array.reshape(-1, LANES)


def load_wide(array, start):
    """Return `WIDE` numbers of a flat array of float64, as one vector."""
    return array[start : start + WIDE].copy()


def store_wide(array, start, values):
    """Write a vector of `WIDE` numbers to a flat array of float64."""
    array[start : start + WIDE] = values


def _is_flat(array):
    return isinstance(array, types.Array) and array.dtype == types.float64 and array.ndim == 1


@infer_global(lane_numbers)
class _LaneNumbers(AbstractTemplate):
    def generic(self, args, kws):
        return signature(Table(number(LANES), 0, is_constant=False), *args) if len(args) == 1 and _is_flat(args[0]) else None


@infer_global(load_wide)
class _LoadWide(AbstractTemplate):
    def generic(self, args, kws):
        return signature(number(WIDE), args[0], types.intp) if len(args) == 2 and _is_flat(args[0]) else None


@infer_global(store_wide)
class _StoreWide(AbstractTemplate):
    def generic(self, args, kws):
        is_known = len(args) == 3 and _is_flat(args[0]) and args[2] == number(WIDE)
        return signature(types.none, args[0], types.intp, args[2]) if is_known else None


def _wide_pointer(context, builder, array, value, start):
    place = builder.gep(context.make_array(array)(context, builder, value).data, [start])
    return builder.bitcast(place, ir.PointerType(_VECTOR))


@lower_builtin(lane_numbers, types.Array)
def _lane_numbers(context, builder, sig, args):
    return context.make_array(sig.args[0])(context, builder, args[0]).data


@lower_builtin(load_wide, types.Array, types.intp)
def _load_wide(context, builder, sig, args):
    return builder.load(_wide_pointer(context, builder, sig.args[0], *args), align=8)


@lower_builtin(store_wide, types.Array, types.intp, types.Any)
def _store_wide(context, builder, sig, args):
    builder.store(args[2], _wide_pointer(context, builder, sig.args[0], *args[:2]), align=8)
    return context.get_dummy_value()

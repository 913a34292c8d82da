"""Weighted sums of directions, computed from the noise table: the sum in line 7 of Algorithm 2 (Mania, Guy & Recht 2018)."""

import numpy as np
from llvmlite import ir
from numba import prange
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from fastars._compiled.jit import INLINE, kernel, parallel

SUM_BLOCK = 4096  # entries of sums at a time: 32 kB of float64, which stay in the first cache
_LEAST_COLUMNS = 512  # of a block: 2 kB of each direction in a row
_LANES = 8
_INT, _DOUBLE = ir.IntType(64), ir.DoubleType()


def _adder(n_directions, n_sums):
    """Return a function that adds the next weighted directions, in their order, to some of the sums.

    It is written in LLVM's language: a sum stays in a register while all directions are added to it, 8 numbers side by side,
    and each direction is read and converted once for all sums. The bits are those of a loop over one number after the other.
    """

    def add(weights, k, c, noise, indices, begin, sums, size):
        for i in range(k, k + n_directions):
            delta = noise[indices[i] + begin : indices[i] + begin + size].astype(np.float64)
            for j in range(c, c + n_sums):
                sums[j, begin : begin + size] += weights[i, j] * delta

    @intrinsic
    def emit(typingctx, weights, k, c, noise, indices, begin, sums, size):
        def codegen(context, builder, signature, args):
            _emit_sums(context, builder, signature.args, args, n_directions, n_sums)
            return context.get_dummy_value()

        return types.void(weights, k, c, noise, indices, begin, sums, size), codegen

    @overload(add, jit_options=INLINE)
    def _add(weights, k, c, noise, indices, begin, sums, size):
        return lambda weights, k, c, noise, indices, begin, sums, size: emit(
            weights, np.intp(k), np.intp(c), noise, indices, np.intp(begin), sums, np.intp(size)
        )

    return add


def _emit_sums(context, builder, kinds, args, n_directions, n_sums):
    """Emit the sums of `_adder`: whole vectors first, then the numbers that are left."""
    weights, noise, indices, sums = (cgutils.create_struct_proxy(kinds[i])(context, builder, value=args[i]) for i in (0, 3, 4, 6))
    k, c, begin, size = args[1], args[2], args[5], args[7]

    def at(array, *places):
        steps = [builder.mul(*pair) for pair in zip(places, cgutils.unpack_tuple(builder, array.strides), strict=True)]
        place = builder.bitcast(array.data, cgutils.voidptr_t)
        for step in steps:
            place = builder.gep(place, [step])
        return builder.bitcast(place, array.data.type)

    def after(number, i):
        return builder.add(number, _INT(i))

    starts = [builder.load(at(indices, after(k, i))) for i in range(n_directions)]
    deltas = [at(noise, builder.add(start, begin)) for start in starts]
    totals = [at(sums, after(c, j), begin) for j in range(n_sums)]
    factors = [[builder.load(at(weights, after(k, i), after(c, j))) for j in range(n_sums)] for i in range(n_directions)]
    whole = builder.and_(size, _INT(-_LANES))
    for first, last, n_lanes in ((_INT(0), whole, _LANES), (whole, size, 1)):
        double, of_noise = (kind if n_lanes == 1 else ir.VectorType(kind, n_lanes) for kind in (_DOUBLE, noise.data.type.pointee))
        spread = [[_spread(builder, factor, double, n_lanes) for factor in row] for row in factors]
        with cgutils.for_range_slice(builder, first, last, _INT(n_lanes)) as (place, _):
            pointers = [builder.bitcast(builder.gep(total, [place]), double.as_pointer()) for total in totals]
            values = [builder.load(pointer, align=8) for pointer in pointers]
            for delta, row in zip(deltas, spread, strict=True):
                number = builder.load(builder.bitcast(builder.gep(delta, [place]), of_noise.as_pointer()), align=4)
                number = builder.fpext(number, double)  # nothing to do for a table in float64
                values = [builder.fadd(value, builder.fmul(factor, number)) for value, factor in zip(values, row, strict=True)]
            for value, pointer in zip(values, pointers, strict=True):
                builder.store(value, pointer, align=8)


def _spread(builder, number, vector, n_lanes):
    """Emit a vector with the same number in all lanes."""
    if n_lanes == 1:
        return number
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), n_lanes), [0] * n_lanes))


_add_eight_to_four, _add_eight_to_two, _add_eight_to_one, _add_one_to_one = (
    _adder(n_directions, n_sums) for n_directions, n_sums in ((8, 4), (8, 2), (8, 1), (1, 1))
)


@kernel
def direction_sums(weights, noise, indices, first, last, sums):
    """Compute several weighted sums of the same directions in one pass over the noise.

    The directions are added in their order in float64. So threads can compute different columns, and the bits stay the same. A
    direction with the weight 0 changes no bit.

    Parameters
    ----------
    weights : ndarray of float64, shape (n, n_sums)
        Weights of the directions, a column per sum.
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    indices : ndarray of int64, shape (n,)
        Direction i starts at noise[indices[i]].
    first, last : int
        The columns from `first` to `last - 1` are computed.
    sums : ndarray of float64, shape (n_sums, n_weights)
        Written in these columns. Row j is the sum over i of weights[i, j] * delta_i.
    """
    n, n_sums = weights.shape
    n_eights, n_fours, n_twos = n - n % 8, n_sums - n_sums % 4, n_sums - n_sums % 2
    n_columns = max(SUM_BLOCK // max(n_sums, 1), _LEAST_COLUMNS)
    for begin in range(first, last, n_columns):
        size = min(n_columns, last - begin)
        for j in range(n_sums):
            row = sums[j, begin : begin + size]
            for k in range(size):
                row[k] = 0.0
        for i in range(0, n_eights, 8):
            for j in range(0, n_fours, 4):
                _add_eight_to_four(weights, i, j, noise, indices, begin, sums, size)
            for j in range(n_fours, n_twos, 2):
                _add_eight_to_two(weights, i, j, noise, indices, begin, sums, size)
            for j in range(n_twos, n_sums):
                _add_eight_to_one(weights, i, j, noise, indices, begin, sums, size)
        for i in range(n_eights, n):
            for j in range(n_sums):
                _add_one_to_one(weights, i, j, noise, indices, begin, sums, size)


@kernel
def weighted_sum(weights, noise, indices, out):
    """Compute the sum over i of weights[i] * delta_i from the noise table, without a copy of the directions.

    The directions are added in their order in float64. So threads can compute different columns, and the bits stay the same:
    `weighted_sum(weights, noise, indices + a, out[a:b])`.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        Weights of the directions.
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    indices : ndarray of int64, shape (n,)
        Direction i starts at noise[indices[i]].
    out : ndarray of float64, shape (n_weights,)
        Written.
    """
    direction_sums(np.expand_dims(weights, 1), noise, indices, 0, out.shape[0], np.expand_dims(out, 0))


@parallel
def weighted_sums(weights, noise, indices, n_weights):
    """Compute the sum over i of weights[i] * delta_i, in parallel over blocks of columns.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        Weights of the directions.
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    indices : ndarray of int64, shape (n,)
        Direction i starts at noise[indices[i]].
    n_weights : int
        Numbers in a direction.

    Returns
    -------
    ndarray of float64, shape (n_weights,)
        The same bits for any number of threads.
    """
    out = np.empty(n_weights)
    for block in prange(-(-n_weights // SUM_BLOCK)):
        begin = block * SUM_BLOCK
        weighted_sum(weights, noise[begin:], indices, out[begin : begin + SUM_BLOCK])
    return out

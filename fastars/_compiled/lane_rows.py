"""A block of SIMD lanes: a flat array in which row r of lane l is `rows[at(r, l)]`. LLVM vectorises loops over them.

The stride is a constant, so LLVM sees that rows don't overlap. With a run-time stride it wants a check for each pair of rows, and
gives up on large environments (Acrobot: 4 instead of 15 M steps/s).

Each function on tuples stands twice, as in `tuples`: as plain Python, and as the `overload` that Numba compiles into the caller.
"""

import numpy as np
from numba.core import types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import lower_builtin, overload

from fastars._compiled.jit import INLINE, inline

LANES = 128  # CartPole, steps/s per core by number of lanes: 16 -> 59 M, 32 -> 128 M, 64 -> 168 M, 128 -> 207 M
_CACHE_LINE = 64  # bytes, and of an AVX-512 vector: one that lies across two lines takes two loads


@inline
def zeros_in_lines(n):
    """Return `n` zeros, float64, the first of which starts a cache line."""
    room = np.zeros(n + _CACHE_LINE // 8)
    first = (-room.ctypes.data % _CACHE_LINE) // 8
    return room[first : first + n]


@inline
def zero_rows(n_rows):
    """Return `n_rows` rows of zeros, float64, that start with a cache line."""
    return zeros_in_lines(n_rows * LANES)


@inline
def at(row, lane):
    """Return the index of an entry of a lane. Unsigned: Numba wraps a negative index round, and that does not vectorise."""
    return np.uintp(row * LANES + lane)


def wide_vectors():
    """Let the loops of the function that calls this one have vectors of 512 bits, where the CPU has them.

    LLVM prefers 256 bits on most of Intel's CPUs. There, lanes of Acrobot ran at 21 M steps/s with 512 and at 14 M with 256, and
    CartPole's alike. On a Zen 5, which LLVM gives 512, all environments take 1.6 to 1.9 times as long with 256. Numba optimises a
    kernel before its callers get it: loops that are vectorised stay so.
    """


@infer_global(wide_vectors)
class _WideVectors(ConcreteTemplate):
    cases = (signature(types.none),)


@lower_builtin(wide_vectors)
def _ask_for_wide_vectors(context, builder, sig, args):
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')  # llvmlite lists no attribute with a value
    return context.get_dummy_value()


def load(rows, lane, row, like):
    """Return the entries of a lane from `row` on, as a tuple as long as `like`."""
    return tuple(rows[at(row + k, lane)] for k in range(len(like)))


@overload(load, jit_options=INLINE)
def _load(rows, lane, row, like):
    if len(like) == 0:
        return lambda rows, lane, row, like: ()
    return lambda rows, lane, row, like: (rows[at(row, lane)], *load(rows, lane, row + 1, like[1:]))


def store(rows, lane, row, values):
    """Write a tuple to a lane, from `row` on."""
    for k, value in enumerate(values):
        rows[at(row + k, lane)] = value


@overload(store, jit_options=INLINE)
def _store(rows, lane, row, values):
    if len(values) == 0:
        return lambda rows, lane, row, values: None

    def unrolled(rows, lane, row, values):
        rows[at(row, lane)] = values[0]
        store(rows, lane, row + 1, values[1:])

    return unrolled


def dot(total, rows, lane, row, x):
    """Return `total` plus the sum over k of rows[at(row + k, lane)] * x[k]."""
    for k, value in enumerate(x):
        total = total + rows[at(row + k, lane)] * value
    return total


@overload(dot, jit_options=INLINE)
def _dot(total, rows, lane, row, x):
    if len(x) == 0:
        return lambda total, rows, lane, row, x: total
    return lambda total, rows, lane, row, x: dot(total + rows[at(row, lane)] * x[0], rows, lane, row + 1, x[1:])


def accumulate(rows, lane, first, sums, squares, observation, counts):
    """If `counts`, add (observation - rows[first:]) to rows[sums:] and its square to rows[squares:]."""
    for k, value in enumerate(observation):
        difference = value - rows[at(first + k, lane)]
        difference = difference if counts else 0.0
        rows[at(sums + k, lane)] += difference
        rows[at(squares + k, lane)] += difference * difference


@overload(accumulate, jit_options=INLINE)
def _accumulate(rows, lane, first, sums, squares, observation, counts):
    if len(observation) == 0:
        return lambda rows, lane, first, sums, squares, observation, counts: None

    def unrolled(rows, lane, first, sums, squares, observation, counts):
        difference = observation[0] - rows[at(first, lane)]
        difference = difference if counts else 0.0  # a condition around the load would make the loads and stores masked ones
        rows[at(sums, lane)] += difference
        rows[at(squares, lane)] += difference * difference
        accumulate(rows, lane, first + 1, sums + 1, squares + 1, observation[1:], counts)

    return unrolled

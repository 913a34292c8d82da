"""Vectors of float64 with one number per lane, as types of Numba: `Vec(8)` is `<8 x double>` in LLVM, `Mask(8)` is `<8 x i1>`.

The same source compiles for `float64`, which is one lane. A scalar operand counts for all lanes. Nothing is contracted and nothing
is reassociated, so a lane has the bits of the scalar compilation whatever its neighbours and their number are.

A vector has no truth value: what `if` does for a number, `where` does for a vector. A branch on `any_lane(mask)` skips work that no
lane needs.

Operators and functions are lowered here, without a Numba function each: those take 10 to 20 ms of compilation apiece.
"""

import operator

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

# Not the lanes of `lanes`, which LLVM vectorises. 8 are one register of AVX-512, two of AVX2. 16 compile for minutes and are no
# faster (HalfCheetah).
LANES = 8

# Numbers of a wide vector: 4 registers of AVX-512, whose chains of operations wait less than one after the other (tanh: 0.6 ns a
# number instead of 0.8). With 64, it takes 0.45 ns there, but on AVX2, which has 16 registers, 1.9 instead of 1.0.
WIDE = 32

_DOUBLE, _BIT, _INDEX, _WORD = ir.DoubleType(), ir.IntType(1), ir.IntType(32), ir.IntType(64)


class Vec(types.Type):
    """A float64 for each of `n` lanes."""

    def __init__(self, n: int) -> None:
        self.n = n
        super().__init__(name=f"Vec({n})")


class Mask(types.Type):
    """A truth value for each of `n` lanes."""

    def __init__(self, n: int) -> None:
        self.n = n
        super().__init__(name=f"Mask({n})")


@register_model(Vec)
class _VecModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, ir.VectorType(_DOUBLE, numba_type.n))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, ir.VectorType(_BIT, numba_type.n))


def number(n_lanes):
    """Return the Numba type of a number in `n_lanes` lanes."""
    return types.float64 if n_lanes == 1 else Vec(n_lanes)


def spread(context, builder, value, from_type, to_type):
    """Emit a value as a `Vec` or float64: a scalar is put into all lanes."""
    if isinstance(from_type, Vec) or not isinstance(to_type, Vec):
        return value if from_type == to_type else context.cast(builder, value, from_type, to_type)
    scalar = context.cast(builder, value, from_type, types.float64)
    undefined = ir.Constant(ir.VectorType(_DOUBLE, to_type.n), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INDEX, to_type.n), [0] * to_type.n))


# Plain Python, for one lane. The rest of the file says how each of these compiles.
def where(mask, a, b):
    """Return `a` in the lanes of the mask, and `b` in the others."""
    return np.where(mask, a, b)[()]


def any_lane(mask):
    """Return True if the mask holds a lane."""
    return bool(np.any(mask))


def other_lanes(mask):
    """Return the mask of the lanes that this mask leaves out."""
    return np.logical_not(mask)


def absolute(x):
    """Return |x|."""
    return abs(x)


def square_root(x):
    """Return the square root of x, rounded correctly."""
    return np.sqrt(x)


def nearest(x):
    """Return the integer nearest to x; of two, the even one."""
    return np.rint(x)


def round_down(x):
    """Return the largest integer that is not above x."""
    return np.floor(x)


def with_sign(x, sign):
    """Return |x| with the sign of `sign`."""
    return np.copysign(x, sign)


def power_of_two(shifted):
    """Return 2**k of an integer -1023 < k < 1024 that stands in the last bits of a number: `shifted` is k + 1.5 * 2**52."""
    return (np.asarray(shifted).view(np.int64) + 1023 << 52).view(np.float64)[()]


def _vec(arguments):
    """Return the first `Vec` among types, or None."""
    return next((argument for argument in arguments if isinstance(argument, Vec)), None)


def _are_numbers(arguments):
    return all(isinstance(argument, (types.Float, types.Integer, Vec)) for argument in arguments)


def _typed(function, result):
    """Give a function its type: `result` maps the types of its arguments to the type of its value, or to None."""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args, kws):
            value = None if kws else result(args)
            return None if value is None else signature(value, *args)


def _binary(function, emit, is_comparison=False):
    def result(args):
        vec = _vec(args) if len(args) == 2 and _are_numbers(args) else None
        return vec and (Mask(vec.n) if is_comparison else vec)

    def lower(context, builder, sig, args):
        vec = _vec(sig.args)
        return emit(builder, *(spread(context, builder, x, t, vec) for x, t in zip(args, sig.args, strict=True)))

    _typed(function, result)
    for other in (Vec, types.Float, types.Integer):
        lower_builtin(function, Vec, other)(lower)
        lower_builtin(function, other, Vec)(lower)


for _operator, _emit in (
    (operator.add, lambda builder, a, b: builder.fadd(a, b)),
    (operator.sub, lambda builder, a, b: builder.fsub(a, b)),
    (operator.mul, lambda builder, a, b: builder.fmul(a, b)),
    (operator.truediv, lambda builder, a, b: builder.fdiv(a, b)),
):
    _binary(_operator, _emit)
for _operator, _sign in (
    *((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">")),
    *((operator.ge, ">="), (operator.eq, "==")),
):
    _binary(_operator, lambda builder, a, b, sign=_sign: builder.fcmp_ordered(sign, a, b), is_comparison=True)
_binary(operator.ne, lambda builder, a, b: builder.fcmp_unordered("!=", a, b), is_comparison=True)  # NaN != NaN


def _combined(function, emit):
    _typed(function, lambda args: args[0] if len(args) == 2 and isinstance(args[0], Mask) and args[0] == args[1] else None)
    lower_builtin(function, Mask, Mask)(lambda context, builder, sig, args: emit(builder, *args))


_combined(operator.and_, lambda builder, a, b: builder.and_(a, b))
_combined(operator.or_, lambda builder, a, b: builder.or_(a, b))
_combined(operator.xor, lambda builder, a, b: builder.xor(a, b))

_typed(operator.neg, lambda args: args[0] if isinstance(args[0], Vec) else None)
lower_builtin(operator.neg, Vec)(lambda context, builder, sig, args: builder.fneg(args[0]))


def _selected(args):
    if len(args) != 3 or not _are_numbers(args[1:]):
        return None
    if isinstance(args[0], Mask):
        return Vec(args[0].n)
    return types.float64 if isinstance(args[0], types.Boolean) and _vec(args) is None else None


def _select(context, builder, sig, args):
    a, b = (spread(context, builder, x, t, sig.return_type) for x, t in zip(args[1:], sig.args[1:], strict=True))
    mask = args[0] if isinstance(sig.args[0], Mask) else context.cast(builder, args[0], sig.args[0], types.boolean)
    return builder.select(mask, a, b)


_typed(where, _selected)
lower_builtin(where, types.Any, types.Any, types.Any)(_select)


def _any_lane(context, builder, sig, args):
    if isinstance(sig.args[0], types.Boolean):
        return args[0]
    bits = builder.bitcast(args[0], ir.IntType(sig.args[0].n))
    return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))


_typed(any_lane, lambda args: types.boolean if isinstance(args[0], (Mask, types.Boolean)) else None)
lower_builtin(any_lane, types.Any)(_any_lane)

_typed(other_lanes, lambda args: args[0] if isinstance(args[0], (Mask, types.Boolean)) else None)
lower_builtin(other_lanes, types.Any)(lambda context, builder, sig, args: builder.not_(args[0]))


def _by_llvm(function, name):
    """Compile a function of one number as LLVM's own."""

    def lower(context, builder, sig, args):
        suffix = f"v{sig.args[0].n}f64" if isinstance(sig.args[0], Vec) else "f64"
        llvm_type = ir.FunctionType(args[0].type, [args[0].type])
        return builder.call(cgutils.get_or_insert_function(builder.module, llvm_type, f"llvm.{name}.{suffix}"), args)

    _typed(function, lambda args: args[0] if isinstance(args[0], Vec) or args[0] == types.float64 else None)
    lower_builtin(function, types.Any)(lower)


_by_llvm(absolute, "fabs")
_by_llvm(square_root, "sqrt")
_by_llvm(nearest, "rint")
_by_llvm(round_down, "floor")


def _with_sign(context, builder, sig, args):
    vector = sig.return_type
    x, sign = (spread(context, builder, value, kind, vector) for value, kind in zip(args, sig.args, strict=True))
    llvm_type = ir.FunctionType(x.type, [x.type, x.type])
    suffix = f"v{vector.n}f64" if isinstance(vector, Vec) else "f64"
    return builder.call(cgutils.get_or_insert_function(builder.module, llvm_type, f"llvm.copysign.{suffix}"), (x, sign))


_typed(with_sign, lambda args: args[0] if args[0] == args[1] and (isinstance(args[0], Vec) or args[0] == types.float64) else None)
lower_builtin(with_sign, types.Any, types.Any)(_with_sign)


def _power_of_two(context, builder, sig, args):
    word = ir.VectorType(_WORD, sig.args[0].n) if isinstance(sig.args[0], Vec) else _WORD
    constants = [ir.Constant(word, [value] * sig.args[0].n if isinstance(sig.args[0], Vec) else value) for value in (1023, 52)]
    exponent = builder.shl(builder.add(builder.bitcast(args[0], word), constants[0]), constants[1])
    return builder.bitcast(exponent, args[0].type)


_typed(power_of_two, lambda args: args[0] if isinstance(args[0], Vec) or args[0] == types.float64 else None)
lower_builtin(power_of_two, types.Any)(_power_of_two)

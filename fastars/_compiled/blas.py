"""Products that round as NumPy's BLAS does.

Gymnasium's environments and wrappers compute some products by `np.dot`. Kernels have the same bits only if they round in the same
places.
"""

from fractions import Fraction
from math import isfinite

import numpy as np
from numba.core import types
from numba.extending import intrinsic, overload

from fastars._compiled.jit import INLINE


def blas_is_fused() -> bool:
    """Return True if `np.dot` of three numbers rounds a * b + c once, as OpenBLAS does on CPUs with an instruction for it."""
    x = 1.0 + 2.0**-30  # x * x is 1 + 2**-29 + 2**-60, and 1 + 2**-29 once rounded
    return bool(np.dot(np.array([1.0, x, 0.0]), np.array([-1.0 - 2.0**-29, x, 0.0])) != 0.0)


def fma(a, b, c):
    """Return a * b + c, rounded once."""
    return float(Fraction(a) * Fraction(b) + Fraction(c)) if isfinite(a * b + c) else a * b + c


@intrinsic
def _fma_instruction(typingctx, a, b, c):
    def codegen(context, builder, signature, args):
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@overload(fma, jit_options=INLINE)
def _fma(a, b, c):
    return lambda a, b, c: _fma_instruction(a, b, c)

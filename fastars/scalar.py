"""Functions that a compiled environment may call: the same bits in plain Python and in compiled code.

`math.sin` and the methods of a NumPy generator don't fit both: a call of the C library keeps a loop over lanes from being
vectorised, and Numba's generators are not NumPy's. Each function here is defined twice: as plain Python, which takes a
`numpy.random.Generator`, and as the `overload` that Numba compiles into the caller, which takes the `uint64[4]` of the kernels.
"""

from typing import Any

import numpy as np
from numba.extending import overload

from fastars._compiled import rng as _rng
from fastars._compiled import trig as _trig
from fastars._compiled.jit import INLINE, kernel

__all__ = ["clip", "integers", "sincos", "standard_normal", "tanh", "uniform"]


@kernel
def _sincos(x):  # `trig.sincos` calls other inline functions, which Python can't call
    return _trig.sincos(x)


@kernel
def _tanh(x):
    return _trig.tanh(x)


def sincos(x: float) -> tuple[float, float]:
    """Compute sine and cosine of an angle.

    Parameters
    ----------
    x : float
        rad, |x| <= 1e5.

    Returns
    -------
    (float, float)
        Within 1 ulp of the exact values. The results of the C library and of NumPy differ in the last bit at about 4 % of angles.
    """
    with np.errstate(all="ignore"):
        sine, cosine = _sincos(float(x))
    return float(sine), float(cosine)


def tanh(x: float) -> float:
    """Compute the hyperbolic tangent, within 2.5 ulp of the exact value."""
    with np.errstate(all="ignore"):
        return float(_tanh(np.float64(x)))


def clip(x: float, low: float, high: float) -> float:
    """Clip a number to [low, high]; NaN stays NaN."""
    return float(low if x < low else high if x > high else x)


def uniform(rng: Any, low: float, high: float) -> float:
    """Draw a number from [low, high): the same as `Generator.uniform`."""
    return float(low + (high - low) * rng.random()) if _is_generator(rng) else _rng.uniform(rng, low, high)


def standard_normal(rng: Any) -> float:
    """Draw a number from N(0, 1): the same as `Generator.standard_normal`."""
    return float(rng.standard_normal()) if _is_generator(rng) else _rng.standard_normal(rng)


def integers(rng: Any, low: int, high: int) -> int:
    """Draw an integer from low to high - 1: `low + int(generator.random() * (high - low))`.

    Differs from `Generator.integers`, which draws 32 bits and keeps the other half of the word for the next call.
    """
    draw = rng.random() if _is_generator(rng) else _rng.next_double(rng)
    return int(low) + int(draw * (high - low))


def _is_generator(rng: Any) -> bool:
    """Return True for NumPy's generator, False for the array that uncompiled kernels pass (`NUMBA_DISABLE_JIT=1`)."""
    return not isinstance(rng, np.ndarray)


@overload(sincos, jit_options=INLINE)
def _compiled_sincos(x):
    return lambda x: _trig.sincos(np.float64(x))


@overload(tanh, jit_options=INLINE)
def _compiled_tanh(x):
    return lambda x: _trig.tanh(np.float64(x))


@overload(clip, jit_options=INLINE)
def _compiled_clip(x, low, high):
    return lambda x, low, high: np.float64(low if x < low else high if x > high else x)


@overload(uniform, jit_options=INLINE)
def _compiled_uniform(rng, low, high):
    return lambda rng, low, high: _rng.uniform(rng, low, high)


@overload(standard_normal, jit_options=INLINE)
def _compiled_standard_normal(rng):
    return lambda rng: _rng.standard_normal(rng)


@overload(integers, jit_options=INLINE)
def _compiled_integers(rng, low, high):
    return lambda rng, low, high: np.int64(low) + np.int64(_rng.next_double(rng) * (high - low))

"""Functions that a compiled environment may call, with the same bits in plain Python and in compiled code.

`math.sin` and the methods of a NumPy generator do not give that: a call of the C library keeps a loop over lanes from being
vectorised, and Numba's generators are not NumPy's. Each function here has two forms: plain Python, which takes a
`numpy.random.Generator`, and an `overload` that Numba compiles into the caller, which takes the kernels' `uint64[4]`.
"""

from typing import Any

import numpy as np
from numba.extending import overload

from fastars._compiled import rng as _rng
from fastars._compiled import trig as _trig
from fastars._compiled.jit import INLINE

__all__ = ["clip", "integers", "sincos", "standard_normal", "tanh", "uniform"]

_sincos: Any = getattr(_trig.sincos, "py_func", _trig.sincos)
_tanh: Any = getattr(_trig.tanh, "py_func", _trig.tanh)


def sincos(x: float) -> tuple[float, float]:
    """Return the sine and cosine of an angle.

    Parameters
    ----------
    x : float
        rad, at most 1e5 in size.

    Returns
    -------
    (float, float)
        Within 1 ulp of the exact values. The C library and NumPy differ from it in the last bit at about 4 % of angles.
    """
    with np.errstate(all="ignore"):
        sine, cosine = _sincos(float(x))
    return float(sine), float(cosine)


def tanh(x: float) -> float:
    """Return the hyperbolic tangent, within 2.5 ulp of the exact value."""
    with np.errstate(all="ignore"):
        return float(_tanh(np.float64(x)))


def clip(x: float, low: float, high: float) -> float:
    """Return the number clipped to [low, high]; NaN stays NaN."""
    return float(low if x < low else high if x > high else x)


def uniform(rng: Any, low: float, high: float) -> float:
    """Draw the number from [low, high) that `Generator.uniform` draws."""
    return float(low + (high - low) * rng.random()) if _is_generator(rng) else _rng.uniform(rng, low, high)


def standard_normal(rng: Any) -> float:
    """Draw the number from N(0, 1) that `Generator.standard_normal` draws."""
    return float(rng.standard_normal()) if _is_generator(rng) else _rng.standard_normal(rng)


def integers(rng: Any, low: int, high: int) -> int:
    """Draw an integer from low to high - 1: `low + int(generator.random() * (high - low))`.

    `Generator.integers` differs: it draws 32 bits and keeps the other half of the word for its next call.
    """
    draw = rng.random() if _is_generator(rng) else _rng.next_double(rng)
    return int(low) + int(draw * (high - low))


def _is_generator(rng: Any) -> bool:
    """True for a generator of NumPy's; False for the array of kernels that run uncompiled (`NUMBA_DISABLE_JIT=1`)."""
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

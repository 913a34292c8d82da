"""Gram matrices of gradients of any size, divided by a power of four so that their products neither overflow nor underflow.

The power leaves all digits as they are. Gradients may have norms down to 3e-145 of the largest one: there, squares still have all
their digits. A gradient that is shorter, but not 0, is refused: its products would be lost without a word.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars._runtime.threads import run_in_thread
from fastars.weighting.step import Tasks, task_label

_LEAST_RATIO = 2.0**-480  # of a norm and the largest one
_SAFE = 1e-240, 1e300  # squares between these were summed without a loss
_LEAST_SQUARE = 2.0**-1018  # in a Gram matrix that is given: below, float64 has fewer digits
_LONG = 1e9  # products of two numbers: a tenth of a second


class ScaledGram(NamedTuple):
    """Products of gradients divided by 2**exponent, and norms of the gradients."""

    gram: FloatArray  # (T, T)
    exponent: int
    norms: FloatArray  # (T,)


def gram_of_rows(tasks: Tasks, rows: np.ndarray, index: Any) -> ScaledGram:
    """Return the scaled Gram matrix of gradients (T, d), of which the tasks `index` take part.

    Raises
    ------
    ValueError
        If one of these is not finite, or too short beside the longest.
    """
    products = _products(rows)
    squares = products.diagonal().tolist()
    part = squares if len(index) == len(squares) else [squares[i] for i in index]
    if min(part) > _SAFE[0] and sum(part) < _SAFE[1]:  # False for NaN
        scaled, exponent = _scaled(products, max(part))
        return _checked(tasks, ScaledGram(scaled, exponent, np.sqrt(products.diagonal())), part, index, "grads")
    norms = finite_norms(tasks, rows, index)
    first = math.frexp(max(norms[index].tolist()))[1]
    with np.errstate(over="ignore", under="ignore"):  # of tasks that take no part; of entries that add nothing
        products = _products(np.ldexp(rows.astype(np.float64), -first))
    part = products.diagonal()[index].tolist()
    scaled, exponent = _scaled(products, max(part))
    return _checked(tasks, ScaledGram(scaled, first + exponent, norms), part, index, "grads")


def gram_given(tasks: Tasks, gram: FloatArray, index: Any, is_used: bool) -> ScaledGram:
    """Return a Gram matrix that the user gives, scaled. Its diagonal may have negative entries, if it is a debiased one.

    Only one that the method uses is checked.

    Raises
    ------
    ValueError
        If the square of a gradient that takes part has lost digits, or is too small beside the largest.
    """
    squares = gram.diagonal().tolist()
    for i in index:
        if is_used and 0.0 < squares[i] < _LEAST_SQUARE:
            raise ValueError(
                f"gram must have squares that are 0, or at least {_LEAST_SQUARE:.3g}, got {squares[i]:g} for "
                f"{task_label(tasks.names, i)}: float64 has fewer digits there. Give grads=, or larger units"
            )
    part = [max(0.0, squares[i]) for i in index]
    scaled, exponent = _scaled(gram, max(part))
    given = ScaledGram(scaled, exponent, np.sqrt(np.maximum(gram.diagonal(), 0.0)))
    return _checked(tasks, given, part, index, "gram") if is_used else given


def finite_norms(tasks: Tasks, rows: np.ndarray, index: Any) -> FloatArray:
    """Return the norms of gradients; a ValueError if one of `index` is not finite."""
    norms: FloatArray = kernels.gradient_norms(rows)
    for i in index:
        if not math.isfinite(norms[i]):
            label = task_label(tasks.names, i)
            raise ValueError(f"grads must be finite, and so must their norms, got a norm of {norms[i]:g} for {label}")
    return norms


def _products(rows: np.ndarray) -> FloatArray:
    n_tasks, n_weights = rows.shape
    if n_tasks * n_tasks * n_weights < _LONG:
        return kernels.gram(rows)
    return run_in_thread(lambda: kernels.gram(rows))


def _scaled(gram: FloatArray, largest: float) -> tuple[FloatArray, int]:
    """Return (gram / 4**k, k): the largest square is then between 1/4 and 1."""
    half = (math.frexp(largest)[1] + 1) // 2
    if half == 0:
        return gram, 0
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(gram, -2 * half), half


def _checked(tasks: Tasks, scaled: ScaledGram, squares: list[float], index: Any, name: str) -> ScaledGram:
    """Return the scaled Gram matrix; a ValueError if one of the norms is too small beside the largest."""
    if min(squares) > 2.0 * _LEAST_RATIO**2 * max(squares):
        return scaled
    largest = max(scaled.norms[index].tolist())
    for i in index:
        norm = scaled.norms[i]
        if 0.0 < norm < _LEAST_RATIO * largest:
            raise ValueError(
                f"{name} must have norms of 0, or of at least {_LEAST_RATIO:.1g} of the largest, got {norm:g} for "
                f"{task_label(tasks.names, i)} beside {largest:g}: mask such tasks"
            )
    return scaled

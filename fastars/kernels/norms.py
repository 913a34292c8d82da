"""Norms of vectors, and the sizes of weights, gradient and step."""

import math
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.huge_pages import on_huge_pages
from fastars._compiled.jit import inline, kernel

BLOCK, LANES = 4096, 64  # the bits of a sum depend on these two alone


class Info(NamedTuple):
    """Sizes of the new weights, of the gradient and of the step: L2 norms, their squares, the weights' population deviation."""

    weights_norm: Any
    weights_norm_sq: Any
    weights_std: Any
    grad_norm: Any
    grad_norm_sq: Any
    step_norm: Any
    update_ratio: Any  # |step| / |theta before the step|, NaN at theta = 0


@kernel
def _squares(x, shift):
    """Compute the sum of (x - shift)^2."""
    sums = np.empty(LANES)
    total = 0.0
    for begin in range(0, x.shape[0], BLOCK):
        block = x[begin : begin + BLOCK]
        for lane in range(LANES):
            sums[lane] = 0.0
        for k in range(0, block.shape[0], LANES):
            row = block[k : k + LANES]
            for lane in range(row.shape[0]):
                value = np.float64(row[lane]) - shift
                sums[lane] += value * value
        for lane in range(1, LANES):
            sums[0] += sums[lane]
        total += sums[0]
    return total


@kernel
def norm_sq(x):
    """Compute the sum of squares.

    Entry k of a block of 4096 is added to sum k mod 64; then the 64 sums, then the blocks, are added in order. With a single sum,
    each addition waits for the one before (500,000 entries: 335 us instead of 140).

    Parameters
    ----------
    x : ndarray of float64 or float32, shape (n,)
        Any vector.

    Returns
    -------
    float
        In float64.
    """
    return _squares(x, 0.0)


@kernel
def norm(x):
    """Compute the Euclidean norm, also where the squares leave the range of float64.

    Parameters
    ----------
    x : ndarray of float64 or float32, shape (n,)
        Any vector.

    Returns
    -------
    float
        NaN or infinite if an entry is.
    """
    square = norm_sq(x)
    if 1e-280 < square < 1e300:
        return math.sqrt(square)
    largest = 0.0
    for value in x:
        if not math.isfinite(value):
            return math.sqrt(square)
        largest = max(largest, abs(value))
    if largest == 0.0:
        return 0.0
    exponent = math.frexp(largest)[1]
    scaled = np.empty(x.shape[0])
    for k in range(x.shape[0]):
        scaled[k] = math.ldexp(x[k], -exponent)
    return math.ldexp(math.sqrt(norm_sq(scaled)), exponent)


@inline
def ratio(numerator, denominator):
    """Return the quotient; NaN for a denominator of 0."""
    return numerator / denominator if denominator != 0.0 else np.nan


@kernel
def info(theta, gradient, step):
    """Compute the sizes of the weights after the step, of the gradient and of the step (RLlib's `info`, which has squared norms).

    Parameters
    ----------
    theta, gradient, step : ndarray of float64, shape (n_weights,)
        Weights of the policy before the step, gradient and step.

    Returns
    -------
    Info
    """
    n_weights = theta.shape[0]
    weights = on_huge_pages(np.empty(n_weights))
    mean = 0.0
    for k in range(n_weights):
        weights[k] = theta[k] + step[k]
        mean += weights[k]
    mean /= n_weights
    weights_norm, grad_norm, step_norm = norm(weights), norm(gradient), norm(step)
    return Info(
        weights_norm,
        weights_norm * weights_norm,
        math.sqrt(_squares(weights, mean) / n_weights),
        grad_norm,
        grad_norm * grad_norm,
        step_norm,
        ratio(step_norm, norm(theta)),
    )

"""Norms of vectors, and the sizes of weights, gradient and step."""

import math
from typing import Any, NamedTuple

import numpy as np

BLOCK, LANES = 4096, 64


class Info(NamedTuple):
    """Sizes of the weights, of the gradient and of the step."""

    weights_norm: Any
    weights_norm_sq: Any
    weights_std: Any
    grad_norm: Any
    grad_norm_sq: Any
    step_norm: Any
    update_ratio: Any


def norm_sq(x):
    """Compute the sum of squares: entry k of a block of 4096 is added to sum k mod 64; then the sums, then the blocks, in order."""
    x = np.asarray(x, np.float64)
    blocks = np.pad(x * x, (0, -len(x) % BLOCK)).reshape(-1, BLOCK // LANES, LANES)
    return _sum(_sum(lanes) for lanes in blocks.sum(axis=1).tolist())  # NumPy adds along this axis row after row


def norm(x):
    """Compute the Euclidean norm; if squares leave the range of float64, in units of a power of two near the largest entry."""
    with np.errstate(over="ignore", under="ignore"):
        square = norm_sq(x)
    if 1e-280 < square < 1e300:
        return math.sqrt(square)
    largest = float(np.abs(x).max(initial=0.0))
    if largest == 0.0:
        return 0.0
    exponent = math.frexp(largest)[1]
    with np.errstate(over="ignore"):
        return float(np.ldexp(math.sqrt(norm_sq(np.ldexp(np.asarray(x, np.float64), -exponent))), exponent))


def _ratio(numerator, denominator):
    return numerator / denominator if denominator != 0.0 else math.nan


def _sum(values):
    """Add up from the first value to the last."""
    total = 0.0
    for value in values:
        total += value
    return total


def info(theta, gradient, step):
    """Compute norms of the weights theta + step, the gradient and the step; the weights' deviation; |step| / |theta| (NaN at 0)."""
    weights = theta + step
    mean = _sum(weights.tolist()) / len(weights)
    weights_norm, grad_norm, step_norm = norm(weights), norm(gradient), norm(step)
    return Info(
        weights_norm=weights_norm,
        weights_norm_sq=weights_norm * weights_norm,
        weights_std=math.sqrt(norm_sq(weights - mean) / len(weights)),
        grad_norm=grad_norm,
        grad_norm_sq=grad_norm * grad_norm,
        step_norm=step_norm,
        update_ratio=_ratio(step_norm, norm(theta)),
    )

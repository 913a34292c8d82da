"""The step of theta: from returns to a gradient, and from a gradient to a step.

`backend` is the module that computes: `fastars.kernels`, or its NumPy twin `fastars.reference`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray, IntArray, NoiseArray
from fastars._runtime.threads import for_blocks
from fastars.training.config import Config

_PARALLEL_SUM = 1 << 20  # products from which a weighted sum (about 1 ms) is worth a second thread
SUM_COLUMNS = 1 << 14  # of a thread's piece of it: 32 pieces of 500,000 columns gave 33 GB/s, 8 pieces 30

_SHAPING: dict[str, Callable[[ModuleType, FloatArray], FloatArray]] = {
    "none": lambda backend, returns: returns,
    "centered_ranks": lambda backend, returns: backend.centered_ranks(returns),
    "sign": lambda backend, returns: backend.sign_returns(returns),
}


class StepEstimate(NamedTuple):
    """The gradient from the selected directions, g = sum (r+ - r-) delta / (divisor sigma_R)."""

    gradient: FloatArray  # (n_weights,)
    selected: IntArray  # indices of the directions, best first
    std: float  # sigma_R
    divisor: int


def estimate_step(
    backend: ModuleType, config: Config, returns: FloatArray, noise: NoiseArray, indices: IntArray, n_weights: int, n_threads: int
) -> StepEstimate:
    """Estimate the gradient from the returns (n_delta, 2) of the directions at `indices` of the noise table.

    It is 0 where no pair of returns is finite.
    """
    # Algorithm 2, line 6: the directions with the largest max(r+, r-)
    selected = backend.top_directions(returns, config.n_top, config.keep_ties)
    # Line 7: sum (r+ - r-) delta / (b sigma_R), without the step size
    shaped = _SHAPING[config.fitness_shaping](backend, returns)
    std = backend.return_std(shaped, selected, config.return_ddof)
    divisor = config.n_top if config.divide_by_n_top else len(selected)
    weights = backend.direction_weights(shaped, selected, divisor, std, config.std_epsilon)
    gradient = weighted_sum(backend, weights, noise, indices[selected], n_weights, n_threads)
    return StepEstimate(gradient, selected, std, int(divisor or 0))


def weighted_sum(
    backend: ModuleType, weights: FloatArray, noise: NoiseArray, indices: IntArray, n_weights: int, n_threads: int
) -> FloatArray:
    """Return the sum over i of weights[i] * delta_i, (n_weights,), on several threads where it is large."""
    out = np.zeros(n_weights)
    n_pieces = -(-n_weights // SUM_COLUMNS) if len(weights) * n_weights >= _PARALLEL_SUM else 1
    edges = [piece * n_weights // n_pieces for piece in range(n_pieces + 1)]

    def add(piece: int) -> None:
        low, high = edges[piece], edges[piece + 1]
        backend.weighted_sum(weights, noise, indices + low, out[low:high])

    for_blocks(add, n_pieces, n_threads)
    return out


def optimizer_step(
    backend: ModuleType,
    config: Config,
    slots: tuple[FloatArray, ...],
    n_updates: int,
    gradient: FloatArray,
    learning_rate: float,
    theta: FloatArray,
) -> tuple[tuple[FloatArray, ...], FloatArray]:
    """Return (next slots of the optimizer, step to add to theta); `n_updates` steps came before."""
    if config.optimizer == "adam":
        m, v, step = backend.adam_step(*slots, n_updates + 1, gradient, learning_rate, 0.9, 0.999, 1e-8, config.weight_decay, theta)
        return (m, v), step
    velocity, step = backend.sgd_step(slots[0], gradient, learning_rate, config.momentum, config.weight_decay, theta)
    return (velocity,), step

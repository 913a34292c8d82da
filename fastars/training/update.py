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


class Chosen(NamedTuple):
    """The selected directions, whose sum is the gradient g = sum (r+ - r-) delta / (divisor sigma_R)."""

    selected: IntArray  # indices of the directions, ascending
    weights: FloatArray  # of these directions
    std: float  # sigma_R
    divisor: int


def choose_directions(backend: ModuleType, config: Config, returns: FloatArray) -> Chosen:
    """Choose the directions of the step, and their weights, by the returns (n_delta, 2). None, if no pair is finite."""
    n_divisor = config.n_top if config.divide_by_n_top else 0
    shaped = _SHAPING[config.fitness_shaping](backend, returns)
    selected, weights, std = backend.step_weights(
        returns, shaped, config.n_top, config.keep_ties, n_divisor, config.return_ddof, config.std_epsilon
    )
    return Chosen(selected, weights, std, n_divisor or len(selected))


def sum_directions(
    backend: ModuleType, weights: FloatArray, noise: NoiseArray, indices: IntArray, n_weights: int, n_threads: int
) -> FloatArray:
    """Return the sums over i of weights[i, j] * delta_i, (n_sums, n_weights), on several threads where they are large.

    All sums are made in one pass over the noise, whose directions begin at `indices`.
    """
    n, n_sums = weights.shape
    sums = np.empty((n_sums, n_weights))
    if n * n_weights < _PARALLEL_SUM:
        backend.direction_sums(weights, noise, indices, 0, n_weights, sums)
        return sums

    def add(piece: int) -> None:
        first = piece * SUM_COLUMNS
        backend.direction_sums(weights, noise, indices, first, min(first + SUM_COLUMNS, n_weights), sums)

    for_blocks(add, -(-n_weights // SUM_COLUMNS), n_threads)
    return sums


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

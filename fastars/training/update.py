"""What the returns of an iteration lead to: functions of settings and arrays, in compiled kernels or in the reference (`ops`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import Filter, FloatArray
from fastars._runtime.threads import for_blocks
from fastars.training.config import Config

_PARALLEL_SUM = 1 << 20  # products from which a weighted sum (about 1 ms) is worth a second thread
SUM_COLUMNS = 1 << 14  # of a thread's piece of it: 32 pieces of 500,000 columns gave 33 GB/s, 8 pieces 30

_SHAPING: dict[str, Callable[[Any, FloatArray], FloatArray]] = {
    "none": lambda ops, returns: returns,
    "centered_ranks": lambda ops, returns: ops.centered_ranks(returns),
    "sign": lambda ops, returns: ops.sign_returns(returns),
}


class Estimate(NamedTuple):
    """The gradient by the directions that were selected, g = sum (r+ - r-) delta / (divisor sigma_R)."""

    gradient: FloatArray  # (n_weights,)
    selected: np.ndarray  # indices of the directions, best first
    std: float  # sigma_R
    divisor: int


def estimate_step(
    ops: Any, config: Config, returns: FloatArray, noise: np.ndarray, indices: np.ndarray, n_weights: int, n_threads: int
) -> Estimate:
    """The gradient that the returns (n_delta, 2) of directions at `indices` of the noise table give; zero where none is finite."""
    selected = ops.top_directions(returns, config.n_top, config.keep_ties)
    shaped = _SHAPING[config.fitness_shaping](ops, returns)
    std = ops.return_std(shaped, selected, config.return_ddof)
    divisor = config.n_top if config.divide_by_n_top else len(selected)
    weights = ops.direction_weights(shaped, selected, divisor, std, config.std_epsilon)
    return Estimate(weighted_sum(ops, weights, noise, indices[selected], n_weights, n_threads), selected, std, int(divisor or 0))


def weighted_sum(
    ops: Any, weights: FloatArray, noise: np.ndarray, indices: np.ndarray, n_weights: int, n_threads: int
) -> FloatArray:
    """The sum over i of weights[i] * delta_i, on several threads where it is large."""
    out = np.zeros(n_weights)
    n_pieces = -(-n_weights // SUM_COLUMNS) if len(weights) * n_weights >= _PARALLEL_SUM else 1
    edges = [piece * n_weights // n_pieces for piece in range(n_pieces + 1)]

    def add(piece: int) -> None:
        low, high = edges[piece], edges[piece + 1]
        ops.weighted_sum(weights, noise, indices + low, out[low:high])

    for_blocks(add, n_pieces, n_threads)
    return out


def optimizer_step(
    ops: Any,
    config: Config,
    slots: Sequence[FloatArray],
    n_updates: int,
    gradient: FloatArray,
    learning_rate: float,
    theta: FloatArray,
) -> tuple[list[FloatArray], FloatArray]:
    """(next state of the optimizer, step to be added to theta) after `n_updates` steps before."""
    if config.optimizer == "adam":
        m, v, step = ops.adam_step(*slots, n_updates + 1, gradient, learning_rate, 0.9, 0.999, 1e-8, config.weight_decay, theta)
        return [m, v], step
    velocity, step = ops.sgd_step(slots[0], gradient, learning_rate, config.momentum, config.weight_decay, theta)
    return [velocity], step


def filter_of(ops: Any, config: Config, moments: tuple[int, FloatArray, FloatArray]) -> Filter:
    """The filter that follows from the moments (count, mean, m2) of the observations seen so far."""
    settings = config.filter_ddof, config.filter_epsilon, config.filter_var_epsilon, config.filter_min_std
    mean, scale = ops.filter_from_moments(*moments, *settings)
    return Filter(mean, scale, config.clip_observations)

"""Gradients of the tasks of an iteration, from its directions.

Symbols: delta_k are N directions, d = n_weights, D_ki = (R+_ki - R-_ki) / (2 sigma) from the returns of task i,
g_i = (1/N) sum over k of D_ki delta_k and q_k = |delta_k|^2.
"""

import numpy as np

from .direction_sums import direction_sums
from .norms import norm_sq

BLOCK = 512


def task_differences(task_returns, sigma):
    """Return (kept, differences): the directions with finite returns (n_delta, 2, T) for all tasks, and their D, (N, T)."""
    kept = np.flatnonzero(np.isfinite(task_returns).all(axis=(1, 2)))
    return kept, (0.5 * task_returns[kept, 0] - 0.5 * task_returns[kept, 1]) / sigma  # halved first, as the difference may be 1e308


def task_gradients(differences, noise, indices, gradients):
    """Write g_i, (T, d), for differences (N, T); delta_k begins at noise[indices[k]]. Zeros if there are no directions."""
    direction_sums(differences, noise, indices, 0, gradients.shape[1], gradients)
    gradients /= max(len(differences), 1)


def sum_weights(selected, weights, kept, differences, n_delta):
    """Return the weights of the step and the D of the tasks in the rows of their directions, (n_delta, 1 + T); zeros elsewhere."""
    columns = np.zeros((n_delta, 1 + differences.shape[1]))
    columns[selected, 0] = weights
    columns[kept, 1:] = differences
    return columns


def square_sums(noise):
    """Return the sums of squares of the first 0, 512, 1024 ... entries of the noise table."""
    sums = [0.0]
    for begin in range(0, len(noise) - BLOCK + 1, BLOCK):
        sums.append(sums[-1] + norm_sq(noise[begin : begin + BLOCK]))
    return np.array(sums)


def direction_squares(noise, sums, indices, n_weights):
    """Return q_k, (N,). The whole blocks within a direction are a difference of two entries of `sums`, the `square_sums`."""
    squares = []
    for begin, end in zip(indices, indices + n_weights, strict=True):
        first, last = -(-begin // BLOCK), end // BLOCK
        if first < last:
            ends = norm_sq(noise[begin : first * BLOCK]) + norm_sq(noise[last * BLOCK : end])
            squares.append(ends + (sums[last] - sums[first]))
        else:
            squares.append(norm_sq(noise[begin:end]))
    return np.array(squares, np.float64)

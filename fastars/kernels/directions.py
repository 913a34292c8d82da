"""Gradients of the tasks of an iteration, from its directions.

Symbols: delta_k are N directions, d = n_weights, D_ki = (R+_ki - R-_ki) / (2 sigma) from the returns of task i,
g_i = (1/N) sum over k of D_ki delta_k and q_k = |delta_k|^2.
"""

import math

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.direction_sums import direction_sums
from fastars.kernels.norms import norm_sq

BLOCK = 512  # numbers of the noise table between two entries of `square_sums`


@kernel
def task_differences(task_returns, sigma):
    """Select the directions with finite returns, and compute the differences of their candidates' returns.

    Parameters
    ----------
    task_returns : ndarray of float64, shape (n_delta, 2, T)
        Returns of the pairs, a column per task.
    sigma : float
        Deviation of the noise (`delta_std`).

    Returns
    -------
    kept : ndarray of int64, shape (N,)
        The directions with finite returns for all tasks, ascending.
    differences : ndarray of float64, shape (N, T)
        D of the module's docstring. Each return is halved first: no bit differs, unless the difference would be infinite.
    """
    n_delta, _, n_tasks = task_returns.shape
    kept, differences = np.empty(n_delta, np.int64), np.empty((n_delta, n_tasks))
    n = 0
    for k in range(n_delta):
        is_finite = True
        for i in range(n_tasks):
            plus, minus = task_returns[k, 0, i], task_returns[k, 1, i]
            is_finite = is_finite and math.isfinite(plus) and math.isfinite(minus)
            differences[n, i] = (0.5 * plus - 0.5 * minus) / sigma
        if is_finite:
            kept[n] = k
            n += 1
    return kept[:n], differences[:n]


@kernel
def task_gradients(differences, noise, indices, gradients):
    """Compute the gradients of several tasks in one pass over the noise: g_i = (1/N) sum over k of D_ki delta_k.

    The directions are added in their order in float64. So threads can compute different columns, and the bits stay the same:
    `task_gradients(differences, noise, indices + a, gradients[:, a:b])`.

    Parameters
    ----------
    differences : ndarray of float64, shape (N, T)
        D of the module's docstring, only for pairs with finite returns.
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    indices : ndarray of int64, shape (N,)
        Direction k starts at noise[indices[k]].
    gradients : ndarray of float64, shape (T, n_weights)
        Written: a row per task; zeros if there are no directions.
    """
    direction_sums(differences, noise, indices, 0, gradients.shape[1], gradients)
    n = max(differences.shape[0], 1)
    for i in range(gradients.shape[0]):
        row = gradients[i]
        for k in range(row.shape[0]):
            row[k] /= n


@kernel
def sum_weights(selected, weights, kept, differences, n_delta):
    """Put the weights of the step and the differences of the tasks side by side, for `direction_sums`.

    Parameters
    ----------
    selected : ndarray of int64, shape (b,)
        Directions of the step.
    weights : ndarray of float64, shape (b,)
        Their weights in the step.
    kept : ndarray of int64, shape (N,)
        Directions with finite returns for all tasks.
    differences : ndarray of float64, shape (N, T)
        D of the module's docstring.
    n_delta : int
        Number of directions.

    Returns
    -------
    ndarray of float64, shape (n_delta, 1 + T)
        Zeros for directions that are not used.
    """
    n_tasks = differences.shape[1]
    columns = np.zeros((n_delta, 1 + n_tasks))
    for k in range(selected.shape[0]):
        columns[selected[k], 0] = weights[k]
    for k in range(kept.shape[0]):
        for i in range(n_tasks):
            columns[kept[k], 1 + i] = differences[k, i]
    return columns


@kernel
def square_sums(noise):
    """Compute sums of squares from the beginning of the noise table, for `direction_squares`.

    Parameters
    ----------
    noise : ndarray of float32, shape (n_noise,)
        The noise table.

    Returns
    -------
    ndarray of float64, shape (n_blocks,)
        Entry k is the sum of squares of the first 512 k numbers.
    """
    sums = np.zeros(noise.shape[0] // BLOCK + 1)
    for k in range(1, sums.shape[0]):
        sums[k] = sums[k - 1] + norm_sq(noise[(k - 1) * BLOCK : k * BLOCK])
    return sums


@kernel
def direction_squares(noise, sums, indices, n_weights):
    """Compute the squared lengths of directions: q_k = |delta_k|^2.

    Only the squares at the two ends of a direction are added up; the sum of the whole blocks between is a difference of two entries
    of `sums`. So `task_gradients` and this function take half the time (64 directions of 10,000 weights, 4 tasks: 290 us, not 580).

    Parameters
    ----------
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    sums : ndarray of float64, shape (n_blocks,)
        `square_sums` of it.
    indices : ndarray of int64, shape (N,)
        Direction k starts at noise[indices[k]].
    n_weights : int
        Entries of a direction.

    Returns
    -------
    ndarray of float64, shape (N,)
        Within a relative error of 1e-9.
    """
    squares = np.empty(indices.shape[0])
    for k in range(indices.shape[0]):
        begin, end = indices[k], indices[k] + n_weights
        first, last = (begin + BLOCK - 1) // BLOCK, end // BLOCK
        if first < last:
            ends = norm_sq(noise[begin : first * BLOCK]) + norm_sq(noise[last * BLOCK : end])
            squares[k] = ends + (sums[last] - sums[first])
        else:
            squares[k] = norm_sq(noise[begin:end])
    return squares

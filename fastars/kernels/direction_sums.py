"""Weighted sums of directions, computed from the noise table: the sum in line 7 of Algorithm 2 (Mania, Guy & Recht 2018)."""

import numpy as np
from numba import prange

from fastars._compiled.jit import inline, kernel, parallel

SUM_BLOCK = 4096  # columns of a weighted sum at a time: 32 kB of float64, which stay in the first cache


@kernel
def weighted_sum(weights, noise, indices, out):
    """Compute the sum over i of weights[i] * delta_i from the noise table, without a copy of the directions.

    The directions are added in their order in float64. So threads can compute different columns, and the bits stay the same:
    `weighted_sum(weights, noise, indices + a, out[a:b])`.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        Weights of the directions.
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    indices : ndarray of int64, shape (n,)
        Direction i starts at noise[indices[i]].
    out : ndarray of float64, shape (n_weights,)
        Written.
    """
    n = weights.shape[0]
    for begin in range(0, out.shape[0], SUM_BLOCK):
        total = out[begin : begin + SUM_BLOCK]
        size = total.shape[0]
        for k in range(size):
            total[k] = 0.0
        for i in range(0, n - n % 8, 8):
            _add_eight(weights[i:], noise[begin:], indices[i:], total)
        for i in range(n - n % 8, n):
            a, a_weight = noise[indices[i] + begin :], weights[i]
            for k in range(size):
                total[k] += a_weight * a[k]


@inline
def _add_eight(weights, noise, indices, total):
    """Add the next eight weighted directions, in their order.

    One at a time, the block of sums is read and written for each: 12 GB/s on two cores; four at a time: 27, eight: 33. The
    directions are views, as an index into the table itself does not vectorise: LLVM must assume that it may be negative.
    """
    a, b, c, d = noise[indices[0] :], noise[indices[1] :], noise[indices[2] :], noise[indices[3] :]
    e, f, g, h = noise[indices[4] :], noise[indices[5] :], noise[indices[6] :], noise[indices[7] :]
    v0, v1, v2, v3, v4, v5, v6, v7 = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5], weights[6], weights[7]
    for k in range(total.shape[0]):
        first = (((total[k] + v0 * a[k]) + v1 * b[k]) + v2 * c[k]) + v3 * d[k]
        total[k] = (((first + v4 * e[k]) + v5 * f[k]) + v6 * g[k]) + v7 * h[k]


@parallel
def weighted_sums(weights, noise, indices, n_weights):
    """Compute the sum over i of weights[i] * delta_i, in parallel over blocks of columns.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        Weights of the directions.
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    indices : ndarray of int64, shape (n,)
        Direction i starts at noise[indices[i]].
    n_weights : int
        Numbers in a direction.

    Returns
    -------
    ndarray of float64, shape (n_weights,)
        The same bits for any number of threads.
    """
    out = np.empty(n_weights)
    for block in prange(-(-n_weights // SUM_BLOCK)):
        begin = block * SUM_BLOCK
        weighted_sum(weights, noise[begin:], indices, out[begin : begin + SUM_BLOCK])
    return out

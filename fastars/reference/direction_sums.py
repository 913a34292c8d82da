"""Weighted sums of directions, computed from the noise table: the sum in line 7 of Algorithm 2 (Mania, Guy & Recht 2018)."""

import numpy as np


def direction_sums(weights, noise, indices, first, last, sums):
    """Write the sums over i of weights[i, j] * delta_i to the rows of `sums` (float64), in the columns `first` to `last - 1`.

    Delta_i begins at noise[indices[i]].
    """
    columns = sums[:, first:last]
    columns[:] = 0.0
    for row, i in zip(weights, indices, strict=True):
        columns += np.outer(row, noise[i + first : i + last].astype(np.float64))


def weighted_sum(weights, noise, indices, out):
    """Write the sum over i of weights[i] * delta_i to `out` (float64); delta_i begins at noise[indices[i]]."""
    direction_sums(weights[:, np.newaxis], noise, indices, 0, len(out), out[np.newaxis])


def weighted_sums(weights, noise, indices, n_weights):
    """Return the sum over i of weights[i] * delta_i as a new array (n_weights,)."""
    out = np.empty(n_weights)
    weighted_sum(weights, noise, indices, out)
    return out

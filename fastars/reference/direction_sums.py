"""Weighted sums of directions, computed from the noise table: the sum in line 7 of Algorithm 2 (Mania, Guy & Recht 2018)."""

import numpy as np


def weighted_sum(weights, noise, indices, out):
    """Write the sum over i of weights[i] * delta_i to `out` (float64); delta_i begins at noise[indices[i]]."""
    out[:] = 0.0
    for weight, i in zip(weights, indices, strict=True):
        out += weight * noise[i : i + len(out)].astype(np.float64)


def weighted_sums(weights, noise, indices, n_weights):
    """Return the sum over i of weights[i] * delta_i as a new array (n_weights,)."""
    out = np.empty(n_weights)
    weighted_sum(weights, noise, indices, out)
    return out

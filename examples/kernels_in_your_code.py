"""Kernels inside compiled code of your own: an evolution-strategies gradient of a function, summed straight from a noise table."""

import numba
import numpy as np

from fastars import kernels

SIZE, N_DIRECTIONS, SIGMA = 50, 200, 0.05
noise = kernels.noise_table(np.uint64(7), 1_000_000)


@numba.njit
def objective(x):
    return -np.sum((x - 3.0) ** 2)


@numba.njit
def climb(noise, theta, n_iterations):
    """Plain gradient ascent on antithetic differences, without leaving compiled code."""
    for t in range(n_iterations):
        indices = kernels.sample_indices(np.uint64(7), t, N_DIRECTIONS, noise.size, theta.size)
        candidates = kernels.perturb(theta, SIGMA, noise, indices)
        weights = np.zeros(N_DIRECTIONS)
        for i in range(N_DIRECTIONS):
            weights[i] = (objective(candidates[2 * i]) - objective(candidates[2 * i + 1])) / (2 * SIGMA * N_DIRECTIONS)
        gradient = np.zeros(theta.size)
        kernels.weighted_sum(weights, noise, indices, gradient)
        theta = theta + 0.1 * gradient
    return theta


theta = climb(noise, np.zeros(SIZE), 100)
print(f"distance from the optimum: {kernels.norm(theta - 3.0):.2e}")

"""OpenAI-ES (Salimans et al. 2017) in one compiled function: mirrored sampling, ranks for returns, Adam, weight decay."""

import numba
import numpy as np

from fastars import kernels
from fastars.envs import compiled_env

N_DELTA, SIGMA, LEARNING_RATE, WEIGHT_DECAY = 32, 0.1, 0.05, 0.005

task = compiled_env("CartPole-v1").rollout_spec(kernels.LinearPolicy(with_bias=True))
filter = kernels.identity_filter(4)  # observations as they are
noise = kernels.noise_table(0, 1_000_000)


@numba.njit
def train(task, filter, noise, seed, n_iterations):
    """The trained weights: W.ravel() of W (2 actions, 4 observations), then the bias (2,)."""
    theta = np.zeros(10)
    m, v, gradient = np.zeros(theta.size), np.zeros(theta.size), np.empty(theta.size)
    for t in range(1, n_iterations + 1):
        indices = kernels.sample_indices(seed, t, N_DELTA, noise.size, theta.size)
        seeds = kernels.episode_seeds(seed, t, N_DELTA, 1, True).ravel()  # both signs of a direction start from one state
        rollouts = kernels.antithetic_rollouts(task, filter, theta, SIGMA, noise, indices, seeds, False)
        ranks = kernels.centered_ranks(rollouts.returns.reshape(N_DELTA, 2))
        weights = (ranks[:, 0] - ranks[:, 1]) / (2 * N_DELTA * SIGMA)
        kernels.weighted_sum(weights, noise, indices, gradient)
        m, v, step = kernels.adam_step(m, v, t, gradient, LEARNING_RATE, 0.9, 0.999, 1e-8, WEIGHT_DECAY, theta)
        theta += step
    return theta


theta = train(task, filter, noise, 0, 100)
test = kernels.rollouts(task, filter, theta.reshape(1, -1), np.arange(100, dtype=np.uint64), False)
print(f"mean return of 100 episodes {test.returns.mean():.1f}")

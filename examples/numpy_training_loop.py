"""A training loop in NumPy that takes two things from fastars: the noise table and the running filter of observations.

Evolution strategies on a small network, its episodes side by side in one of Gymnasium's vector environments. (With torch:
`torch.from_numpy` and `Tensor.numpy` share the arrays' memory.)
"""

import gymnasium
import numpy as np

from fastars import kernels

N_DELTA, SIGMA, LEARNING_RATE, HIDDEN = 32, 0.3, 0.1, 8
N_OBS, N_WEIGHTS = 4, 4 * HIDDEN + HIDDEN

envs = gymnasium.make_vec("CartPole-v1", num_envs=2 * N_DELTA, vectorization_mode="vector_entry_point")


def episodes(networks, mean, scale, seed):
    """One episode per network: returns (n,), and the moments of the observations of each."""
    first, second = networks[:, : N_OBS * HIDDEN].reshape(-1, HIDDEN, N_OBS), networks[:, N_OBS * HIDDEN :]
    observation, _ = envs.reset(seed=seed)
    running, seen = np.ones(len(networks), bool), []
    while running.any():
        seen.append(np.where(running[:, None], observation, np.nan))
        x = (observation - mean) * scale
        hidden = np.tanh(np.einsum("nhk,nk->nh", first, x))
        observation, _, terminated, truncated, _ = envs.step((np.einsum("nh,nh->n", second, hidden) > 0.0).astype(np.int64))
        running &= ~(terminated | truncated)
    seen = np.array(seen, np.float64)  # (steps, n, 4), NaN after the end
    returns = np.isfinite(seen[:, :, 0]).sum(axis=0)  # CartPole gives 1 per step
    return returns, kernels.Moments(returns, np.nanmean(seen, axis=0), np.nanvar(seen, axis=0) * returns[:, None])


noise = kernels.noise_table(0, 1_000_000)
theta, gradient = np.zeros(N_WEIGHTS), np.empty(N_WEIGHTS)
count, mean, m2 = 0, np.zeros(N_OBS), np.zeros(N_OBS)
for iteration in range(40):
    center, scale = kernels.filter_from_moments(count, mean, m2, 1, 0.0, 0.0, 1e-7)
    indices = kernels.sample_indices(0, iteration, N_DELTA, noise.size, N_WEIGHTS)
    deltas = kernels.noise_slices(noise, indices, N_WEIGHTS)
    returns, moments = episodes(np.concatenate([theta + SIGMA * deltas, theta - SIGMA * deltas]), center, scale, iteration)
    count, mean, m2 = kernels.merge_moments(count, mean, m2, moments)
    weights = (returns[:N_DELTA] - returns[N_DELTA:]) / max(returns.std(), 1e-6) / N_DELTA
    kernels.weighted_sum(weights, noise, indices, gradient)
    theta += LEARNING_RATE * gradient

center, scale = kernels.filter_from_moments(count, mean, m2, 1, 0.0, 0.0, 1e-7)
returns, _ = episodes(np.tile(theta, (2 * N_DELTA, 1)), center, scale, seed=1000)
print(f"{count} observations; mean return of {returns.size} episodes {returns.mean():.1f}")

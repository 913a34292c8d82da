"""Rollouts: many episodes of many candidates, in SIMD lanes (`rollout_lanes`), in parallel over blocks of episodes.

An episode is a function of its candidate and its seed alone: neither its lane, nor its block, nor the thread changes a bit of it.
"""

import numpy as np
from numba import prange

from fastars._compiled.jit import kernel, launching, parallel
from fastars._compiled.lane_rows import LANES
from fastars._compiled.structs import Moments, Rollouts, RolloutSpec
from fastars.kernels.noise import perturb
from fastars.kernels.policy_layout import n_padding, parts, policy_of
from fastars.kernels.rollout_lanes import roll_out

BLOCK_EPISODES = 4 * LANES  # the last episodes of a block leave lanes empty: with smaller blocks, speed is lost


@launching
@kernel
def rollouts(spec, filter, weights, seeds, track):
    """Evaluate candidates, in parallel over blocks of episodes.

    Parameters
    ----------
    spec : RolloutSpec
        Environment, policy, action space and time limit.
    filter : Filter
        Applied to every observation; `identity_filter` leaves them as they are.
    weights : ndarray of float64, shape (n, n_weights)
        A candidate per row: flat weights as for `action_scores`; for a linear policy without bias, followed by n_act zeros.
    seeds : ndarray of uint64, shape (m,)
        A seed per episode, m a multiple of n: episode j runs candidate j // (m // n) and starts as `env.reset(seed=seeds[j])`.
    track : bool
        True if the moments of the observations are to be returned.

    Returns
    -------
    Rollouts
        Results of the m episodes. Equal bits for any number of threads.
    """
    m, n_obs = seeds.shape[0], filter.mean.shape[0]
    if m <= BLOCK_EPISODES:  # one block, on this thread: to wait for others takes 0.1 s where other processes keep the CPUs busy
        rows = m if track else 0
        moments = Moments(np.zeros(rows, np.int64), np.zeros((rows, n_obs)), np.zeros((rows, n_obs)))
        task_returns = np.zeros((m, len(spec.reward_weights)))
        out = Rollouts(np.zeros(m), np.zeros(m, np.int64), np.zeros(m, np.int64), moments, task_returns)
        roll_out(spec, filter, weights, seeds, 0, m, out)
        return out
    return _rollouts(
        spec.env,
        *parts(spec.policy),
        spec.actions,
        spec.low,
        spec.high,
        spec.max_steps,
        spec.is_fused,
        spec.reward_weights,
        filter,
        weights,
        seeds,
        track,
    )


@parallel
def _rollouts(
    env, net_arch, activation, with_bias, actions, low, high, max_steps, is_fused, reward_weights, filter, weights, seeds, track
):
    """Run `rollouts` with the parts of its spec as arguments: a prange can't pass tuples of tuples to its threads."""
    m, n_obs = seeds.shape[0], filter.mean.shape[0]
    rows = m if track else 0
    returns, lengths, status = np.zeros(m), np.zeros(m, np.int64), np.zeros(m, np.int64)
    count, mean, m2 = np.zeros(rows, np.int64), np.zeros((rows, n_obs)), np.zeros((rows, n_obs))
    task_returns = np.zeros((m, len(reward_weights)))
    n_blocks = min(-(-m // BLOCK_EPISODES), 64)
    for block in prange(n_blocks):
        spec = RolloutSpec(env, policy_of(net_arch, activation, with_bias), actions, low, high, max_steps, is_fused, reward_weights)
        out = Rollouts(returns, lengths, status, Moments(count, mean, m2), task_returns)
        roll_out(spec, filter, weights, seeds, block * m // n_blocks, (block + 1) * m // n_blocks, out)
    return Rollouts(returns, lengths, status, Moments(count, mean, m2), task_returns)


@launching
@kernel
def antithetic_rollouts(spec, filter, theta, sigma, noise, indices, seeds, track):
    """Evaluate the candidates theta + sigma delta_i and theta - sigma delta_i.

    Parameters
    ----------
    spec, filter, track
        As for `rollouts`.
    theta : ndarray of float64, shape (n_weights,)
        Weights in the layout of `rollouts`. The zeros in place of a bias are not perturbed.
    sigma : float
        Deviation of the noise (`delta_std`).
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    indices : ndarray of int64, shape (n,)
        Index at which each direction starts.
    seeds : ndarray of uint64, shape (m,)
        A seed per episode, m a multiple of 2 n.

    Returns
    -------
    Rollouts
        Results of the candidates in the order of `perturb`: theta + sigma delta_0, theta - sigma delta_0, theta + sigma delta_1,
        ...
    """
    n_free = theta.shape[0] - n_padding(spec.policy, len(spec.low))
    free = perturb(theta[:n_free], sigma, noise, indices)
    candidates = np.zeros((free.shape[0], theta.shape[0]))
    for i in range(free.shape[0]):
        for k in range(n_free):
            candidates[i, k] = free[i, k]
    return rollouts(spec, filter, candidates, seeds, track)

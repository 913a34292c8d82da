"""Returns of policies: in a plain Gymnasium loop, or of many candidates at once in the kernels."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastars._structs import FloatArray, Rollouts, identity_filter
from fastars.config import Config
from fastars.envs import environment, make
from fastars.kernels.policy import n_weights
from fastars.policy import policy_settings, structure_of
from fastars.samplers import make_sampler
from fastars.samplers.compiled import at_least_one, reward_weights_of, seed_array


def evaluate_policy(
    model: Any,
    env: Any,
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    *,
    return_episode_rewards: bool = False,
    seed: int | None = None,
    max_episode_steps: int | None = None,
    reward_weights: Any = None,
) -> Any:
    """Run a policy in plain Gymnasium.

    Parameters
    ----------
    model : object
        Anything whose `predict(observation, deterministic=...)` gives (action, state): a fastars or stable-baselines3 model.
    env : str, gymnasium.Env or MujocoTask
        An id or a task is made, and closed afterwards.
    n_eval_episodes : int
        Episodes.
    deterministic : bool
        Passed on to `predict`.
    return_episode_rewards : bool
        Return (list of returns, list of lengths) instead.
    seed : int, optional
        Episode i starts from `env.reset(seed=seed + i)`; without it only the environment's own generator decides.
    max_episode_steps : int, optional
        Ends episodes after so many steps, if the environment does not end them before. Default: only the environment does.
    reward_weights : array_like of float, shape (n_tasks,), optional
        Where a step gives several rewards, or `info["vector_reward"]`: what they are multiplied by before they are summed.

    Returns
    -------
    (float, float)
        Mean and population standard deviation of the returns. Of several rewards without weights, arrays of shape (n_tasks,), and
        `return_episode_rewards` gives a list of such arrays.

    Raises
    ------
    ValueError
        For weights that are not finite, or not as many as there are rewards.
    """
    import gymnasium

    from fastars.envs.mujoco.task import MujocoTask

    n_eval_episodes = at_least_one("n_eval_episodes", n_eval_episodes)
    if not isinstance(env, (str, gymnasium.Env, MujocoTask)):
        raise TypeError(f"env must be an environment id, a gymnasium.Env or a MujocoTask, not {type(env).__name__}: {env!r}")
    made = make(env) if isinstance(env, str) else env.make() if isinstance(env, MujocoTask) else env
    try:
        seeds = [None if seed is None else seed + i for i in range(n_eval_episodes)]
        most = math.inf if max_episode_steps is None else at_least_one("max_episode_steps", max_episode_steps)
        weights = None if reward_weights is None else reward_weights_of(reward_weights, np.size(reward_weights))
        episodes = [_episode(model, made, deterministic, episode_seed, most, weights) for episode_seed in seeds]
    finally:
        if made is not env:
            made.close()
    returns, lengths = [r for r, _ in episodes], [n for _, n in episodes]
    if return_episode_rewards:
        return returns, lengths
    mean, std = np.mean(returns, axis=0), np.std(returns, axis=0)
    return (mean, std) if np.ndim(mean) else (float(mean), float(std))


def _episode(
    model: Any, env: Any, deterministic: bool, seed: int | None, most: float, weights: FloatArray | None
) -> tuple[Any, int]:
    """(return, length); several rewards without weights have an array of returns."""
    observation, _ = env.reset(seed=seed)
    total: Any = 0.0
    length, ended, state = 0, False, None
    while not ended and length < most:
        action, state = _act(model, observation, state, deterministic)
        observation, reward, terminated, truncated, info = env.step(action)
        total, length, ended = total + _weighted(reward, info, weights), length + 1, terminated or truncated
    return total, length


def _weighted(reward: Any, info: Any, weights: FloatArray | None) -> Any:
    """The reward of a step; of several, their product with the weights, or an array of them."""
    if weights is None:
        return np.asarray(reward, np.float64) if np.ndim(reward) else float(reward)
    rewards = np.asarray(reward if np.ndim(reward) else info.get("vector_reward", reward), np.float64)
    if rewards.shape != weights.shape:
        number = "a number as its reward" if rewards.ndim == 0 else f"rewards of shape {rewards.shape}"
        raise ValueError(f"reward_weights must be one for each reward; there are {weights.size}, and the step gave {number}")
    return float(np.dot(rewards, weights))


def _act(model: Any, observation: Any, state: Any, deterministic: bool) -> tuple[Any, Any]:
    """An action; recurrent models get their state back."""
    if state is None:
        action, state = model.predict(observation, deterministic=deterministic)
    else:
        action, state = model.predict(observation, state=state, deterministic=deterministic)
    return action, state


def evaluate_candidates(
    env: Any,
    weights: Any,
    seeds: Any,
    policy: str = "LinearPolicy",
    policy_kwargs: Mapping[str, Any] | None = None,
    n_threads: int | None = None,
    n_workers: int = 1,
    max_episode_steps: int | None = None,
    reward_weights: Any = None,
) -> Rollouts:
    """Run one episode per candidate: in compiled kernels on threads, or in Python where the environment is not compiled.

    Parameters
    ----------
    env : str, gymnasium.Env, gymnasium.vector.VectorEnv, MujocoTask, callable, or a list or tuple of these
        As for `ARS`. Of several environments, an episode is one of each.
    weights : array_like of float, shape (n, n_weights)
        A policy per row: layer after layer `W.ravel()` of W (outputs, inputs), then the bias if there is one.
    seeds : array_like of int, shape (n,)
        From 0 to 2**64 - 1: candidate i's episode starts as `env.reset(seed=seeds[i])` does.
    policy, policy_kwargs
        As for `ARS`.
    n_threads, n_workers : int, optional
        As for `ARS`. The result does not depend on them.
    max_episode_steps : int, optional
        As for `ARS`.
    reward_weights : array_like of float, shape (n_tasks,), optional
        What several rewards of a step, or the rewards of several environments, are multiplied by before they are summed into
        `returns`. Default: 1 each.

    Returns
    -------
    Rollouts
        With `returns`, `lengths` and `status` of shape (n,), and `task_returns` of shape (n, n_tasks).

    Raises
    ------
    ValueError
        For weights that are not finite or have a wrong shape, or seeds that don't fit; `fastars.UnsupportedEnvError` for the
        environment.
    """
    config = Config(**policy_settings(policy, policy_kwargs), max_episode_steps=max_episode_steps)
    structure = structure_of(config)
    found = environment(env, max_episode_steps=config.max_episode_steps, tasks=reward_weights is not None)
    matrix = np.asarray(weights, dtype=np.float64)
    wanted = n_weights(structure, found.n_obs, found.n_act)
    if matrix.ndim != 2 or matrix.shape[1] != wanted:
        raise ValueError(f"weights must have shape (n, {wanted}) for {policy} in {found.id}, got {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"weights must be finite, row {int(np.argmin(np.isfinite(matrix).all(axis=1)))} is not")
    if n_threads is not None:
        n_threads = at_least_one("n_threads", n_threads)
    n_workers = at_least_one("n_workers", n_workers)
    sampler = make_sampler(found, structure, True, config.squash_output, n_threads, n_workers)
    with contextlib.closing(sampler):
        filter, checked = identity_filter(found.n_obs), seed_array(seeds, len(matrix))
        rollouts: Rollouts = sampler.evaluate(matrix, filter, checked, False, reward_weights)
    return rollouts

"""Returns of policies: in a plain Gymnasium loop, or of many candidates at once in the kernels."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray, Rollouts, identity_filter
from fastars._validate import positive_int, seed_array, task_weights
from fastars.envs import environment, make
from fastars.kernels.policy import n_weights
from fastars.samplers import make_sampler
from fastars.sb3.training_env import TrainingEnv
from fastars.sb3.vec_env import is_monitored, is_vec_env
from fastars.training.config import Config
from fastars.training.policy import policy_settings, structure_of


def evaluate_policy(
    model: Any,
    env: Any,
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    render: bool = False,
    callback: Any = None,
    reward_threshold: float | None = None,
    return_episode_rewards: bool = False,
    warn: bool = True,
    *,
    seed: int | None = None,
    max_episode_steps: int | None = None,
    reward_weights: Any = None,
) -> Any:
    """Run a policy in plain Gymnasium.

    Parameters
    ----------
    model : object
        Anything whose `predict(observation, deterministic=...)` gives (action, state): a fastars or stable-baselines3 model.
    env : str, gymnasium.Env, MujocoTask or VecEnv of stable-baselines3
        An id or a task is made, and closed afterwards. The episodes of a VecEnv are dealt out to its environments, and count as its
        `Monitor` has them, if it has one.
    n_eval_episodes : int
        Episodes.
    deterministic : bool
        Passed on to `predict`.
    render : bool
        Call `env.render()` after every step.
    callback : callable, optional
        Called after every step of an environment as `callback(locals, globals)`, with "model", "env", "i" (which environment of a
        VecEnv), "reward", "done" and "info" in `locals`.
    reward_threshold : float, optional
        Raise an AssertionError if the mean return is not above it.
    return_episode_rewards : bool
        Return (list of returns, list of lengths) instead.
    warn : bool
        Warn if a VecEnv of stable-baselines3 is without a `Monitor`: its other wrappers may then change returns and lengths.
    seed : int, optional
        Episode i starts from `env.reset(seed=seed + i)`; without it only the environment's own generator decides. Of a VecEnv, it
        is the seed of the first reset.
    max_episode_steps : int, optional
        Ends episodes after so many steps, if the environment does not end them before. Default: only the environment does. Not for
        a VecEnv.
    reward_weights : array_like of float, shape (n_tasks,), optional
        Where a step gives several rewards, or `info["vector_reward"]`: what they are multiplied by before they are summed. Not for
        a VecEnv.

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
    n_eval_episodes = positive_int("n_eval_episodes", n_eval_episodes)
    how = _How(model, deterministic, render, callback)
    if is_vec_env(env):
        for name, value in (("max_episode_steps", max_episode_steps), ("reward_weights", reward_weights)):
            if value is not None:
                raise ValueError(f"{name} needs a single environment, not a {type(env).__name__}; got {value!r}")
        episodes = _episodes_of_vec_env(how, env, n_eval_episodes, seed, warn)
    else:
        most = math.inf if max_episode_steps is None else positive_int("max_episode_steps", max_episode_steps)
        weights = None if reward_weights is None else task_weights(reward_weights, np.size(reward_weights))
        with _made(env) as made:
            seeds = [None if seed is None else seed + i for i in range(n_eval_episodes)]
            episodes = [_episode(how, made, episode_seed, most, weights) for episode_seed in seeds]
    returns, lengths = [r for r, _ in episodes], [n for _, n in episodes]
    mean, std = np.mean(returns, axis=0), np.std(returns, axis=0)
    if reward_threshold is not None and not np.all(mean > reward_threshold):
        raise AssertionError(f"Mean reward below threshold: {mean:.2f} < {reward_threshold:.2f}")
    if return_episode_rewards:
        return returns, lengths
    return (mean, std) if np.ndim(mean) else (float(mean), float(std))


@contextlib.contextmanager
def _made(env: Any) -> Iterator[Any]:
    """An environment, closed in the end if it was made here."""
    import gymnasium

    from fastars.envs.mujoco.task import MujocoTask

    if isinstance(env, gymnasium.Env):
        yield env
    elif isinstance(env, (str, MujocoTask)):
        with contextlib.closing(make(env) if isinstance(env, str) else env.make()) as made:
            yield made
    else:
        raise TypeError(
            f"env must be an environment id, a gymnasium.Env, a MujocoTask or a VecEnv, not {type(env).__name__}: {env!r}"
        )


class _How(NamedTuple):
    """Who acts, and who looks on."""

    model: Any
    deterministic: bool
    render: bool
    callback: Any

    def act(self, observation: Any, state: Any, episode_start: Any = None) -> tuple[Any, Any]:
        """An action; recurrent models get their state back."""
        memory = {} if state is None else {"state": state}
        if state is not None and episode_start is not None:
            memory["episode_start"] = episode_start
        action, state = self.model.predict(observation, **memory, deterministic=self.deterministic)
        return action, state

    def show(self, env: Any, steps: Iterable[tuple[int, Any, Any, Any]]) -> None:
        """Show a step: its (i, reward, done, info) of each environment."""
        if self.callback is not None:
            for i, reward, done, info in steps:
                seen = {"model": self.model, "env": env, "i": i, "reward": reward, "done": done, "info": info}
                self.callback(seen, globals())
        if self.render:
            env.render()


def _episode(how: _How, env: Any, seed: int | None, most: float, weights: FloatArray | None) -> tuple[Any, int]:
    """(return, length); several rewards without weights have an array of returns."""
    observation, _ = env.reset(seed=seed)
    total: Any = 0.0
    length, ended, state = 0, False, None
    while not ended and length < most:
        action, state = how.act(observation, state)
        observation, reward, terminated, truncated, info = env.step(action)
        total, length, ended = total + _weighted(reward, info, weights), length + 1, terminated or truncated
        how.show(env, [(0, reward, ended, info)])
    return total, length


def _episodes_of_vec_env(how: _How, env: Any, n_episodes: int, seed: int | None, warn: bool) -> list[tuple[float, int]]:
    """(return, length) of episodes in the order in which they end; how many are of which environment is settled before.

    Otherwise short episodes would be more likely to count.
    """
    watched = is_monitored(env)
    if warn and not watched and not isinstance(env, TrainingEnv):
        warnings.warn(f"env is a {type(env).__name__} without a Monitor: its wrappers may change returns and lengths", stacklevel=3)
    if seed is not None:
        env.seed(seed)
    left = np.array([(n_episodes + i) // env.num_envs for i in range(env.num_envs)])
    totals, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64)
    observations, state, starts = env.reset(), None, np.ones(env.num_envs, bool)
    episodes: list[tuple[float, int]] = []
    while left.any():
        actions, state = how.act(observations, state, starts)
        observations, rewards, starts, infos = env.step(actions)
        totals, lengths = totals + rewards, lengths + 1
        how.show(env, [(int(i), rewards[i], starts[i], infos[i]) for i in np.flatnonzero(left)])
        for i in np.flatnonzero(starts & (left > 0)):
            if not watched:
                episodes.append((float(totals[i]), int(lengths[i])))
            elif "episode" in infos[i]:  # else a wrapper outside of the Monitor begins anew, in the middle of an episode
                episodes.append((float(infos[i]["episode"]["r"]), int(infos[i]["episode"]["l"])))
            left[i] -= not watched or "episode" in infos[i]
        totals[starts], lengths[starts] = 0.0, 0
    return episodes


def _weighted(reward: Any, info: Any, weights: FloatArray | None) -> Any:
    """The reward of a step; of several, their product with the weights, or an array of them."""
    if weights is None:
        return np.asarray(reward, np.float64) if np.ndim(reward) else float(reward)
    rewards = np.asarray(reward if np.ndim(reward) else info.get("vector_reward", reward), np.float64)
    if rewards.shape != weights.shape:
        number = "a number as its reward" if rewards.ndim == 0 else f"rewards of shape {rewards.shape}"
        raise ValueError(f"reward_weights must be one for each reward; there are {weights.size}, and the step gave {number}")
    return float(np.dot(rewards, weights))


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
        n_threads = positive_int("n_threads", n_threads)
    n_workers = positive_int("n_workers", n_workers)
    sampler = make_sampler(found, structure, True, config.squash_output, n_threads, n_workers)
    with contextlib.closing(sampler):
        filter, checked = identity_filter(found.n_obs), seed_array(seeds, len(matrix))
        rollouts: Rollouts = sampler.evaluate(matrix, filter, checked, False, reward_weights)
    return rollouts

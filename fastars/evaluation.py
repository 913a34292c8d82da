"""Evaluate policies: one in a plain Gymnasium loop, or many candidates at once in the kernels."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from fastars._compiled.structs import FloatArray, Rollouts, identity_filter
from fastars._runtime.memory import refuse_beyond_memory
from fastars._runtime.shared_generators import generators_kept, seed_generators
from fastars._runtime.signals import HeldSignals, OpenSignals, raised_by_handler
from fastars._validate import integer, positive_int, seed_array, task_weights, user_facing
from fastars.envs import environment, make
from fastars.envs.making import warnings_logged
from fastars.envs.old_gym import adapted
from fastars.envs.physics_choice import with_physics
from fastars.envs.returned import checked_end, first_observation, real, real_array
from fastars.envs.seeding import seed_episode
from fastars.kernels.policy_layout import n_weights
from fastars.samplers import make_sampler
from fastars.samplers.candidates import Candidates
from fastars.sb3.training_env import TrainingEnv
from fastars.sb3.vec_env import is_monitored, is_vec_env
from fastars.training.config import Config
from fastars.training.policy_classes import policy_settings
from fastars.training.policy_structure import policy_structure


@user_facing
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
    """Run episodes of a policy in plain Gymnasium.

    Parameters
    ----------
    model : object
        Any object whose `predict(observation, deterministic=...)` returns (action, state), such as a model of fastars or of
        stable-baselines3.
    env : str, gymnasium.Env, MujocoTask or VecEnv of stable-baselines3
        An id or a task is made, and closed afterwards. The episodes of a VecEnv are dealt out to its environments. If it has a
        `Monitor`, returns and lengths are the numbers that the `Monitor` writes.
    n_eval_episodes : int
        Number of episodes.
    deterministic : bool
        Argument of `predict`.
    render : bool
        Call `env.render()` after every step.
    callback : callable, optional
        Called after every step of an environment as `callback(locals, globals)`. `locals` has "model", "env", "i" (index of the
        environment in a VecEnv), "reward", "done" and "info".
    reward_threshold : float, optional
        Raise an AssertionError if the mean return is not above it.
    return_episode_rewards : bool
        Return (list of returns, list of lengths) instead.
    warn : bool
        Warn if a VecEnv of stable-baselines3 has no `Monitor`: its other wrappers may then change returns and lengths.
    seed : int, optional
        Episode i starts from `env.reset(seed=seed + i)`. Default: from the generator of the environment. A VecEnv uses it for the
        first reset only.
    max_episode_steps : int, optional
        Number of steps after which an episode ends, if the environment does not end it before. Default: only the environment ends
        episodes. Not for a VecEnv.
    reward_weights : array_like of float, shape (n_tasks,), optional
        Weights of the rewards in the return, if a step has several rewards or an `info["vector_reward"]`. Not for a VecEnv.

    Returns
    -------
    (float, float)
        Mean and population standard deviation of the returns. For several rewards without weights they are arrays of shape
        (n_tasks,), and with `return_episode_rewards` the returns are such arrays.

    Raises
    ------
    AssertionError
        If the mean return is not above `reward_threshold`.
    ValueError, TypeError
        For weights that are not finite, or whose number is not the number of rewards; for an environment of another kind.
    """
    n_eval_episodes = positive_int("n_eval_episodes", n_eval_episodes)
    refuse_beyond_memory(f"n_eval_episodes={n_eval_episodes} episodes", 100.0 * n_eval_episodes)
    seed = None if seed is None else integer("seed", seed, 0)
    agent = _Agent(model, deterministic, render, callback)
    if is_vec_env(env):
        for name, value in (("max_episode_steps", max_episode_steps), ("reward_weights", reward_weights)):
            if value is not None:
                raise ValueError(f"{name} needs a single environment, not a {type(env).__name__}; got {value!r}")
        with _kept(seed), warnings_logged(type(env).__name__):
            episodes = _episodes_of_vec_env(agent, env, n_eval_episodes, seed, warn)
    else:
        most = math.inf if max_episode_steps is None else positive_int("max_episode_steps", max_episode_steps)
        weights = None if reward_weights is None else task_weights(reward_weights, np.size(reward_weights))
        seeds = [None if seed is None else seed + i for i in range(n_eval_episodes)]
        with _kept(seed), OpenSignals(), _made(env) as made:
            name = made.spec.id if made.spec else type(made.unwrapped).__name__
            with warnings_logged(name):
                episodes = [_episode(agent, made, episode_seed, most, weights) for episode_seed in seeds]
    returns, lengths = [r for r, _ in episodes], [n for _, n in episodes]
    mean, std = np.mean(returns, axis=0), np.std(returns, axis=0)
    if reward_threshold is not None and not np.all(mean > reward_threshold):
        found = np.round(mean, 2) if np.ndim(mean) else f"{mean:.2f}"
        raise AssertionError(f"Mean reward below threshold: {found} < {reward_threshold:.2f}")
    if return_episode_rewards:
        return returns, lengths
    return (mean, std) if np.ndim(mean) else (float(mean), float(std))


@contextlib.contextmanager
def _made(env: Any) -> Iterator[Any]:
    """Yield a Gymnasium environment for an id, a task or an environment; close it afterwards if it was made here."""
    from fastars.envs.mujoco.task import MujocoTask

    env = adapted(env)
    if isinstance(env, gymnasium.Env):
        yield env
    elif isinstance(env, (str, MujocoTask)):
        with contextlib.closing(make(env) if isinstance(env, str) else env.make()) as made:
            yield made
    else:
        raise TypeError(
            f"env must be an environment id, a gymnasium.Env, a MujocoTask or a VecEnv, not {type(env).__name__}: {env!r}"
        )


def _kept(seed: int | None) -> contextlib.AbstractContextManager[None]:
    """Keep the states of the generators that the process shares, if episodes are going to seed them."""
    return contextlib.nullcontext() if seed is None else generators_kept()


class _Agent(NamedTuple):
    """A model that acts, and the settings of an evaluation that every step needs."""

    model: Any
    deterministic: bool
    render: bool
    callback: Any

    def act(self, observation: Any, state: Any, episode_start: Any = None) -> tuple[Any, Any]:
        """Return (action, state); recurrent models get the state that they returned at the step before."""
        memory = {} if state is None else {"state": state}
        if state is not None and episode_start is not None:
            memory["episode_start"] = episode_start
        action, state = self.model.predict(observation, **memory, deterministic=self.deterministic)
        return action, state

    def show(self, env: Any, steps: Iterable[tuple[int, Any, Any, Any]]) -> None:
        """Call the callback for (i, reward, done, info) of each environment, then render."""
        if self.callback is not None:
            for i, reward, done, info in steps:
                seen = {"model": self.model, "env": env, "i": i, "reward": reward, "done": done, "info": info}
                self.callback(seen, globals())
        if self.render:
            env.render()


def _episode(agent: _Agent, env: Any, seed: int | None, most: float, weights: FloatArray | None) -> tuple[Any, int]:
    """Run one episode. Returns (return, length); for several rewards without weights, the return is an array."""
    calls = _EpisodeCalls(env, seed)
    if seed is not None:
        calls.call(seed_episode, env, seed)
    observation = first_observation(calls.call(env.reset, seed=seed))
    total: Any = 0.0
    length, ended, state = 0, False, None
    while not ended and length < most:
        action, state = agent.act(observation, state)
        action = action[()] if isinstance(action, np.ndarray) and action.ndim == 0 else action  # environments look it up in a dict
        observation, reward, terminated, truncated, info = calls.call(env.step, action)
        total, length, ended = total + _weighted(reward, info, weights), length + 1, any(checked_end(terminated, truncated, info))
        agent.show(env, [(0, reward, ended, info)])
    return total, length


class _EpisodeCalls(NamedTuple):
    """Calls of an environment in an episode. Their exceptions name the episode."""

    env: Any
    seed: int | None

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the environment. An end of the program that it asks for is an error of it."""
        try:
            return function(*args, **kwargs)
        except Exception as error:
            error.add_note(f"in {self}")
            raise
        except BaseException as error:
            if raised_by_handler(error) is not None:
                raise
            raise RuntimeError(f"{type(error).__name__}({error}) in {self}") from error

    def __str__(self) -> str:
        seed = "without a seed" if self.seed is None else f"with seed {self.seed}"
        return f"an episode {seed} of {type(self.env.unwrapped).__name__}"


def _episodes_of_vec_env(agent: _Agent, env: Any, n_episodes: int, seed: int | None, warn: bool) -> list[tuple[float, int]]:
    """Run episodes of a vector environment. Returns (return, length) of each, in the order in which they end.

    The number of episodes of each environment is fixed before the first step: otherwise short episodes would count more often.
    """
    watched = is_monitored(env)
    if warn and not watched and not isinstance(env, TrainingEnv):
        warnings.warn(f"env is a {type(env).__name__} without a Monitor: its wrappers may change returns and lengths", stacklevel=4)
    if seed is not None:
        env.seed(seed)
        seed_generators(seed)
    left = np.array([(n_episodes + i) // env.num_envs for i in range(env.num_envs)])
    totals, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64)
    observations, state, starts = env.reset(), None, np.ones(env.num_envs, bool)
    episodes: list[tuple[float, int]] = []
    while left.any():
        actions, state = agent.act(observations, state, starts)
        observations, rewards, starts, infos = env.step(actions)
        totals, lengths = totals + rewards, lengths + 1
        agent.show(env, [(int(i), rewards[i], starts[i], infos[i]) for i in np.flatnonzero(left)])
        for i in np.flatnonzero(starts & (left > 0)):
            if not watched:
                episodes.append((float(totals[i]), int(lengths[i])))
            elif "episode" in infos[i]:  # otherwise a wrapper outside of the Monitor has ended an episode that goes on
                episodes.append((float(infos[i]["episode"]["r"]), int(infos[i]["episode"]["l"])))
            left[i] -= not watched or "episode" in infos[i]
        totals[starts], lengths[starts] = 0.0, 0
    return episodes


def _weighted(reward: Any, info: Any, weights: FloatArray | None) -> Any:
    """Return the reward of a step; for several rewards, their weighted sum, or an array of them without weights."""
    if weights is None:
        return real_array("the reward", reward).astype(np.float64) if np.size(reward) > 1 else real("the reward", reward)
    rewards = real_array("the reward", reward if np.ndim(reward) else info.get("vector_reward", reward)).astype(np.float64)
    if rewards.shape != weights.shape:
        number = "a number as its reward" if rewards.ndim == 0 else f"rewards of shape {rewards.shape}"
        raise ValueError(f"reward_weights must be one for each reward; there are {weights.size}, and the step gave {number}")
    return float(np.dot(rewards, weights))


@user_facing
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
    physics: str = "mujoco",
) -> Rollouts:
    """Run one episode per candidate, in compiled kernels on threads, or in Python if the environment is not compiled.

    Parameters
    ----------
    env : str, gymnasium.Env, gymnasium.vector.VectorEnv, MujocoTask, callable, or a list or tuple of these
        As for `ARS`. With several environments, an episode is one episode of each.
    weights : array_like of float, shape (n, n_weights), or Candidates of `ARS.ask`
        One policy per row: layer after layer `W.ravel()` of W (outputs, inputs), then the bias if there is one.
    seeds : array_like of int, shape (n,)
        From 0 to 2**64 - 1. The episode of candidate i starts as `env.reset(seed=seeds[i])` does.
    policy, policy_kwargs
        As for `ARS`.
    n_threads, n_workers : int, optional
        As for `ARS`. The result does not depend on them.
    max_episode_steps : int, optional
        As for `ARS`.
    reward_weights : array_like of float, shape (n_tasks,), optional
        Weights in `returns` of the several rewards of a step, or of the rewards of several environments. Default: 1 each.
    physics : {"mujoco", "lanes"}
        As for `ARS`: `mj_step`, or forward dynamics of our own over SIMD lanes.

    Returns
    -------
    Rollouts
        With `returns`, `lengths` and `status` of shape (n,), and `task_returns` of shape (n, n_tasks).

    Raises
    ------
    ValueError
        For weights that are not finite or have a wrong shape, for seeds out of range or of a wrong shape, and for `physics="lanes"`
        in an environment that is not MuJoCo's or runs in Python.
    fastars.UnsupportedEnvError
        For an environment that can't be run.
    """
    config = Config(**policy_settings(policy, policy_kwargs), max_episode_steps=max_episode_steps)
    structure = policy_structure(config)
    found = environment(env, max_episode_steps=config.max_episode_steps, tasks=reward_weights is not None)
    found = with_physics(found, physics)
    matrix = weights if isinstance(weights, Candidates) else np.asarray(weights, dtype=np.float64)
    wanted = n_weights(structure, found.n_obs, found.n_act)
    if len(matrix.shape) != 2 or matrix.shape[1] != wanted:
        raise ValueError(f"weights must have shape (n, {wanted}) for {policy} in {found.id}, got {matrix.shape}")
    if not isinstance(matrix, Candidates) and not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise ValueError(f"weights must be finite, got {matrix[row, column]} in row {row}")
    if n_threads is not None:
        n_threads = positive_int("n_threads", n_threads)
    n_workers = positive_int("n_workers", n_workers)
    sampler = make_sampler(found, structure, True, config.squash_output, n_threads, n_workers)
    with HeldSignals(), contextlib.closing(sampler):
        filter, checked = identity_filter(found.n_obs), seed_array(seeds, len(matrix))
        rollouts: Rollouts = sampler.evaluate(matrix, filter, checked, False, reward_weights)
    return rollouts

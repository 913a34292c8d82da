"""One environment behind the methods of a vector environment of stable-baselines3, for `model.get_env()`."""

from __future__ import annotations

import copy
import sys
from typing import Any

import gymnasium
import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.sb3.classes import PACKAGE, is_sb3


def training_env(env: gymnasium.Env) -> Any:
    """Return a vector environment around one environment, as stable-baselines3's `model.get_env()` does.

    It is a `DummyVecEnv` if the program has imported stable-baselines3's vector environments, otherwise a `TrainingEnv`.
    """
    if f"{PACKAGE}.common.vec_env" not in sys.modules:
        return TrainingEnv(env)
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv([lambda: env if is_sb3(env, "Monitor") else Monitor(env)])


class TrainingEnv:
    """One environment with the methods of stable-baselines3's `VecEnv`.

    `reset` returns observations only, `step` returns four values, and the next episode starts as soon as one has ended.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        self.envs = [env]
        self.num_envs = 1
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.render_mode = env.render_mode
        self.reset_infos: list[dict[str, Any]] = [{}]
        self._seed: int | None = None
        self._actions: Any = None

    def __copy__(self) -> TrainingEnv:
        """Return an independent copy, as `copy.deepcopy` does."""
        return copy.deepcopy(self)

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Seed the next reset."""
        self._seed = seed
        return [seed]

    def reset(self) -> Any:
        """Start an episode. Returns the first observation, shape (1, ...)."""
        observation, self.reset_infos[0] = self.envs[0].reset(seed=self._seed)
        self._seed = None
        return _stacked(observation)

    def step(self, actions: Any) -> tuple[Any, FloatArray, np.ndarray, list[dict[str, Any]]]:
        """Take one step. Returns (observations, rewards, dones, infos) with one entry each.

        When an episode ends, `infos[0]["terminal_observation"]` is its last observation; the returned observation is the first one
        of the next episode.
        """
        observation, reward, terminated, truncated, info = self.envs[0].step(actions[0])
        done = bool(terminated or truncated)
        info = {**info, "TimeLimit.truncated": bool(truncated and not terminated)}
        if done:
            info["terminal_observation"] = observation
            observation, self.reset_infos[0] = self.envs[0].reset()
        return _stacked(observation), np.array([reward], np.float32), np.array([done]), [info]

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, FloatArray, np.ndarray, list[dict[str, Any]]]:
        """Take one step with the actions of `step_async`."""
        return self.step(self._actions)

    def render(self, mode: str | None = None) -> Any:
        """Render in the mode that the environment was made with."""
        return self.envs[0].render()

    def close(self) -> None:
        """Close the environment."""
        self.envs[0].close()

    def get_attr(self, name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of the environment, in a list."""
        return [self.envs[0].get_wrapper_attr(name)]

    def set_attr(self, name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the environment."""
        self.envs[0].set_wrapper_attr(name, value)

    def env_method(self, name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of the environment. Returns the result in a list."""
        return [self.envs[0].get_wrapper_attr(name)(*args, **kwargs)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Return [True] if a wrapper of this class is around the environment."""
        env: Any = self.envs[0]
        while isinstance(env, gymnasium.Wrapper):
            if isinstance(env, wrapper_class):
                return [True]
            env = env.env
        return [False]


def _stacked(observation: Any) -> Any:
    """Return an observation with an axis of length 1 before its own axes."""
    if isinstance(observation, dict):
        return {name: _stacked(value) for name, value in observation.items()}
    if isinstance(observation, tuple):
        return tuple(_stacked(value) for value in observation)
    return np.asarray(observation)[np.newaxis]

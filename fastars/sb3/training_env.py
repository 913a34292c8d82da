"""One environment behind the methods of a vector environment of stable-baselines3, for `model.get_env()`."""

from __future__ import annotations

import contextlib
import copy
import math
import sys
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.spaces import Box

from fastars._compiled.structs import FloatArray
from fastars._validate import warn_user
from fastars.envs import make
from fastars.envs.wrappers import layers
from fastars.sb3.classes import PACKAGE, is_sb3


def make_rendering(env_id: Any, **kwargs: Any) -> gymnasium.Env:
    """Make an environment that renders "rgb_array", as stable-baselines3 makes one from an id; without pictures if it has none.

    Parameters
    ----------
    env_id : str or gymnasium.envs.registration.EnvSpec
        The environment to make.
    **kwargs
        Arguments of `gymnasium.make`.
    """
    with contextlib.suppress(Exception):  # its `make` raises it again
        spec = env_id if isinstance(env_id, EnvSpec) else gymnasium.spec(env_id)
        entry = spec.entry_point
        creator: Any = entry if callable(entry) else load_env_creator(str(entry))
        if "rgb_array" in creator.metadata.get("render_modes", ()) and spec.kwargs.get("render_mode") is None:
            kwargs = {"render_mode": "rgb_array", **kwargs}
    return make(env_id, **kwargs)


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
        return self._stacked(observation)

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
        return self._stacked(observation), np.array([reward], np.float32), np.array([done]), [info]

    def _stacked(self, observation: Any) -> Any:
        space = self.observation_space
        if isinstance(space, Box) and np.size(observation) == math.prod(space.shape):  # a number may stand for an array of one
            return np.asarray(observation).reshape(1, *space.shape)
        return _stacked(observation)

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, FloatArray, np.ndarray, list[dict[str, Any]]]:
        """Take one step with the actions of `step_async`."""
        return self.step(self._actions)

    def render(self, mode: str | None = None) -> Any:
        """Return a picture, (height, width, 3) of uint8, of an environment made with "rgb_array"; "human" shows it in a window.

        In any other mode that the environment was made with, its own `render` is called.

        Raises
        ------
        ImportError
            If OpenCV, which shows the picture, is not installed.
        """
        if mode not in (None, self.render_mode) and (mode, self.render_mode) != ("human", "rgb_array"):
            warn_user(f"render(mode={mode!r}) has no effect: the environment was made with render_mode={self.render_mode!r}")
            return None
        found = self.envs[0].render()
        if mode != "human" or self.render_mode != "rgb_array":
            return found
        try:
            import cv2  # type: ignore[import-not-found]
        except ImportError as error:
            raise ImportError(
                "render('human') shows the pictures of an environment by OpenCV: pip install opencv-python"
            ) from error
        cv2.imshow("vecenv", np.asarray(found)[:, :, ::-1])
        cv2.waitKey(1)
        return None

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
        return [bool(layers(self.envs[0], wrapper_class))]


def _stacked(observation: Any) -> Any:
    """Return an observation with an axis of length 1 before its own axes."""
    if isinstance(observation, dict):
        return {name: _stacked(value) for name, value in observation.items()}
    if isinstance(observation, tuple):
        return tuple(_stacked(value) for value in observation)
    return np.asarray(observation)[np.newaxis]

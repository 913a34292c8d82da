"""An environment with a vector reward in plain Gymnasium: each step is a call of the compiled functions.

So an episode has the same bits here and in rollouts, and neither needs mo-gymnasium.
"""

from __future__ import annotations

import inspect
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from fastars._compiled.structs import FloatArray
from fastars.envs.compiled import CompiledEnv
from fastars.envs.generators import set_words, words_of
from fastars.envs.registry import MULTI
from fastars.kernels.single import first_state, next_state


class MultiEnv(gymnasium.Env):
    """An environment with a vector reward. `gymnasium.make` puts a time limit around it.

    Parameters
    ----------
    constants : NamedTuple
        Its type picks the compiled functions.
    kwargs : dict
        The arguments from which the class made `constants`, as plain data.
    observation_space, action_space : gymnasium.spaces.Space
    reward_space : gymnasium.spaces.Box
        (n_tasks,)
    task_names : tuple of str
        Names of the entries of a reward.
    render_mode : None
        The environment has no pictures. A subclass may draw `state`.

    Attributes
    ----------
    reward_dim : int
        Entries of a reward.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - as Gymnasium has it

    def __init__(
        self,
        constants: Any,
        kwargs: dict[str, Any],
        observation_space: Box,
        action_space: Box | Discrete,
        reward_space: Box,
        task_names: tuple[str, ...],
        render_mode: str | None = None,
    ) -> None:
        self.constants, self.kwargs = constants, kwargs
        self.observation_space, self.action_space = observation_space, action_space
        self.reward_space, self.task_names, self.reward_dim = reward_space, task_names, len(task_names)
        self.render_mode = render_mode
        self.state: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode: (observation, {})."""
        super().reset(seed=seed)
        words = words_of(self.np_random)
        self.state, observation = first_state(self.constants, words)
        set_words(self.np_random, words)
        return self._array(observation), {}

    def step(self, action: Any) -> tuple[np.ndarray, FloatArray, bool, bool, dict[str, Any]]:
        """Take a step: (observation, reward (n_tasks,), terminated, False, {})."""
        if self.state is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        after = next_state(self.constants, self.state, self._action(action))
        self.state, observation, reward, terminated = after
        return self._array(observation), np.array(reward, self.reward_space.dtype), bool(terminated), False, {}

    def compiled(self, env_id: str, max_steps: int) -> CompiledEnv:
        """Return the environment as the samplers see it; `env_id` is one of `registry.MULTI`."""
        parameters = inspect.signature(type(self).__init__).parameters
        usual = {name: parameters[name].default for name in self.kwargs} | MULTI[env_id].kwargs
        kwargs = {name: value for name, value in self.kwargs.items() if value != usual[name]}
        spaces = self.observation_space, self.action_space
        return CompiledEnv(
            env_id, kwargs, self.constants, max_steps, *spaces, reward_space=self.reward_space, task_names=self.task_names
        )

    def _array(self, observation: Any) -> np.ndarray:
        return np.array(observation, self.observation_space.dtype)

    def _action(self, action: Any) -> Any:
        """Return the action as the compiled functions take it."""
        space = self.action_space
        if isinstance(space, Discrete):
            if not space.contains(action):
                raise ValueError(f"action must be an integer from {space.start} to {space.start + space.n - 1}, got {action!r}")
            return int(action)
        values = np.asarray(action, np.float32)
        if values.shape != space.shape:
            raise ValueError(f"action must have shape {space.shape}, got {values.shape}")
        return tuple(values)


def box32(low: Any, high: Any) -> Box:
    """Return a Box of float32 with these bounds."""
    return Box(np.array(low, np.float32), np.array(high, np.float32))

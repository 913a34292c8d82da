"""An environment with a vector reward in plain Gymnasium: each step is a call of the compiled functions.

So an episode has the same bits here and in rollouts, and mo-gymnasium need not be there for either.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from fastars._compiled.structs import FloatArray, SeedArray
from fastars.envs.compiled import CompiledEnv
from fastars.envs.registry import MULTI
from fastars.kernels.single import first_state, next_state


class MultiEnv(gymnasium.Env):
    """An environment with a vector reward. `gymnasium.make` puts a time limit around it.

    Parameters
    ----------
    constants : NamedTuple
        Its type picks the compiled functions.
    kwargs : dict
        The arguments of the class that `constants` were made of, as plain data.
    observation_space, action_space : gymnasium.spaces.Space
    reward_space : gymnasium.spaces.Box
        (n_tasks,)
    task_names : tuple of str
        Names of the entries of a reward.
    render_mode : None
        There is nothing to see. A subclass may draw `state`.

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
        words = _words(self.np_random)
        self.state, observation = first_state(self.constants, words)
        _set_words(self.np_random, words)
        return self._array(observation), {}

    def step(self, action: Any) -> tuple[np.ndarray, FloatArray, bool, bool, dict[str, Any]]:
        """One step: (observation, reward (n_tasks,), whether terminated, False, {})."""
        if self.state is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        after = next_state(self.constants, self.state, self._action(action))
        self.state, observation, reward, terminated = after
        return self._array(observation), np.array(reward, self.reward_space.dtype), bool(terminated), False, {}

    def compiled(self, env_id: str, max_steps: int) -> CompiledEnv:
        """The environment as the samplers see it; `env_id` is one of `REGISTERED`."""
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
        """The action as the compiled functions take it."""
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
    """A Box of float32 with these bounds."""
    return Box(np.array(low, np.float32), np.array(high, np.float32))


def number(name: str, value: Any) -> float:
    """An argument that is a finite number."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value)):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def integer(name: str, value: Any, least: int, most: float = math.inf) -> int:
    """An argument that is an integer from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        allowed = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise ValueError(f"{name} must be an integer {allowed}, got {value!r}")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """An argument that is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def _words(rng: np.random.Generator) -> SeedArray:
    """Gymnasium's generator as the kernels take it (`_rng`)."""
    state: Any = rng.bit_generator.state["state"]
    halves = [half for number in (state["state"], state["inc"]) for half in (number >> 64, number & (2**64 - 1))]
    return np.array(halves, np.uint64)


def _set_words(rng: np.random.Generator, words: SeedArray) -> None:
    """Put Gymnasium's generator where the kernels have left theirs."""
    state_high, state_low, increment_high, increment_low = map(int, words)
    numbers: Any = {"state": state_high << 64 | state_low, "inc": increment_high << 64 | increment_low}
    rng.bit_generator.state = {"bit_generator": "PCG64", "state": numbers, "has_uint32": 0, "uinteger": 0}

"""A user's environment in Gymnasium: the same functions, uncompiled."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete

from fastars._compiled.tuples import to_float64
from fastars.envs.compiled import CompiledEnv
from fastars.envs.user_definition import UserDefinition


class UserEnv(gymnasium.Env):
    """A registered environment in plain Gymnasium. `gymnasium.make` puts a time limit around it.

    Parameters
    ----------
    definition : UserDefinition
    render_mode : None
        The environment has no pictures. A subclass may draw `state`.
    **kwargs
        Constants that differ from the registered ones.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - as Gymnasium has it

    def __init__(self, definition: UserDefinition, render_mode: str | None = None, **kwargs: Any) -> None:
        self.definition = definition
        self.constants = _changed(definition, kwargs)
        self.observation_space, self.action_space = definition.observation_space, definition.action_space
        if definition.reward_space is not None:  # as mo-gymnasium's environments have it
            self.reward_space, self.task_names = definition.reward_space, definition.task_names
        self.render_mode = render_mode
        self.state: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode: (observation, {})."""
        super().reset(seed=seed)
        with np.errstate(all="ignore"):  # the kernels give no warning of a division by zero, either
            self.state = to_float64(self.definition.functions.reset(self.constants, self.np_random))
        return self._observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Take a step: (observation, reward, terminated, False, {}). Several rewards are an array of float64."""
        if self.state is None:
            raise gymnasium.error.ResetNeeded(f"{self.definition.id}: call reset() before step()")
        with np.errstate(all="ignore"):
            state, reward, terminated = self.definition.functions.step(self.constants, self.state, self._action(action))
        self.state = to_float64(state)
        reward = np.array(to_float64(reward)) if isinstance(reward, tuple) else float(reward)
        return self._observe(), reward, bool(terminated), False, {}

    def compiled(self, max_steps: int) -> CompiledEnv:
        """Return the environment as the samplers see it."""
        definition, spec = self.definition, self.spec
        registered = definition.constants._asdict()
        kwargs = {name: value for name, value in self.constants._asdict().items() if value != registered[name]}
        constants, spaces = definition.kind(*self.constants), (self.observation_space, self.action_space)
        rewards = definition.reward_space, definition.task_names
        return CompiledEnv(definition.id, kwargs, constants, max_steps, *spaces, None, spec, *rewards)

    def _observe(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.array(to_float64(self.definition.functions.observe(self.constants, self.state)), np.float32)

    def _action(self, action: Any) -> Any:
        """Return the action as the functions take it."""
        space = self.action_space
        if isinstance(space, Discrete):
            if not space.contains(action):
                raise ValueError(f"action must be an integer from {space.start} to {space.start + space.n - 1}, got {action!r}")
            return int(action)
        values = np.asarray(action, np.float32)
        if values.shape != space.shape:
            raise ValueError(f"action must have shape {space.shape}, got {values.shape}")
        return to_float64(values)


def _changed(definition: UserDefinition, kwargs: dict[str, Any]) -> Any:
    """Return the constants with some of them changed; each keeps its type.

    Raises
    ------
    TypeError
        For an unknown name, or a value of another kind.
    """
    constants = definition.constants
    for name, value in kwargs.items():
        if name not in constants._fields:
            known = ", ".join(constants._fields) or "none"
            raise TypeError(f"env {definition.id!r} has no constant {name!r}; its constants are {known}")
        kind = type(getattr(constants, name))
        fits = {bool: (bool, np.bool_), int: (int, np.integer), float: (int, float, np.integer, np.floating)}[kind]
        if not isinstance(value, fits) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"env {definition.id!r}: {name} must be of the type {kind.__name__}, got {value!r}")
        constants = constants._replace(**{name: kind(value)})
    return constants

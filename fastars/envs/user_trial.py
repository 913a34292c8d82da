"""Try a user's environment in plain Python, where each mistake in a function has a name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from fastars._compiled.tuples import to_float64
from fastars.envs.rewards import checked_task_names, unbounded_rewards
from fastars.envs.user_definition import UserDefinition, two_actions
from fastars.envs.user_functions import BOOLS, NUMBERS, try_function


def count_rewards(definition: UserDefinition) -> int:
    """Run the functions for two steps, each twice to see that it is pure.

    Returns
    -------
    int
        Rewards that a step gives as a tuple; 0 if the reward is a number.

    Raises
    ------
    TypeError, ValueError
        For a function that fails, is not pure, or gives something else than it should.
    """
    sizes: list[int] = []
    state = _call("reset", definition, np.random.default_rng(0))
    _check_tuple("reset", "a state", state)
    if repr(_call("reset", definition, np.random.default_rng(0))) != repr(state):
        raise ValueError("reset must depend on env and rng alone: with generators of the same seed it gave two states")
    _try_observe(definition, to_float64(state))
    for action in two_actions(definition.action_space):
        state, reward = _try_step(definition, to_float64(state), action)
        sizes.append(_size_of(reward))
        if sizes[-1] != sizes[0]:
            given = " and then ".join("a number" if n == 0 else f"a tuple of {n}" for n in sizes)
            raise ValueError(f"step must give as many rewards at every step, got {given}")
        _try_observe(definition, to_float64(state))
    return sizes[0]


def checked_rewards(n_rewards: int, reward_space: Any, task_names: Any) -> tuple[Box | None, tuple[str, ...]]:
    """Return the space and the names of n rewards; (None, ()) if the reward is a number.

    Raises
    ------
    ValueError
        If the arguments do not fit the number of rewards.
    """
    for name, value in {"reward_space": reward_space, "task_names": task_names}.items():
        if n_rewards == 0 and value is not None:
            raise ValueError(f"{name} must be None where step gives a number as the reward, got {value!r}")
    if n_rewards == 0:
        return None, ()
    space = unbounded_rewards(n_rewards) if reward_space is None else reward_space
    if not isinstance(space, Box) or space.shape != (n_rewards,):
        raise ValueError(f"reward_space must be a Box of shape ({n_rewards},), as step gives {n_rewards} rewards, got {space!r}")
    return space, checked_task_names(task_names, n_rewards)


def _call(name: str, definition: UserDefinition, *arguments: Any) -> Any:
    return try_function(name, getattr(definition.functions, name), definition.constants, *arguments)


def _try_observe(definition: UserDefinition, state: Any) -> None:
    observation = _call("observe", definition, state)
    _check_tuple("observe", "an observation", observation, definition.observation_space.shape[0], "observation_space")
    if repr(_call("observe", definition, state)) != repr(observation):
        raise ValueError("observe must depend on its arguments alone: called twice with the same, it gave two observations")


def _try_step(definition: UserDefinition, before: Any, action: Any) -> tuple[Any, Any]:
    """Return (next state, reward)."""
    given = _call("step", definition, before, action)
    if type(given) is not tuple or len(given) != 3:
        raise TypeError(f"step must give (state, reward, terminated), got {type(given).__name__}: {given!r}")
    if repr(_call("step", definition, before, action)) != repr(given):
        raise ValueError("step must depend on its arguments alone: called twice with the same, it gave two results")
    state, reward, terminated = given
    _check_tuple("step", "its first entry, the state,", state, len(before), "reset")
    _size_of(reward)
    if not isinstance(terminated, BOOLS):
        raise TypeError(f"step must give a bool as terminated, got {type(terminated).__name__}: {terminated!r}")
    return state, reward


def _size_of(reward: Any) -> int:
    """Return the length of a tuple of rewards; 0 for a number."""
    if isinstance(reward, NUMBERS):
        return 0
    if not isinstance(reward, tuple) or not reward or not all(isinstance(value, NUMBERS) for value in reward):
        raise TypeError(f"step must give a number as the reward, or a tuple of numbers, got {type(reward).__name__}: {reward!r}")
    return len(reward)


def _check_tuple(name: str, what: str, value: Any, length: int | None = None, other: str = "") -> None:
    """Raise if `value`, which the function `name` gave, is no tuple of finite numbers, as many as `other` has."""
    if type(value) is not tuple or not all(isinstance(entry, NUMBERS) for entry in value):
        raise TypeError(f"{name} must give {what} that is a tuple of numbers, got {type(value).__name__}: {value!r}")
    if not value or length not in (None, len(value)):
        wanted = f"{length} numbers as {other} does" if other == "reset" else f"the {length} numbers of {other}"
        raise ValueError(f"{name} must give {what} of {wanted if length else 'at least one number'}, got {len(value)}")
    for k, entry in enumerate(value):
        if not math.isfinite(entry):
            raise ValueError(f"{name} must give {what} of finite numbers, entry {k} is {entry!r}")

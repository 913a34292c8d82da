"""Try a task's functions in plain Python, where each mistake has a name: compiled code would crash, or go on."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastars._compiled.structs import Simulation
from fastars.envs.mujoco.task_definition import TaskDefinition
from fastars.envs.mujoco.task_env import TaskEnv
from fastars.envs.user_functions import BOOLS, NUMBERS, try_function


def try_task(definition: TaskDefinition) -> None:
    """Run the functions for two steps.

    Raises
    ------
    TypeError, ValueError, IndexError
        For a function that fails, goes beyond an array, or gives something else than it should.
    """
    env = TaskEnv(definition)
    env.reset_sim(np.random.default_rng(0))
    _try_observe(definition, env.sim)
    for action in (definition.action_space.low, definition.action_space.high):
        before, _ = env.step_sim(action)
        reward = _call("reward", definition, env.sim, env.sim.ctrl, before)
        if not isinstance(reward, NUMBERS):
            raise TypeError(f"reward must give a number, got {type(reward).__name__}: {reward!r}")
        ended = _call("terminated", definition, env.sim)
        if not isinstance(ended, BOOLS):
            raise TypeError(f"terminated must give a bool, got {type(ended).__name__}: {ended!r}")
        _try_observe(definition, env.sim)


def _try_observe(definition: TaskDefinition, sim: Simulation) -> None:
    observation = np.full(definition.n_obs, np.nan)
    given = _call("observe", definition, sim, observation)
    if given is not None:
        raise TypeError(f"observe must write into its third argument and give nothing, got {type(given).__name__}: {given!r}")
    missing = np.flatnonzero(np.isnan(observation))
    if len(missing):
        entries = ", ".join(map(str, missing))
        raise ValueError(f"observe must write all of the n_obs={definition.n_obs} entries: not written, or NaN, are {entries}")


def _call(name: str, definition: TaskDefinition, *arguments: Any) -> Any:
    try:
        return try_function(name, getattr(definition.functions, name), definition.constants, *arguments)
    except ValueError as error:
        cause = error.__cause__
        if not isinstance(cause, IndexError):
            raise
        text = f"{name} goes beyond an array: {cause} (n_obs={definition.n_obs}, {_sizes(definition.model)})"
        raise IndexError(text) from cause


def _sizes(model: Any) -> str:
    return ", ".join(f"{name}={getattr(model, name)}" for name in ("nq", "nv", "nu", "nbody", "nsite", "nsensordata"))

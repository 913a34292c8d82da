"""Compile a task's functions into the simulated environment that kernels step."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.simulated import register_simulated
from fastars.envs.errors import UnsupportedEnvError
from fastars.envs.mujoco.task_definition import TaskDefinition, TaskFunctions
from fastars.envs.user_functions import numba_text

_numbers = itertools.count()
_new_class: Any = collections.namedtuple  # for a type checker, a NamedTuple has a name that is written down


def never(constants: Any, sim: Any) -> bool:
    """Return False: an episode of a task without `terminated` ends by its time limit alone."""
    return False


def compiled_constants(definition: TaskDefinition) -> Any:
    """Return the NamedTuple that picks the task's functions in the kernels.

    Raises
    ------
    UnsupportedEnvError
        For a function that Numba can't compile.
    TypeError
        For a function that gives something else than it should in one of its branches.
    """
    from fastars.envs.mujoco.arguments import physics_of
    from fastars.envs.mujoco.capi import new_simulation

    compiled = TaskFunctions(*(_with_bounds_checked(function) for function in definition.functions))
    sim = new_simulation(definition.model)
    arguments = {"observe": (np.empty(definition.n_obs),), "reward": (sim.ctrl, sim.qpos.copy()), "terminated": ()}
    for name, function in compiled._asdict().items():
        _compile_now(name, function, (definition.constants, sim, *arguments[name]))
    # A class per task: Numba tells tasks apart by their types. The module's name lets the cache see that it is not fastars' own.
    fields = ("physics", "constants", "reset_noise_scale")
    kind: Any = _new_class(f"MujocoTask{next(_numbers)}", fields, module="user")
    _register(kind, compiled, definition.contact_forces)
    return kind(physics_of(definition.model, definition.frame_skip, 0), definition.constants, definition.reset_noise_scale)


def _register(kind: Any, functions: TaskFunctions, contact_forces: bool) -> None:
    """Tie a simulated environment made of the task's functions to the class of its constants."""
    from fastars.envs.mujoco.physics import draw_uniform

    observe_task, reward_of_task, is_terminated = functions

    @inline
    def draw_state(env: Any, sim: Any, rng: Any) -> None:
        draw_uniform(env.physics, sim, rng, env.reset_noise_scale)

    @inline
    def observe_sim(env: Any, sim: Any, observation: Any) -> None:
        for k in range(observation.shape[0]):  # an entry that is not written is NaN, and not left from the last episode
            observation[k] = np.nan
        observe_task(env.constants, sim, observation)

    @inline
    def remember(env: Any, sim: Any, before: Any) -> None:
        for k in range(before.shape[0]):
            before[k] = sim.qpos[k]

    @inline
    def reward_sim(env: Any, sim: Any, action: Any, before: Any) -> Any:
        # The action's copy in float64: 0.1 * a float32 is a float32 in NumPy and a float64 in Numba.
        return np.float64(reward_of_task(env.constants, sim, sim.ctrl, before)), is_terminated(env.constants, sim)

    @inline
    def needs_contact_forces(env: Any) -> bool:
        return contact_forces

    register_simulated(
        kind,
        draw_state,
        observe_sim,
        reward_sim,
        remember=remember,
        needs_contact_forces=needs_contact_forces,
        reads_outputs=True,
    )


def _with_bounds_checked(function: Callable[..., Any]) -> Any:
    """Compile a function so that an index beyond an array is an error. It costs little beside a step of MuJoCo."""
    compiled = inline(function)
    if hasattr(compiled, "targetoptions"):  # not with NUMBA_DISABLE_JIT=1
        compiled.targetoptions["boundscheck"] = True
    return compiled


def _compile_now(name: str, function: Any, arguments: tuple[Any, ...]) -> None:
    """Compile a function for the types it will be called with, so that Numba's errors come when the task is made."""
    if not hasattr(function, "compile"):
        return
    signature = tuple(function.typeof_pyval(argument) for argument in arguments)
    try:
        _, _, folded, _ = function.get_call_template(signature, {})
    except Exception as error:
        raise UnsupportedEnvError(f"{name} must be a function that Numba can compile. Numba says: {numba_text(error)}") from error
    given = function.overloads[tuple(folded)].signature.return_type
    boolean, *number = (type(function.typeof_pyval(value)) for value in (True, 0, 0.0))
    if name == "reward" and not isinstance(given, (boolean, *number)):
        raise TypeError(f"reward must give a number wherever it returns; Numba finds the type {given}")
    if name == "terminated" and not isinstance(given, boolean):
        raise TypeError(f"terminated must give a bool wherever it returns; Numba finds the type {given}")

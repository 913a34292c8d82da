"""A MuJoCo task of the user's own: a model, and three plain functions for observations, rewards and the end of an episode.

The functions are compiled into the rollout kernel, as the environments of fastars are (`task_kernels`), and run uncompiled in the
Gymnasium environment that `MujocoTask.make` returns (`task_env`). An episode has the same bits in both, unless the functions call
something that Numba and NumPy compute in different ways (docs/own_mujoco_task.md has the list).

`mujoco` is imported when a task is made: the name `fastars.MujocoTask` is there without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from fastars._validate import boolean, integer, number, positive_int, user_facing
from fastars.envs.compiled import CompiledEnv
from fastars.envs.mujoco.sizes import MOST_STEPS
from fastars.envs.mujoco.task_definition import (
    PARAMETERS,
    TaskDefinition,
    TaskFunctions,
    action_space_of,
    frozen_constants,
    load_model,
)
from fastars.envs.mujoco.task_env import TaskEnv
from fastars.envs.mujoco.task_kernels import compiled_constants, never
from fastars.envs.mujoco.task_trial import try_task
from fastars.envs.user_functions import check_new_id, plain_function


class MujocoTask:
    """A task of your own in MuJoCo, which trains in compiled kernels and runs in plain Gymnasium.

    Give it where an environment is asked for: `ARS("LinearPolicy", task)`, `evaluate_candidates(task, ...)`, `compiled_env(task)`,
    `ARS.load(path, env=task)`. `task.make()` is the same task as a `gymnasium.Env`.

    An episode starts at the model's positions and at rest, with noise from U(-reset_noise_scale, reset_noise_scale) added to every
    position and velocity. An action sets the controls, MuJoCo takes `frame_skip` steps, then reward, terminated and observe are
    called, in this order. Observations are float64 without bounds, actions float32 within the actuators' `ctrlrange`.

    Parameters
    ----------
    model : str, path or mujoco.MjModel
        The path of an MJCF or URDF file, the XML text itself (which starts with "<"), or a loaded model, which is copied.
    observe : callable
        `observe(constants, sim, observation)` writes the observation into `observation`, float64 (n_obs,), all of it.
    reward : callable
        `reward(constants, sim, action, before)` returns the reward of a step: `action` holds the applied controls, float64 (nu,),
        and `before` the positions before the step, float64 (nq,).
    terminated : callable, optional
        `terminated(constants, sim)` returns True if the step ended the episode. Default: only the time limit ends it.
    n_obs : int
        Entries of an observation.
    constants : tuple or NamedTuple, optional
        Numbers, bools, arrays and tuples of these, passed to the functions. Arrays are copied, as float64, int64 or bool, and are
        read-only. Default: `()`.
    frame_skip : int
        MuJoCo's steps in a step of the task.
    max_episode_steps : int
        Time limit of an episode, in steps of the task.
    reset_noise_scale : float
        Half the width of the noise in positions (m, rad) and velocities (m/s, rad/s) at the start.
    contact_forces : bool
        Compute `sim.cfrc_ext` after every step (`mj_rnePostConstraint`), which is 0 otherwise.
    name : str
        An id of Gymnasium's form that no environment has yet. Saved models carry it.

    Attributes
    ----------
    model : mujoco.MjModel
        Not to be changed: the kernels step it.
    observation_space, action_space : gymnasium.spaces.Box
    dt : float
        Seconds in a step of the task.
    compiled : CompiledEnv
        The task as the samplers see it.
    spec : gymnasium.envs.registration.EnvSpec
        Specification from which `gymnasium.make` makes it.

    Raises
    ------
    TypeError
        For an argument that is no function, a function with other parameters, or one that returns another kind of value.
    IndexError
        If a function uses an index beyond an array.
    ValueError
        For a model that MuJoCo can't compile or that has no control range, a number out of its range, or an observation of which
        entries are not written. `FileNotFoundError` if there is no such file.
    UnsupportedEnvError
        For a function that Numba can't compile, or without the mujoco package.

    Warns
    -----
    UserWarning
        With MuJoCo's text, if MuJoCo warns about the model.

    Notes
    -----
    `sim` is a NamedTuple of views of an MjData's arrays under MuJoCo's names (`fastars._compiled.structs.Simulation`): qpos, qvel,
    act, ctrl, qacc, xpos, xquat, xipos, site_xpos, subtree_com, sensordata, cinert, cvel, cfrc_ext, qfrc_actuator, qfrc_constraint.
    Other quantities need a sensor in the model.

    Making a task runs the functions in plain Python for two steps, then compiles them, which takes a second; the globals that
    they read are fixed from then on. The rollout kernel around them is compiled when it is first used in a process (some 5 s). It
    is not cached, as a file could not show that the functions changed, and stays in memory as long as the process.

    An index beyond an array is an IndexError in the kernels, too.

    Examples
    --------
    >>> import fastars
    >>> xml = '''<mujoco><worldbody><body>
    ...   <joint name="hinge" axis="0 1 0" damping="1"/><geom size="0.1" pos="0 0 -1" mass="1"/></body></worldbody>
    ...   <actuator><motor joint="hinge" ctrllimited="true" ctrlrange="-1 1" gear="15"/></actuator></mujoco>'''
    >>> def observe(constants, sim, observation):
    ...     observation[0] = sim.qpos[0] - 1.0
    ...     observation[1] = sim.qvel[0]
    >>> def reward(constants, sim, action, before):
    ...     return -abs(sim.qpos[0] - 1.0)
    >>> task = fastars.MujocoTask(xml, observe, reward, n_obs=2, frame_skip=10, max_episode_steps=100)
    >>> model = fastars.ARS("LinearPolicy", task, delta_std=1.0, learning_rate=0.5, seed=0).learn(10_000)
    >>> model.evaluate(10).returns.mean() > -35
    True
    """

    @user_facing
    def __init__(
        self,
        model: Any,
        observe: Callable[..., None],
        reward: Callable[..., float],
        terminated: Callable[..., bool] | None = None,
        *,
        n_obs: int,
        constants: Any = (),
        frame_skip: int = 1,
        max_episode_steps: int = 1000,
        reset_noise_scale: float = 0.01,
        contact_forces: bool = False,
        name: str = "MujocoTask-v0",
    ) -> None:
        given = {"observe": observe, "reward": reward, "terminated": never if terminated is None else terminated}
        functions = TaskFunctions(*(plain_function(key, function, PARAMETERS[key]) for key, function in given.items()))
        n_obs, frame_skip = positive_int("n_obs", n_obs), integer("frame_skip", frame_skip, 1, MOST_STEPS)
        max_episode_steps = positive_int("max_episode_steps", max_episode_steps)
        scale = number("reset_noise_scale", reset_noise_scale, 0.0)
        contact_forces = boolean("contact_forces", contact_forces)
        if not isinstance(constants, tuple):
            raise TypeError(f"constants must be a NamedTuple or a tuple, got {constants!r}")
        frozen = frozen_constants("constants", constants)
        check_new_id("name", name)
        loaded, source = load_model(model)
        limits = n_obs, action_space_of(loaded, source), frame_skip, max_episode_steps, scale, contact_forces
        definition = TaskDefinition(name, loaded, source, functions, frozen, *limits)
        try_task(definition)
        self._spec = _spec(self, definition)
        spaces = definition.observation_space, definition.action_space
        compiled = CompiledEnv(name, {}, compiled_constants(definition), max_episode_steps, *spaces, loaded, self._spec)
        self._definition = replace(definition, compiled=compiled)
        self.source = source
        self.name, self.constants, self.n_obs, self.max_episode_steps = name, frozen, n_obs, max_episode_steps
        self.observation_space, self.action_space = spaces

    @property
    def definition(self) -> TaskDefinition:
        """The checked arguments. They can't be exchanged: the kernels were compiled for them."""
        return self._definition

    @property
    def compiled(self) -> CompiledEnv:
        """The task as the samplers see it.

        Raises
        ------
        UnsupportedEnvError
            If the model has other first positions than when the task was made, or if a callback of MuJoCo is set.
        """
        return self._definition.checked()

    @property
    def spec(self) -> EnvSpec:
        """Specification from which `gymnasium.make` makes the task."""
        return self._spec

    @property
    def model(self) -> Any:
        """The MjModel, which the kernels step."""
        return self._definition.model

    @property
    def dt(self) -> float:
        """Seconds in a step of the task."""
        return self.definition.dt

    def make(self, **kwargs: Any) -> gymnasium.Env:
        """Make the task in plain Gymnasium: the functions uncompiled, MuJoCo through its own Python bindings.

        Where MuJoCo finds the physics unstable, the step's reward is NaN and the episode ends, as it does in the kernels; MuJoCo's
        warnings stand in the step's `info["warnings"]`. A fatal error in MuJoCo is a `SimulationError`.

        Parameters
        ----------
        **kwargs
            Arguments of `gymnasium.make`, such as `render_mode="human"` or `max_episode_steps`.

        Returns
        -------
        gymnasium.Env
        """
        return gymnasium.make(self.spec, **kwargs)

    def __repr__(self) -> str:
        return f"MujocoTask({self.source!r}, n_obs={self.n_obs}, n_act={self.model.nu}, name={self.name!r})"


def _spec(task: MujocoTask, definition: TaskDefinition) -> EnvSpec:
    """Return the specification from which `gymnasium.make` makes the task."""

    def entry_point(**kwargs: Any) -> TaskEnv:  # no method: Gymnasium copies specs, and would copy the task with it
        return TaskEnv(task.definition, **kwargs)

    # The functions were tried already, so Gymnasium's checker isn't needed.
    return EnvSpec(definition.name, entry_point, max_episode_steps=definition.max_episode_steps, disable_env_checker=True)

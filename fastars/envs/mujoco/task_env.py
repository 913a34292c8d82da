"""A user's MuJoCo task in Gymnasium: the functions uncompiled, MuJoCo through its own Python bindings."""

from __future__ import annotations

import copy
import math
from typing import Any

import gymnasium
import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.envs.compiled import CompiledEnv
from fastars.envs.errors import ChangedEnvError
from fastars.envs.mujoco.task_definition import TaskDefinition

_PIXELS = 480  # of a picture, each way, as in Gymnasium


class TaskEnv(gymnasium.Env):
    """A `MujocoTask` in Gymnasium, with a model of its own. `MujocoTask.make` puts a time limit around it.

    Parameters
    ----------
    definition : TaskDefinition
    render_mode : {"human", "rgb_array", "depth_array"}, optional
        As for Gymnasium's MuJoCo environments.
    """

    def __init__(self, definition: TaskDefinition, render_mode: str | None = None) -> None:
        from fastars.envs.mujoco.capi import simulation_of
        from fastars.envs.mujoco.library import mujoco

        self.definition = definition
        self.fullpath = definition.source
        self.model = copy.copy(definition.model)
        self.data = mujoco.MjData(self.model)
        self.sim = simulation_of(self.model, self.data)
        self.init_qpos, self.init_qvel = self.data.qpos.copy(), self.data.qvel.copy()
        self.observation_space, self.action_space = definition.observation_space, definition.action_space
        self.metadata = {"render_modes": ["human", "rgb_array", "depth_array"], "render_fps": max(round(1.0 / definition.dt), 1)}
        self.render_mode = render_mode
        self._renderer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy: its views and pictures are of its own simulation."""
        return {name: value for name, value in vars(self).items() if name not in ("sim", "_renderer")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from fastars.envs.mujoco.capi import simulation_of

        vars(self).update(state)
        self.sim, self._renderer = simulation_of(self.model, self.data), None

    def __copy__(self) -> TaskEnv:
        """Return an independent copy, as `copy.deepcopy` does: two environments can't share a simulation."""
        return copy.deepcopy(self)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[FloatArray, dict[str, Any]]:
        """Start an episode: (observation, {})."""
        super().reset(seed=seed)
        self.reset_sim(self.np_random)
        return self._observe(), {}

    def step(self, action: Any) -> tuple[FloatArray, float, bool, bool, dict[str, Any]]:
        """Take a step: (observation, reward, terminated, False, info)."""
        before, texts = self.step_sim(action)
        constants, sim, functions = self.definition.constants, self.sim, self.definition.functions
        with np.errstate(all="ignore"):  # the kernels give no warning of a division by zero, either
            reward = float(functions.reward(constants, sim, sim.ctrl, before))
            terminated = bool(functions.terminated(constants, sim))
        if self.is_unstable:
            reward, terminated = math.nan, True
        return self._observe(), reward, terminated, False, {"warnings": texts} if texts else {}

    def reset_sim(self, rng: np.random.Generator) -> None:
        """Put the simulation into an initial state, drawn from `rng`."""
        from fastars.envs.mujoco.library import mujoco
        from fastars.envs.mujoco.messages import collected_warnings, fatal_errors

        scale = self.definition.reset_noise_scale
        with collected_warnings():
            mujoco.mj_resetData(self.model, self.data)
            self.data.qpos[:] = self.init_qpos + rng.uniform(-scale, scale, self.model.nq)
            self.data.qvel[:] = self.init_qvel + rng.uniform(-scale, scale, self.model.nv)
            with fatal_errors(self.definition.name):
                mujoco.mj_forward(self.model, self.data)

    def step_sim(self, action: Any) -> tuple[FloatArray, list[str]]:
        """Step the physics under `action` (nu,); returns the positions before, (nq,), and MuJoCo's warnings."""
        from fastars.envs.mujoco.library import mujoco
        from fastars.envs.mujoco.messages import collected_warnings, fatal_errors

        if np.shape(action) != self.action_space.shape:
            raise ValueError(f"action must have shape {self.action_space.shape}, got {np.shape(action)}")
        before = self.data.qpos.copy()
        self.data.ctrl[:] = action
        with collected_warnings() as texts, fatal_errors(self.definition.name):
            mujoco.mj_step(self.model, self.data, nstep=self.definition.frame_skip)
            if self.definition.contact_forces:
                mujoco.mj_rnePostConstraint(self.model, self.data)
        return before, texts

    @property
    def is_unstable(self) -> bool:
        """True if MuJoCo found bad numbers in the state since the episode began."""
        return bool(self.sim.bad.any())

    def compiled(self, max_steps: int) -> CompiledEnv:
        """Return the task as the samplers see it, with this time limit."""
        if not np.shares_memory(self.sim.qpos, self.data.qpos):
            raise ChangedEnvError(f"env {self.definition.name!r} was changed: its sim is not that of its data")
        return self.definition.checked()._replace(max_steps=max_steps)

    def _observe(self) -> FloatArray:
        observation = np.full(self.definition.n_obs, np.nan)
        with np.errstate(all="ignore"):
            self.definition.functions.observe(self.definition.constants, self.sim, observation)
        if self.render_mode == "human":
            self.render()
        return observation

    def render(self) -> Any:
        """Return or show a picture of the simulation, by Gymnasium's renderer of MuJoCo. The camera follows what moves."""
        if self.render_mode is None:
            return None
        if self._renderer is None:
            from gymnasium.envs.mujoco.mujoco_rendering import MujocoRenderer

            from fastars.envs.mujoco.camera import follow

            buffer = self.model.vis.global_  # pictures are cut to it; a file may declare a small one
            buffer.offwidth, buffer.offheight = max(buffer.offwidth, _PIXELS), max(buffer.offheight, _PIXELS)
            self._renderer = MujocoRenderer(self.model, self.data, width=_PIXELS, height=_PIXELS)
            follow(self._renderer)
        return self._renderer.render(self.render_mode)

    def close(self) -> None:
        """Close the renderer's window."""
        if self._renderer is not None:
            self._renderer.close()

"""A MuJoCo task of the user's, checked: its model, functions, constants and numbers."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box

from fastars._runtime.forks import forks_wait
from fastars.envs.compiled import CompiledEnv
from fastars.envs.errors import ChangedEnvError, UnsupportedEnvError
from fastars.envs.mujoco.sizes import timestep_fault
from fastars.envs.user_functions import NUMBERS, frozen_number

PARAMETERS = {
    "observe": ("constants", "sim", "observation"),
    "reward": ("constants", "sim", "action", "before"),
    "terminated": ("constants", "sim"),
}
_FRAMES_TO_USER = 4  # `load_model`, `MujocoTask.__init__`, its decorator, and the user's line


class TaskFunctions(NamedTuple):
    """The three functions that make a model a task, plain or compiled."""

    observe: Callable[..., Any]
    reward: Callable[..., Any]
    terminated: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class TaskDefinition:
    """A task in MuJoCo, checked; the arguments of `MujocoTask` describe its fields."""

    name: str
    model: Any  # MjModel
    source: str  # what the model was made from
    functions: TaskFunctions  # plain
    constants: Any
    n_obs: int
    action_space: Box
    frame_skip: int
    max_episode_steps: int
    reset_noise_scale: float
    contact_forces: bool
    compiled: CompiledEnv | None = None  # once the functions were tried and compiled

    @property
    def observation_space(self) -> Box:
        """A Box (n_obs,) of float64, without bounds."""
        return Box(-np.inf, np.inf, (self.n_obs,), np.float64)

    @property
    def dt(self) -> float:
        """Seconds in a step of the task."""
        return float(self.model.opt.timestep * self.frame_skip)

    def checked(self) -> CompiledEnv:
        """Return the compiled form, which must start as the task in Python does.

        Raises
        ------
        UnsupportedEnvError
            If there is none yet, if the model has other first positions than when the task was made, or if a callback of MuJoCo is
            set.
        """
        from fastars.envs.mujoco.arguments import refuse_hooks

        if self.compiled is None:
            raise UnsupportedEnvError(f"env {self.name!r} is not compiled yet")
        if not np.array_equal(self.compiled.constants.physics.init_qpos, self.model.qpos0):
            raise ChangedEnvError(f"the task {self.name!r} was changed: qpos0 of its model is {self.model.qpos0}")
        refuse_hooks(self.name)
        return self.compiled


def frozen_constants(name: str, value: Any) -> Any:
    """Return constants in the types that plain Python and the kernels compute with alike: float64, int64, bool.

    Raises
    ------
    TypeError
        For anything but numbers, bools, arrays of them, and tuples of these.
    ValueError
        For an integer of more than 64 bits.
    """
    if isinstance(value, NUMBERS):
        return frozen_number(name, value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        array: np.ndarray = np.array(value, {"b": np.bool_, "f": np.float64}.get(value.dtype.kind, np.int64), order="C")
        array.flags.writeable = False
        return array
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", range(len(value)))
        parts = [frozen_constants(f"{name}.{field}", part) for field, part in zip(fields, value, strict=True)]
        return value._make(parts) if hasattr(value, "_make") else tuple(parts)
    raise TypeError(f"{name} must be a number, a bool, an array of them, or a tuple or NamedTuple of these, got {value!r}")


def load_model(model: Any) -> tuple[Any, str]:
    """Return (MjModel, what it was made from) for the argument `model`.

    Raises
    ------
    TypeError
        If it is neither a path, a text nor an MjModel.
    FileNotFoundError
        If there is no such file.
    ValueError
        If MuJoCo can't compile it, or its timestep is no positive number.
    """
    from fastars.envs.mujoco.library import mujoco
    from fastars.envs.mujoco.messages import collected_warnings

    if isinstance(model, mujoco.MjModel):
        return _timed(copy.copy(model), "an MjModel")
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"model must be the path of an MJCF file, its XML text or an mujoco.MjModel, got {model!r}")
    text = os.fsdecode(model)
    load, source = mujoco.MjModel.from_xml_string, "the XML text"
    if not text.lstrip().startswith("<"):
        load, source = mujoco.MjModel.from_xml_path, os.path.expanduser(text)
        text = source
        if not os.path.isfile(text):
            raise FileNotFoundError(f"model must be the path of an MJCF file, or XML text that starts with '<'; no file {text!r}")
    with collected_warnings() as texts, forks_wait():
        try:
            loaded = load(text)
        except (ValueError, mujoco.FatalError) as error:
            raise ValueError(f"model must be MJCF that MuJoCo can compile; of {source} it says: {error}") from error
    for warning in texts:
        warnings.warn(f"MuJoCo on {source}: {warning}", UserWarning, stacklevel=_FRAMES_TO_USER)
    return _timed(loaded, source)


def _timed(model: Any, source: str) -> tuple[Any, str]:
    """Return (model, source) of a model whose time passes. Warn if this version of MuJoCo has a fault that concerns it."""
    from fastars.envs.mujoco.library import warn_of_faults

    if fault := timestep_fault(model):
        raise ValueError(f"model must have a timestep that can be stepped; in {source}, {fault}")
    warn_of_faults(f"model ({source})", model)
    return model, source


def action_space_of(model: Any, source: str) -> Box:
    """Return the controls between their ranges, as Gymnasium has them.

    Raises
    ------
    ValueError
        If the model has no actuator, or one without a range.
    """
    if model.nu == 0:
        raise ValueError(f"model must have an actuator, {source} has none")
    low, high = model.actuator_ctrlrange.astype(np.float32).T.copy()
    for k in np.flatnonzero(~((low < high) & np.isfinite(high - low))):
        # An actuator of MuJoCo 4 can have several controls.
        name = model.actuator(k).name if getattr(model, "nactuator", model.nu) == model.nu else ""
        raise ValueError(
            f"model must limit its controls: actuator {name or int(k)!r} of {source} has the range "
            f'[{low[k]:g}, {high[k]:g}]. Give it ctrllimited="true" and ctrlrange="<lowest> <highest>"'
        )
    return Box(low, high, dtype=np.float32)

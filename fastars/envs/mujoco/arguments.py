"""Read the constants of a compiled MuJoCo environment from Gymnasium's environment."""

import inspect
from typing import Any

import numpy as np

from fastars._compiled.blas import blas_is_fused
from fastars.envs.called import replaced
from fastars.envs.errors import ChangedEnvError, UnsupportedEnvError
from fastars.envs.mujoco.library import mujoco
from fastars.envs.mujoco.physics import Physics
from fastars.envs.mujoco.sizes import check_model

# Arguments of `gymnasium.make` that change pictures only.
COSMETIC = {
    "render_mode",
    "width",
    "height",
    "camera_id",
    "camera_name",
    "default_camera_config",
    "max_geom",
    "visual_options",
}
_CALLBACKS = ("act_bias", "act_dyn", "act_gain", "contactfilter", "control", "passive", "sensor")
_CALLER = "fastars.envs.mujoco.task_env"  # calls the functions that steps need, as Gymnasium's environments do
# Fields that are bodies, with their names in models for which Gymnasium has no argument.
_BODIES = {"main_body": "torso", **{name: name for name in ("fingertip", "target", "tips_arm", "object", "goal")}}


def physics_of(model: Any, frame_skip: int, version: int) -> Physics:
    """Return the constants of an MjModel and of its steps."""
    return Physics(
        init_qpos=model.qpos0.copy(),
        init_qvel=np.zeros(model.nv),
        body_mass=model.body_mass.copy(),
        total_mass=float(model.body_mass.sum()),
        timestep=float(model.opt.timestep),
        frame_skip=frame_skip,
        dt=float(model.opt.timestep * frame_skip),
        version=version,
        is_fused=blas_is_fused(),
    )


def constants_of(constants_type: Any, env: Any, kwargs: dict[str, Any]) -> Any:
    """Return the NamedTuple of constants for Gymnasium's unwrapped environment `env`, which was made with `kwargs`.

    Raises
    ------
    UnsupportedEnvError
        For an argument of `gymnasium.make` that the kernels don't know, or that makes Gymnasium compute in another precision.
    ValueError
        For a model with which Gymnasium's environment fails, too: it is too small, or a body is missing.
    """
    env_id = env.spec.id
    arguments = inspect.signature(type(env).__init__).parameters
    known = [name for name in (*constants_type._fields, "xml_file", "frame_skip") if name in arguments]
    for name, value in kwargs.items():
        if name not in known:
            raise UnsupportedEnvError(
                f"env {env_id!r}: the keyword argument {name}={value!r} is not compiled (compiled: {', '.join(known) or 'none'})"
            )
        if name != "xml_file":
            _check(env_id, name, value, constants_type._field_defaults.get(name))
    check_model(constants_type.__name__, env)
    observation, bodies = _observed(constants_type, env)
    if observation.shape != env.observation_space.shape:
        raise UnsupportedEnvError(
            f"env {env_id!r}: its observations have shape {observation.shape}, its observation_space says "
            f"{env.observation_space.shape}"
        )
    fields: dict[str, Any] = {}
    for name, default in constants_type._field_defaults.items():
        if name in _BODIES:
            fields[name] = bodies[name]
            continue
        value = getattr(env, f"_{name}", default)
        fields[name] = tuple(map(float, value)) if isinstance(default, tuple) else type(default)(value)
    version = int(env_id.rpartition("-v")[2])
    return constants_type(physics_of(env.model, env.frame_skip, version), **fields)


def _observed(constants_type: Any, env: Any) -> tuple[Any, dict[str, int]]:
    """Return an observation, and the numbers of the bodies that the environment looks at."""
    names = [name for name in constants_type._field_defaults if name in _BODIES]
    try:
        observation = env._get_obs()
        return observation, {name: env.model.body(getattr(env, f"_{name}", _BODIES[name])).id for name in names}
    except (KeyError, IndexError, ValueError) as error:
        text = " ".join(str(error.args[0] if error.args else error).split())
        raise ValueError(f"env {env.spec.id!r}: xml_file {env.fullpath} does not fit this environment: {text}") from error


def _check(env_id: str, name: str, value: Any, default: Any) -> None:
    """Raise for a value that Gymnasium and the kernels would compute with in different ways."""
    numbers = value if isinstance(value, (tuple, list)) else (value,)
    if any(isinstance(number, np.generic) for number in numbers):
        raise UnsupportedEnvError(
            f"env {env_id!r}: {name} must be of plain Python numbers, got {value!r}, with which NumPy computes in another precision"
        )
    fits = all(isinstance(number, (bool, int, float)) and number == number for number in numbers)
    if isinstance(default, tuple):
        kind, fits = "two numbers", fits and len(numbers) == len(default)
    elif isinstance(default, bool):
        kind, fits = "True or False", fits and numbers in ((True,), (False,))
    elif name == "main_body":
        kind, fits = "a number or a name", isinstance(value, (int, str))
    else:
        kind, fits = "a number", fits and numbers == (value,)
    if not fits:
        raise UnsupportedEnvError(f"env {env_id!r}: {name} must be {kind}, got {value!r}")


def refuse_hooks(env_id: str) -> None:
    """Raise if a callback of MuJoCo is set, or a function of its Python package was replaced: Gymnasium's steps would call it.

    Raises
    ------
    ChangedEnvError
        The message names it.
    """
    for name in _CALLBACKS:
        if getattr(mujoco, f"get_mjcb_{name}")() is not None:
            raise ChangedEnvError(f"env {env_id!r} was changed: MuJoCo's callback mjcb_{name} is set")
    if (found := replaced(_CALLER, {"mujoco": mujoco})) is not None:
        raise ChangedEnvError(f"env {env_id!r} was changed: {found} is not MuJoCo's own")


def is_same_model(model: Any, other: Any) -> bool:
    """True if two MjModels hold the same bytes."""
    return model_bytes(model) == model_bytes(other)


def model_bytes(model: Any) -> bytes:
    """Return all that an MjModel holds, as MuJoCo writes it to a file."""
    buffer = np.zeros(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()

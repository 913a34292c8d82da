"""Find the compiled form of an environment: what it was made with becomes the constants of the kernels."""

from __future__ import annotations

import copy
import importlib
import inspect
import os
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from fastars._validate import near_names, user_facing
from fastars.envs.changes import refuse_changed_attributes, refuse_other_classes
from fastars.envs.compiled import CompiledEnv
from fastars.envs.errors import ChangedEnvError, UnsupportedEnvError
from fastars.envs.making import make
from fastars.envs.originals import altered, is_as_in_file, set_on
from fastars.envs.registry import COMPILED, ENTRY_POINTS, USER_ENVS, compiled_env_ids, compiled_id
from fastars.envs.terms import RewardTerms, with_terms
from fastars.envs.wrappers import innermost, layers, time_limit

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

    from fastars.envs.mujoco.task import MujocoTask


class UnknownEnvError(UnsupportedEnvError, gymnasium.error.UnregisteredEnv):
    """No environment has this id. It is of both kinds, as `gymnasium.make` raises the second one."""


@user_facing
def compiled_env(env: str | gymnasium.Env | MujocoTask | CompiledEnv) -> CompiledEnv:
    """Return the compiled form of an environment.

    Parameters
    ----------
    env : str, gymnasium.Env, MujocoTask or CompiledEnv
        A registered id, an environment made from one (its keyword arguments and time limit are taken over), a task of your own, or
        what `register_env` returned.

    Raises
    ------
    UnsupportedEnvError
        If it is unknown, not compiled, has no time limit, or was changed in a way the kernels don't know: a wrapper, a keyword
        argument or an attribute, which the message names.
    TypeError
        If `env` is none of these.
    """
    from fastars.envs.mujoco.task import MujocoTask  # here, as these import Numba
    from fastars.envs.mujoco.task_env import TaskEnv

    if isinstance(env, CompiledEnv):
        return env
    if isinstance(env, MujocoTask):
        if (name := "make" if type(env) is not MujocoTask else set_on(env) or altered(MujocoTask, TaskEnv)) is not None:
            raise ChangedEnvError(f"the task {env.name!r} was changed: it has a method {name} of its own")
        return env.compiled
    if isinstance(env, str):
        made = _made(env)
        try:
            compiled = _compiled(made)
            if not is_as_in_file(gymnasium.make, "gymnasium.envs.registration"):
                refuse_changed_attributes(made)
            return compiled
        finally:
            made.close()
    if isinstance(env, gymnasium.Env):
        compiled = _compiled(env)
        refuse_changed_attributes(env)
        return with_terms(compiled) if layers(env, RewardTerms) else compiled
    raise TypeError(f"env must be an environment id, a gymnasium.Env or a MujocoTask, not {type(env).__name__}: {env!r}")


def _made(env_id: str) -> gymnasium.Env:
    """Make the environment with this id, if it is a compiled one."""
    env_id = compiled_id(env_id)
    if env_id not in COMPILED and env_id not in USER_ENVS:
        if env_id in gymnasium.registry:
            raise UnsupportedEnvError(f"env {env_id!r} is a Gymnasium environment, but not a compiled one")
        near = near_names(env_id, {*compiled_env_ids(), *gymnasium.registry}, 3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
        raise UnknownEnvError(
            f"env {env_id!r} is not a known environment id{hint} fastars.compiled_env_ids() lists the compiled ones. One of your "
            "own must be registered: import its module first, or write MODULE:ID"
        )
    return make(env_id)


def _compiled(env: gymnasium.Env) -> CompiledEnv:
    """Return the compiled form of an environment of known classes, whose attributes are not looked at."""
    from fastars.envs.mujoco.task_env import TaskEnv  # here, as these import Numba
    from fastars.envs.user_gym import UserEnv

    spec, unwrapped = env.spec, innermost(env)
    is_by_user = isinstance(unwrapped, (TaskEnv, UserEnv))
    if spec is None or not (is_by_user or compiled_id(spec.id) in COMPILED):
        name = spec.id if spec is not None else type(unwrapped).__name__
        spaces = f"observations {env.observation_space}, actions {env.action_space}"
        raise UnsupportedEnvError(f"env {name!r} ({spaces}) is not a compiled one")
    if not (is_by_user or str(spec.entry_point).startswith(ENTRY_POINTS)):
        raise ChangedEnvError(f"env {spec.id!r} was registered anew, as {spec.entry_point!r}, and the compiled one was not")
    refuse_other_classes(env, spec.id)
    limits = time_limit(env), getattr(unwrapped, "time_limit", None)  # mo-gymnasium's reservoir has one of its own
    max_steps = min((limit for limit in limits if limit is not None), default=0)
    if max_steps < 1:
        raise UnsupportedEnvError(f"env {spec.id!r} has no time limit: make it with max_episode_steps=...")
    if isinstance(unwrapped, (TaskEnv, UserEnv)):
        return unwrapped.compiled(max_steps)
    home = COMPILED[compiled_id(spec.id)]
    kind = getattr(importlib.import_module(home.path), home.name)
    kwargs = {key: value for key, value in spec.kwargs.items() if key != "render_mode"}
    if home.family == "multi":
        return _with_vector_reward(unwrapped, kind, spec.id, kwargs, max_steps)
    if home.family == "mujoco":
        return _simulated(env, kind, spec, max_steps)
    constants = _constants(kind, spec.id, kwargs)
    kwargs = {key: getattr(constants, key) for key in kwargs}
    return CompiledEnv(spec.id, kwargs, constants, max_steps, env.observation_space, env.action_space)


def _with_vector_reward(unwrapped: Any, kind: Any, env_id: str, kwargs: dict[str, Any], max_steps: int) -> CompiledEnv:
    """Return the compiled form of an environment of the family "multi", or of the one of mo-gymnasium's that it follows."""
    if not isinstance(unwrapped, kind):
        known = [name for name in inspect.signature(kind).parameters if name != "render_mode"]
        kwargs = {name: value for name, value in kwargs.items() if name != "time_limit"}
        for name, value in kwargs.items():
            if name not in known:
                raise UnsupportedEnvError(
                    f"env {env_id!r}: the keyword argument {name}={value!r} is not compiled (compiled: {', '.join(known)})"
                )
        try:
            unwrapped = kind(**kwargs)
        except (TypeError, ValueError) as error:
            raise UnsupportedEnvError(f"env {env_id!r}: {error}") from error
    return unwrapped.compiled(compiled_id(env_id), max_steps)


def _simulated(env: gymnasium.Env, constants_type: Any, spec: EnvSpec, max_steps: int) -> CompiledEnv:
    """Return the compiled form of one of Gymnasium's MuJoCo environments, with a copy of its model."""
    from fastars.envs.mujoco.arguments import COSMETIC, constants_of, refuse_hooks
    from fastars.envs.mujoco.library import warn_of_faults

    refuse_hooks(spec.id)
    unwrapped: Any = env.unwrapped
    kwargs = {key: value for key, value in spec.kwargs.items() if key not in COSMETIC}
    constants = constants_of(constants_type, unwrapped, kwargs)
    if str(kwargs.get("xml_file", "")).startswith((".", "~", "/")):  # else it is one of Gymnasium's own, wherever that is installed
        kwargs["xml_file"] = os.path.abspath(unwrapped.fullpath)
    warn_of_faults(f"env {spec.id!r}", unwrapped.model)
    model = copy.copy(unwrapped.model)
    return CompiledEnv(spec.id, kwargs, constants, max_steps, env.observation_space, env.action_space, model)


def _constants(constants_type: Any, env_id: str, kwargs: dict[str, Any]) -> Any:
    """Return the NamedTuple of constants for keyword arguments of `gymnasium.make`; unknown ones are refused."""
    allowed = constants_type().gymnasium()[1]
    for key, value in kwargs.items():
        if key not in allowed:
            known = ", ".join(allowed) or "none"
            raise UnsupportedEnvError(f"env {env_id!r}: the keyword argument {key}={value!r} is not compiled (compiled: {known})")
        if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)) or not np.isfinite(value):
            raise UnsupportedEnvError(f"env {env_id!r}: {key} must be a finite number or a bool, got {value!r}")
    fields = constants_type._field_defaults
    return constants_type(**{key: type(fields[key])(value) for key, value in kwargs.items()})

"""Refuse a Gymnasium environment that was changed: compiled kernels only know the environment that its id makes."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from fastars.envs.errors import UnsupportedEnvError
from fastars.envs.making import quiet
from fastars.envs.terms import TERMS, RewardTerms
from fastars.envs.wrappers import layers

# Wrappers that `gymnasium.make` adds itself, or that only watch: they change nothing that a rollout returns.
_TRANSPARENT_WRAPPERS = {"TimeLimit", "OrderEnforcing", "PassiveEnvChecker", "RecordEpisodeStatistics", "RecordVideo"}
# Attributes of an environment that have no influence on its dynamics.
_COSMETIC = {"render_mode", "isopen", "screen", "clock", "screen_width", "screen_height", "screen_dim", "SCREEN_DIM"}
_COSMETIC |= {"width", "height", "camera_id", "camera_name", "_ezpickle_args", "_ezpickle_kwargs", "sim", "time_step"}


def refuse_changes(env: gymnasium.Env, spec: EnvSpec) -> None:
    """Raise if `env`, which was made from `spec`, differs from a newly made one in a wrapper, a space, an attribute or its model.

    Raises
    ------
    UnsupportedEnvError
        The message names what was changed.
    """
    _refuse_wrappers(env, spec)
    with quiet(spec.id):
        fresh = gymnasium.make(spec)
    try:
        _refuse_changed_attributes(env, fresh, spec.id)
        if hasattr(fresh.unwrapped, "model"):
            _refuse_changed_model(env.unwrapped, fresh.unwrapped)
    finally:
        fresh.close()


def _refuse_wrappers(env: gymnasium.Env, spec: EnvSpec) -> None:
    """Raise if a wrapper changes what rollouts return."""
    for layer in layers(env):
        if type(layer) is RewardTerms and layer.terms == TERMS.get(spec.id):
            continue
        if type(layer) is gymnasium.wrappers.TimeLimit:  # which rl_zoo3 replaces by one of its own
            continue
        if type(layer).__name__ not in _TRANSPARENT_WRAPPERS or not type(layer).__module__.startswith("gymnasium."):
            raise UnsupportedEnvError(f"env {spec.id!r} has the wrapper {type(layer).__name__}, which compiled rollouts don't run")


def _refuse_changed_attributes(env: gymnasium.Env, fresh: gymnasium.Env, env_id: str) -> None:
    """Raise if the class, a space or an attribute is not as in a newly made environment."""
    theirs: Any = env.unwrapped
    ours: Any = fresh.unwrapped
    if type(theirs) is not type(ours):
        raise UnsupportedEnvError(f"env {env_id!r} is a {type(theirs).__name__}, not Gymnasium's {type(ours).__name__}")
    for name in ("observation_space", "action_space"):
        if getattr(env, name) != getattr(fresh, name):
            raise UnsupportedEnvError(f"env {env_id!r} was changed: its {name} is {getattr(env, name)}")
    for name, value in vars(theirs).items():
        if name not in _COSMETIC and _is_changed(value, getattr(ours, name, None)):
            raise UnsupportedEnvError(f"env {env_id!r} was changed: its attribute {name} is {value!r}, not {getattr(ours, name)!r}")


def _refuse_changed_model(theirs: Any, ours: Any) -> None:
    """Raise if a MuJoCo environment has another model or other first positions than its file gives."""
    from fastars.envs.mujoco.arguments import is_same_model

    if not is_same_model(theirs.model, ours.model):
        raise UnsupportedEnvError(
            f"env {theirs.spec.id!r} was changed: its MuJoCo model is not that of {theirs.fullpath}; write the change into an "
            "xml_file of your own"
        )
    n_moved = 4 if theirs.spec.id.startswith("Pusher") else 0  # positions of the object and the goal, which its reset overwrites
    for name in ("init_qpos", "init_qvel"):
        value, original = getattr(theirs, name), getattr(ours, name)
        if not np.array_equal(value[: len(value) - n_moved], original[: len(value) - n_moved]):
            raise UnsupportedEnvError(f"env {theirs.spec.id!r} was changed: its attribute {name} is {value!r}, not {original!r}")


def _is_changed(value: Any, original: Any) -> bool:
    """True if an attribute that defines an environment has another value: a number, a text, a list, a method."""
    if callable(original):
        return True  # an instance has no methods of its own
    if isinstance(original, tuple) and hasattr(original, "_fields"):
        return bool(value != original)
    if isinstance(original, (bool, int, float, str, list, tuple)):
        return not np.array_equal(np.asarray(value), np.asarray(original))
    return False

"""Refuse a Gymnasium environment that was changed: compiled kernels only know the environment that its id makes.

Every environment goes the same way, whether it was given or made from an id. It is walked from the outside to the innermost layer.
Each layer must be of a known class, as the file of this class has it, without a method set on the instance. The attributes of the
innermost layer must be those of a newly made environment.
"""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium
from gymnasium.envs.registration import load_env_creator

from fastars.envs.errors import ChangedEnvError
from fastars.envs.making import made_quietly
from fastars.envs.originals import altered, fingerprint, set_on
from fastars.envs.registry import COMPILED, compiled_id
from fastars.envs.terms import TERMS, RewardTerms
from fastars.envs.wrappers import impossible_limit, innermost, layers, time_limit

# Wrappers that `gymnasium.make` adds itself, or that only watch: they change nothing that a rollout returns.
_TRANSPARENT = {"TimeLimit", "OrderEnforcing", "PassiveEnvChecker", "RecordEpisodeStatistics", "RecordVideo"}
_OF_RL_ZOO = "rl_zoo3.gym_patches.PatchedTimeLimit"  # which takes the place of Gymnasium's
# Attributes that `reset` writes, whatever they were.
_STATE = {"state", "last_u", "steps_beyond_terminated", "goal", "goal_pos", "cylinder_pos", "current_state", "step_count"}
_STATE |= {"time_step", "last_action", "dam_inflow", "excess", "defict", "_np_random", "_np_random_seed", "data", "sim"}
# Attributes that have no influence on what a step returns.
_COSMETIC = {"render_mode", "isopen", "screen", "clock", "screen_width", "screen_height", "screen_dim", "SCREEN_DIM", "metadata"}
_COSMETIC |= {"width", "height", "camera_id", "camera_name", "_ezpickle_args", "_ezpickle_kwargs", "mujoco_renderer", "_renderer"}
_COSMETIC |= {"spec", "surf", "window", "window_size", "font"}
_COMPARED_APART = {"model", "init_qpos", "init_qvel"}  # by `_refuse_changed_model`
_CLASSES_OF_MO_GYMNASIUM = {
    "deep_sea_treasure": "deep_sea_treasure.deep_sea_treasure.DeepSeaTreasure",
    "mountain_car": "mountain_car.mountain_car.MOMountainCar",
    "mountain_car_continuous": "continuous_mountain_car.continuous_mountain_car.MOContinuousMountainCar",
    "water_reservoir": "water_reservoir.dam_env.DamEnv",
}
_CLASSES_OF_USERS = "fastars.envs.user_gym.UserEnv", "fastars.envs.mujoco.task_env.TaskEnv"


def refuse_other_classes(env: gymnasium.Env, env_id: str) -> None:
    """Raise if a layer of an environment is not of a known class, or if a method of it was changed.

    Raises
    ------
    ChangedEnvError
        The message names the layer, and what was changed.
    """
    inner, outer = innermost(env), list(layers(env))
    for layer in outer:
        _refuse_wrapper(layer, env_id)
    known = class_names(env_id)
    if _name_of(type(inner)) not in known:
        raise ChangedEnvError(
            f"env {env_id!r} is a {type(inner).__name__}, not Gymnasium's {known[0].rpartition('.')[2]}, which is compiled"
        )
    _refuse_changed_methods([*outer, inner], env_id)


def refuse_changed_attributes(env: gymnasium.Env) -> None:
    """Raise if a space, an attribute or the model of an environment is not as in one newly made from its specification."""
    spec: Any = env.spec
    inner = innermost(env)
    kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    creator = spec.entry_point if callable(spec.entry_point) else load_env_creator(spec.entry_point)
    if compiled_id(spec.id) in COMPILED:
        creator = type(inner)  # which was checked; `gymnasium.make` and names of packages may be somebody's own
    try:
        with made_quietly(spec.id):
            fresh = creator(**kwargs)
    except Exception as error:
        raise ChangedEnvError(f"env {spec.id!r} can't be made again from its spec: {error}") from error
    try:
        _refuse_other_spaces(env, fresh, spec.id)
        _refuse_other_attributes(inner, fresh, spec.id)
        if hasattr(fresh, "model"):
            _refuse_changed_model(inner, fresh)
    finally:
        fresh.close()


def difference(env: gymnasium.Env, other: gymnasium.Env) -> str | None:
    """Return the name of what differs between two environments that should be alike; None if nothing was found.

    Classes, methods that were set, and arguments are compared; the attributes too, if the environment is one that may be compiled.
    """
    both = [[*layers(each), innermost(each)] for each in (env, other)]
    for ours, theirs in itertools.zip_longest(*both):
        if type(ours) is not type(theirs) or set_on(ours) != set_on(theirs):
            return f"the {type(theirs).__name__}"
    if env.spec is None or other.spec is None:
        return None
    if _arguments(env) != _arguments(other):
        return "the arguments"
    if compiled_id(env.spec.id) in COMPILED:
        try:
            _refuse_other_attributes(both[1][-1], both[0][-1], env.spec.id)
            if hasattr(both[0][-1], "model"):
                _refuse_changed_model(both[1][-1], both[0][-1])
        except ChangedEnvError as error:
            return str(error).partition("was changed: ")[2]
    return None


def _arguments(env: Any) -> tuple[Any, ...]:
    kwargs = {name: value for name, value in env.spec.kwargs.items() if name != "render_mode"}
    return env.spec.id, fingerprint(kwargs), time_limit(env)


def class_names(env_id: str) -> tuple[str, ...]:
    """Return the full names of the classes whose steps the compiled form of an id does."""
    home = COMPILED.get(compiled_id(env_id))
    if home is None:
        return _CLASSES_OF_USERS
    if home.family == "classic":
        module = "continuous_mountain_car" if home.module == "mountain_car_continuous" else home.module
        name = "Continuous_MountainCar" if home.module == "mountain_car_continuous" else home.name
        return (f"gymnasium.envs.classic_control.{module}.{name}Env",)
    if home.family == "mujoco":
        module, version = home.module.replace("humanoid_standup", "humanoidstandup"), env_id.rpartition("-v")[2]
        return (f"gymnasium.envs.mujoco.{module}_v{version}.{home.name}Env",)
    theirs = (f"mo_gymnasium.envs.{_CLASSES_OF_MO_GYMNASIUM[home.module]}",) if home.module in _CLASSES_OF_MO_GYMNASIUM else ()
    return f"{home.path}.{home.name}", *theirs


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _refuse_wrapper(layer: Any, env_id: str) -> None:
    """Raise if a wrapper changes what rollouts return, or may do so."""
    kind = type(layer)
    if kind is RewardTerms and layer.terms == TERMS.get(env_id):
        return
    is_known = kind.__name__ in _TRANSPARENT and kind.__module__.startswith("gymnasium.wrappers.")
    if not (is_known or _name_of(kind) == _OF_RL_ZOO):
        raise ChangedEnvError(f"env {env_id!r} has the wrapper {kind.__name__}, which compiled rollouts don't run")
    if (limit := impossible_limit(layer)) is not None:
        raise ChangedEnvError(f"env {env_id!r} was changed: its time limit is {limit}")


def _refuse_changed_methods(parts: list[Any], env_id: str) -> None:
    """Raise if a part of an environment has a method of its own, or if its class is not as in the file that defines it."""
    for part in parts:
        if (name := set_on(part)) is not None:
            raise ChangedEnvError(f"env {env_id!r} was changed: its attribute {name} was set on the {type(part).__name__}")
    if (name := altered(*map(type, parts))) is not None:
        raise ChangedEnvError(f"env {env_id!r} was changed: {name} is not as the file of its module has it")


def _refuse_other_spaces(env: Any, fresh: Any, env_id: str) -> None:
    for name in ("observation_space", "action_space"):
        if fingerprint(getattr(env, name)) != fingerprint(getattr(fresh, name)):
            raise ChangedEnvError(f"env {env_id!r} was changed: its {name} is {getattr(env, name)}")


def _refuse_other_attributes(theirs: Any, ours: Any, env_id: str) -> None:
    """Raise if an attribute has another value than in a newly made environment, or is missing.

    Another attribute has no effect: the functions of the known classes read none that a newly made environment lacks.
    """
    ignored = _STATE | _COSMETIC | _COMPARED_APART
    for name in vars(ours).keys() - vars(theirs).keys() - ignored:
        raise ChangedEnvError(f"env {env_id!r} was changed: it has no attribute {name}")
    for name in vars(theirs).keys() - ignored:
        value = vars(theirs)[name]
        if hasattr(ours, name) and fingerprint(value) != fingerprint(original := getattr(ours, name)):
            raise ChangedEnvError(f"env {env_id!r} was changed: its attribute {name} is {_shown(value)}, not {_shown(original)}")


def _shown(value: Any) -> str:
    """Return the value as a text without addresses in memory, as it goes into files."""
    is_plain = fingerprint(value)[0] in ("value", "number", "array", "sequence", "dict", "space")
    return repr(value) if is_plain and " at 0x" not in repr(value) else f"a {type(value).__name__}"


def _refuse_changed_model(theirs: Any, ours: Any) -> None:
    """Raise if a MuJoCo environment has another model or other first positions than its file gives."""
    from fastars.envs.mujoco.arguments import is_same_model

    if not is_same_model(theirs.model, ours.model):
        raise ChangedEnvError(
            f"env {theirs.spec.id!r} was changed: its MuJoCo model is not that of {theirs.fullpath}; write the change into an "
            "xml_file of your own"
        )
    n_moved = 4 if theirs.spec.id.startswith("Pusher") else 0  # positions of the object and the goal, which its reset overwrites
    for name in ("init_qpos", "init_qvel"):
        value, original = getattr(theirs, name), getattr(ours, name)
        n = len(original) - n_moved
        if fingerprint(value[:n]) != fingerprint(original[:n]):
            raise ChangedEnvError(f"env {theirs.spec.id!r} was changed: its attribute {name} is {value!r}, not {original!r}")

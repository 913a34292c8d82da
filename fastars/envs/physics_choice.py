"""The physics of an environment: MuJoCo's `mj_step`, or the package's own forward dynamics over SIMD lanes.

Lanes are for MuJoCo environments in compiled kernels. Any other environment has no choice, and asking for lanes is an error. A model
with parts that `fastars.physics` does not have runs through `mj_step`, and one sentence names these parts.
"""

from __future__ import annotations

from typing import TypeVar

from fastars._validate import one_of, warn_user
from fastars.envs.compiled import PHYSICS, CompiledEnv
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.errors import UnsupportedEnvError
from fastars.envs.gym import GymEnv

_Env = TypeVar("_Env", CompiledEnv, CompiledEnv | GymEnv | EnvTuple)


def in_mujoco(env: _Env) -> _Env:
    """Return the environment with the physics "mujoco"."""
    if isinstance(env, EnvTuple):
        return env._replace(envs=tuple(in_mujoco(one) for one in env.envs))
    return env._replace(physics="mujoco") if isinstance(env, CompiledEnv) else env


def over_lanes(env: _Env) -> tuple[_Env, str]:
    """Return the environment with the physics "lanes", and a sentence on each one that can't have it: these are in MuJoCo.

    Several environments are taken one by one.
    """
    if isinstance(env, EnvTuple):
        pairs = [over_lanes(one) for one in env.envs]
        return env._replace(envs=tuple(one for one, _ in pairs)), "; ".join(dict.fromkeys(text for _, text in pairs if text))
    if reason := _no_choice(env):
        return in_mujoco(env), f"{env.id} does not run over lanes: {reason}"
    from fastars.envs.mujoco.lanes import lanes_for

    try:
        lanes_for(env)
    except UnsupportedEnvError as error:
        return in_mujoco(env), f"{env.id} runs through mj_step, not over lanes: {error}"
    return env._replace(physics="lanes"), ""


def with_physics(env: _Env, physics: str) -> _Env:
    """Return the environment with the physics that a user asks for; a warning says if its model needs `mj_step`.

    Raises
    ------
    ValueError
        If `physics` is unknown, or is "lanes" where there is no such choice.
    """
    if one_of("physics", physics, PHYSICS) == "mujoco":
        return in_mujoco(env)
    refuse_lanes(env)
    found, reason = over_lanes(env)
    if reason:
        warn_user(reason)
    return found


def refuse_lanes(env: CompiledEnv | GymEnv | EnvTuple) -> None:
    """Raise a ValueError if no part of the environment is one of MuJoCo's in compiled kernels."""
    reasons = {one.id: _no_choice(one) for one in (env.envs if isinstance(env, EnvTuple) else (env,))}
    if all(reasons.values()):
        env_id, reason = next(iter(reasons.items()))
        raise ValueError(f"physics must be 'mujoco' for {env_id}, got 'lanes': {reason}")


def physics_of(env: CompiledEnv | GymEnv | EnvTuple) -> str:
    """Return "lanes" if the environment, or one of several, has this physics; otherwise "mujoco"."""
    found = (one.physics for one in (env.envs if isinstance(env, EnvTuple) else (env,)) if isinstance(one, CompiledEnv))
    return "lanes" if "lanes" in found else "mujoco"


def _no_choice(env: CompiledEnv | GymEnv) -> str:
    """Return the reason why an environment has no choice of physics; "" if it has."""
    if isinstance(env, GymEnv):
        return f"it runs in Python ({env.reason})"
    return "" if env.model is not None else "it is no environment of MuJoCo's"

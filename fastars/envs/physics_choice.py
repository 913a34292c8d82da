"""The physics of an environment: MuJoCo's `mj_step`, or the package's own forward dynamics over SIMD lanes.

Lanes are for MuJoCo environments in compiled kernels. Any other environment has no choice, and asking for lanes is an error. A
model with parts that `fastars.physics` does not have runs through `mj_step`, and one sentence names these parts.

An environment is a `CompiledEnv`, a `GymEnv`, or an `EnvTuple` of these. Several are taken one by one.
"""

from __future__ import annotations

from typing import Any

from fastars._runtime.threads import run_in_thread
from fastars._validate import one_of, warn_user
from fastars.envs.absent import AbsentEnv
from fastars.envs.compiled import PHYSICS, CompiledEnv
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.errors import LanesDisagreeError, UnsupportedEnvError


def in_mujoco(env: Any) -> Any:
    """Return the environment with the physics "mujoco"."""
    if isinstance(env, EnvTuple):
        return env._replace(envs=tuple(map(in_mujoco, env.envs)))
    return env._replace(physics="mujoco") if isinstance(env, CompiledEnv) else env


def over_lanes(env: Any, compares: bool = True) -> tuple[Any, str]:
    """Return the environment with the physics "lanes", and a sentence on each one that can't have it: these are in MuJoCo.

    There is no sentence but a warning, whoever asks, on a model in which the lanes disagree with MuJoCo. The first comparison of a
    model compiles the lanes, and takes seconds; without `compares` it is left out.
    """
    if isinstance(env, EnvTuple):
        pairs = [over_lanes(one, compares) for one in env.envs]
        return env._replace(envs=tuple(one for one, _ in pairs)), "; ".join(dict.fromkeys(text for _, text in pairs if text))
    if reason := _no_choice(env):
        return in_mujoco(env), f"{env.id} does not run over lanes: {reason}"
    from fastars.envs.mujoco import lanes  # here, as it imports Numba

    try:
        if compares:
            run_in_thread(lambda: lanes.lanes_for(env))  # a signal must not wait for the compiler
        else:
            lanes.lane_model_of(env)
    except UnsupportedEnvError as error:
        reason = f"{env.id} runs through mj_step, not over lanes: {error}"
        if not isinstance(error, LanesDisagreeError):
            return in_mujoco(env), reason
        warn_user(reason)
        return in_mujoco(env), ""
    return env._replace(physics="lanes"), ""


def with_physics(env: Any, physics: Any) -> Any:
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


def refuse_lanes(env: Any) -> None:
    """Raise a ValueError if no part of the environment is one of MuJoCo's in compiled kernels."""
    reasons = [_no_choice(one) for one in _parts(env)]
    if all(reasons):
        raise ValueError(f"physics must be 'mujoco' for {_parts(env)[0].id}, got 'lanes': {reasons[0]}")


def refuse_disagreement(env: Any) -> None:
    """Raise a LanesDisagreeError if an environment is over lanes that disagree with MuJoCo in this process."""
    for one in _parts(env):
        if physics_of(one) == "lanes":
            from fastars.envs.mujoco.lanes import lanes_for  # here, as it imports Numba

            lanes_for(one)


def physics_of(env: Any) -> str:
    """Return "lanes" if the environment, or one of several, has this physics; otherwise "mujoco"."""
    return "lanes" if any(isinstance(one, (CompiledEnv, AbsentEnv)) and one.physics == "lanes" for one in _parts(env)) else "mujoco"


def _parts(env: Any) -> tuple[Any, ...]:
    return env.envs if isinstance(env, EnvTuple) else (env,)


def _no_choice(env: Any) -> str:
    """Return the reason why an environment has no choice of physics; "" if it has."""
    if not isinstance(env, CompiledEnv):
        return f"it runs in Python ({env.reason})"
    return "" if env.model is not None else "it is no environment of MuJoCo's"

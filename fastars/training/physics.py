"""The physics of a run's training episodes: the one that was asked for, the one in its file, or the one that its preset prefers."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastars._validate import one_of, warn_user
from fastars.envs.absent import AbsentEnv
from fastars.envs.compiled import PHYSICS
from fastars.envs.physics_choice import in_mujoco, over_lanes, physics_of, refuse_lanes
from fastars.training import presets
from fastars.training.run import Run


def wanted_physics(physics: Any, preset: str | None) -> str:
    """Return the physics that a run is to have: the one asked for, or the one that its preset prefers where that is None."""
    return presets.physics(preset) if physics is None else str(one_of("physics", physics, PHYSICS))


def with_physics_of_run(env: Any, physics: Any, preset: str | None, backend: str, is_stored: bool = False) -> Any:
    """Return the environment of a run with its physics.

    Parameters
    ----------
    env : CompiledEnv, GymEnv or EnvTuple
        The environment, with any physics.
    physics : {"mujoco", "lanes"} or None
        None: the physics that the preset prefers, without a word where it can't be had.
    preset : str or None
        The preset of the run.
    backend : {"numba", "numpy"}
        The NumPy backend steps Gymnasium's environments, which are in MuJoCo.
    is_stored : bool
        True if `physics` is from a file: the run then goes on in MuJoCo, with a warning, where it can't go on over lanes. Lanes are
        compared with MuJoCo only when training goes on (`with_compared_lanes`): a policy may be all that is wanted.

    Raises
    ------
    ValueError
        If `physics` is unknown, or is "lanes" where the environment or the backend leaves no choice.
    """
    wanted = wanted_physics(physics, preset)
    if isinstance(env, AbsentEnv):  # `set_env` looks if the environment has this physics
        return env._replace(physics=wanted)
    if wanted == "mujoco":
        return in_mujoco(env)
    if physics is not None and not is_stored:
        refuse_lanes_in_run(env, backend)
    found, reason = (in_mujoco(env), _in_numpy(backend)) if backend != "numba" else over_lanes(env, compares=not is_stored)
    if reason and physics is not None:
        warn_user(reason)
    return found


def with_compared_lanes(run: Run) -> Run:
    """Return a run that may train: lanes of a run from a file are compared with MuJoCo first, and left if they disagree."""
    if run.is_compared:
        return run
    run = dataclasses.replace(run, is_compared=True)
    if run.config.physics != "lanes":
        return run
    env, _ = over_lanes(run.env)
    return run if physics_of(env) == "lanes" else run.in_env(env, run.normalizer)


def refuse_lanes_in_run(env: Any, backend: str) -> None:
    """Raise a ValueError if the environment or the backend of a run has no choice of physics."""
    refuse_lanes(env)
    if backend != "numba":
        raise ValueError(f"physics must be 'mujoco' with {_in_numpy(backend)}, got 'lanes'")


def _in_numpy(backend: str) -> str:
    return f"backend {backend!r}, which steps Gymnasium's environments"

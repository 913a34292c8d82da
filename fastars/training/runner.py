"""Build a training run from the arguments of `ARS`: the environment, the settings, and the state before the first iteration."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from fastars._validate import positive_int, warn_user
from fastars.envs import CompiledEnv, environment
from fastars.envs.absent import AbsentEnv
from fastars.training.ahead import compile_ahead
from fastars.training.config import make_config
from fastars.training.physics import wanted_physics, with_physics_of_run
from fastars.training.policy_classes import policy_settings
from fastars.training.policy_structure import random_weights, zero_weights
from fastars.training.run import Execution, ObsNormalizer, Run, new_run
from fastars.training.seeds import weights_generator
from fastars.training.state import ObsMoments, State, first_state
from fastars.training.task_settings import make_objectives, weighting_settings

_OF_RUN = ("preset", "variant", "policy_kwargs", "weighting", "preference", "utopia", "physics")


def make_run(
    policy: Any,
    env: Any,
    execution: Execution,
    arguments: Mapping[str, Any],
    normalizer: ObsNormalizer | None = None,
    n_processes: int = 1,
    stats_window_size: int = 100,
    is_stored: bool = False,
) -> Run:
    """Return the fixed part of a run.

    Parameters
    ----------
    policy : str or class
        As `ARS` takes it.
    env : str, gymnasium.Env, ...
        As `fastars.envs.environment` takes it.
    execution : Execution
        Threads, processes and other machinery.
    arguments : mapping
        Settings of `ARS` by name, with `preset`, `variant`, `policy_kwargs`, `weighting`, `preference` and
        `utopia` among them; None stands for one that was not given.
    normalizer : ObsNormalizer, optional
        The `VecNormalize` around the environment.
    n_processes : int
        Processes of the vector environment that was given.
    stats_window_size : int
        Episodes that the logged mean return is taken over.
    is_stored : bool
        True if the settings are those of a file: a physics that can't be had here is then a warning, never an error.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    of_run = {name: given.pop(name, None) for name in _OF_RUN}
    max_steps = None if "max_episode_steps" not in given else positive_int("max_episode_steps", given["max_episode_steps"])
    found = env
    if not isinstance(env, AbsentEnv):  # of a model that is loaded without one
        found = environment(env, execution.compiled, max_steps, tasks=of_run["weighting"] is not None)
    settings = {**given, **policy_settings(policy, of_run["policy_kwargs"], found.observation_space, found.action_space)}
    if normalizer is not None:
        settings = {**normalizer.settings(), **settings}
        settings["normalize_observations"] = normalizer.agreed(given.get("normalize_observations"))
    settings |= _task_settings(found, of_run, given)
    config = make_config(of_run["preset"], of_run["variant"], found.id, **settings)
    if not is_stored:
        compile_ahead(found, config, wanted_physics(of_run["physics"], of_run["preset"]), execution)
    found = with_physics_of_run(found, of_run["physics"], of_run["preset"], execution.backend, is_stored)
    if n_processes == 1 and not execution.on_ray and (execution.n_workers or 1) != 1 and isinstance(found, CompiledEnv):
        warn_user(f"n_workers={execution.n_workers} has no effect: {found.id} runs in compiled kernels, on n_threads")
    run = new_run(config, found, execution, of_run["preset"], normalizer, stats_window_size)
    return dataclasses.replace(run, is_compared=not is_stored)


def make_first_state(run: Run, weighting: Any) -> State:
    """Return the state before the first iteration; `weighting` as `ARS` takes it."""
    theta = zero_weights(run.policy, run.env)
    if not run.config.zero_policy:
        theta = random_weights(run.policy, run.env, weights_generator(run.config.seed))
    state = first_state(run.config, theta, run.env.n_obs, make_objectives(run.env, weighting, run.config))
    moments = None if run.normalizer is None else run.normalizer.moments()
    return state if moments is None else state._replace(moments=ObsMoments(*moments))


def drawn_seed() -> int:
    """Return a seed from the operating system, below 2**32."""
    return int.from_bytes(os.urandom(4), "little")


def refuse_other_env(run: Run, env: Any) -> None:
    """Raise if an environment differs from the run's environment in spaces or tasks."""
    for name in ("observation_space", "action_space", "task_names"):
        found, present = getattr(env, name), getattr(run.env, name)
        if found != present:
            raise ValueError(f"the {name} of env does not match the {name} of the model: {found} != {present}")


def _task_settings(env: Any, of_run: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the tasks; none for a scalar reward."""
    kwargs, bonus = given.get("weighting_kwargs"), given.get("alive_bonus_offset")
    settings = weighting_settings(env, of_run["weighting"], kwargs, of_run["preference"], of_run["utopia"])
    if settings and bonus:
        raise ValueError(f"alive_bonus_offset needs a scalar reward, got {bonus}: a preference says what being alive is worth")
    return settings

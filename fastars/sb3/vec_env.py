"""Take the vector environments of stable-baselines3 apart: the environments, files and statistics inside."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import gymnasium

from fastars.envs import UnsupportedEnvError, make
from fastars.sb3.alike import Unlike, are_of_one_kind, refuse_changed, refuse_mixture
from fastars.sb3.classes import is_sb3
from fastars.sb3.monitor import MonitorFile, file_of, unwrap_monitors
from fastars.sb3.normalizer import Normalizer
from fastars.sb3.training_env import TrainingEnv


class EnvInput(NamedTuple):
    """The environment that a user gave, taken apart."""

    env: Any  # in a form that `fastars.envs.environment` takes
    n_envs: int = 1  # environments side by side
    n_processes: int = 1  # processes that step these environments
    monitors: tuple[MonitorFile, ...] = ()  # the files that `Monitor` wrappers keep
    vec_env: Any = None  # the vector environment of stable-baselines3, with all its wrappers
    normalizer: Normalizer | None = None  # the `VecNormalize` among these wrappers


def unwrap_env(env: Any) -> EnvInput:
    """Take an environment of stable-baselines3 apart; any other environment stays as it is.

    `Monitor` and `VecMonitor` only watch episodes. Rollouts run without them, and the model writes rows into their files.

    Raises
    ------
    UnsupportedEnvError
        For a wrapper of a vector environment that changes rollouts, and for environments in other processes that have no id to make
        them by.
    """
    if not is_sb3(env, "VecEnv"):
        bare, monitors = unwrap_monitors(env)
        return EnvInput(bare, monitors=monitors)
    inner, monitors, normalizer = env, (), None
    while is_sb3(inner, "VecEnvWrapper"):
        refuse_changed(inner)
        if is_sb3(inner, "VecNormalize"):
            normalizer = Normalizer(inner)
        elif is_sb3(inner, "VecMonitor"):
            monitors += file_of(inner)
        else:
            raise UnsupportedEnvError(
                f"env has the wrapper {type(inner).__name__}, which rollouts don't run: put a gymnasium.Wrapper around each "
                "environment"
            )
        inner = inner.venv
    if hasattr(inner, "venv"):
        raise UnsupportedEnvError(f"env is a {type(inner).__name__}, a wrapper that is no VecEnvWrapper, which rollouts don't run")
    refuse_changed(inner)
    if hasattr(inner, "envs"):
        refuse_mixture(inner.envs)
        for i, one in enumerate(inner.envs):
            monitors += tuple(file._replace(first=i, n_envs=inner.num_envs) for file in unwrap_monitors(one)[1])
        return EnvInput(unwrap_monitors(inner.envs[0])[0], inner.num_envs, 1, monitors, env, normalizer)
    return EnvInput(_made_alike(inner), inner.num_envs, inner.num_envs, monitors, env, normalizer)


def _made_alike(vec_env: Any) -> gymnasium.Env:
    """Make an environment like the ones that run in other processes."""
    specs = [copy.copy(spec) for spec in vec_env.get_attr("spec")]
    if None in specs:
        raise UnsupportedEnvError(
            f"env is a {type(vec_env).__name__} of environments without an id: give a function that makes one, and n_workers"
        )
    is_bare = not all(vec_env.env_is_wrapped(gymnasium.Wrapper))
    if is_bare or any(vec_env.env_is_wrapped(Unlike)) or not are_of_one_kind(specs):
        raise UnsupportedEnvError(
            f"env is a {type(vec_env).__name__} of environments in other processes that differ, or are not as their ids make "
            "them: give a function that makes one, and n_workers"
        )
    spec = specs[0]
    spec.additional_wrappers = tuple(wrapper for wrapper in spec.additional_wrappers if wrapper.name != "Monitor")
    spec.kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    return make(spec)


def is_vec_env(env: Any) -> bool:
    """Return True for a vector environment of stable-baselines3 and for a `TrainingEnv`."""
    return isinstance(env, TrainingEnv) or is_sb3(env, "VecEnv")


def is_monitored(vec_env: Any) -> bool:
    """Return True if a `Monitor` or `VecMonitor` writes each episode's own return and length into its last info.

    Wrappers outside of the monitor may change rewards and ends of episodes. A `TrainingEnv` has no such wrappers and no monitor.
    """
    inner = vec_env
    while is_sb3(inner, "VecEnvWrapper"):
        refuse_changed(inner)
        if is_sb3(inner, "VecMonitor"):
            return True
        inner = inner.venv
    if isinstance(inner, TrainingEnv):
        return False
    from stable_baselines3.common.monitor import Monitor

    return bool(inner.env_is_wrapped(Monitor)[0])

"""Take the vector environments of stable-baselines3 apart: the environments, files and statistics inside."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import gymnasium

from fastars.envs import UnsupportedEnvError, compiled_id, make
from fastars.envs.changes import difference, refuse_changed_attributes, refuse_other_classes
from fastars.envs.originals import set_on
from fastars.envs.registry import COMPILED
from fastars.envs.wrappers import innermost, layers, time_limit
from fastars.sb3.classes import changed_method, is_sb3
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
        _refuse_changed(inner)
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
    _refuse_changed(inner)
    if hasattr(inner, "envs"):
        _refuse_mixture(inner.envs)
        for i, one in enumerate(inner.envs):
            monitors += tuple(file._replace(first=i, n_envs=inner.num_envs) for file in unwrap_monitors(one)[1])
        return EnvInput(unwrap_monitors(inner.envs[0])[0], inner.num_envs, 1, monitors, env, normalizer)
    return EnvInput(_made_alike(inner), inner.num_envs, inner.num_envs, monitors, env, normalizer)


def _refuse_changed(vec_env: Any) -> None:
    """Raise if a vector environment, or a wrapper of one, has a method of its own: rollouts don't run it."""
    if (name := changed_method(vec_env)) is not None:
        raise UnsupportedEnvError(
            f"env is a {type(vec_env).__name__} with a {name} of its own, which rollouts don't run: put a gymnasium.Wrapper around "
            "each environment"
        )


def _refuse_mixture(envs: list[Any]) -> None:
    """Raise if the environments of a vector environment are not alike: rollouts run one of them."""
    first = unwrap_monitors(envs[0])[0]
    for i, env in enumerate(envs[1:], 1):
        if (found := difference(first, unwrap_monitors(env)[0])) is not None:
            raise UnsupportedEnvError(
                f"env has different environments: envs[{i}] differs from envs[0] ({found}). Rollouts run one environment: give it, or "
                "a list of environments, which are the tasks of one policy"
            )


class _Unlike(type):
    """Class of `Unlike`."""

    def __instancecheck__(cls, env: Any) -> bool:
        """Return True if an environment is not the one that its specification makes; it is called in the environment's process."""
        bare, _ = unwrap_monitors(env)
        spec = bare.spec
        if spec is None:
            return False
        if time_limit(bare) != spec.max_episode_steps or any(set_on(layer) is not None for layer in (*layers(bare), innermost(bare))):
            return True
        if compiled_id(spec.id) not in COMPILED:
            return False
        try:
            refuse_other_classes(bare, spec.id)
            refuse_changed_attributes(bare)
        except UnsupportedEnvError:
            return True
        return False


class Unlike(metaclass=_Unlike):
    """Class that `env_is_wrapped` asks for in other processes: what says yes was changed after its specification was used."""


def _made_alike(vec_env: Any) -> gymnasium.Env:
    """Make an environment like the ones that run in other processes."""
    if not all(vec_env.env_is_wrapped(gymnasium.Wrapper)) or any(vec_env.env_is_wrapped(Unlike)):
        raise UnsupportedEnvError(
            f"env is a {type(vec_env).__name__} of environments that are not as their ids make them, and that other processes hold: "
            "give a function that makes one, and n_workers"
        )
    spec = copy.copy(vec_env.get_attr("spec", indices=0)[0])
    if spec is None:
        raise UnsupportedEnvError(
            f"env is a {type(vec_env).__name__} of environments without an id: give a function that makes one, and n_workers"
        )
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
        _refuse_changed(inner)
        if is_sb3(inner, "VecMonitor"):
            return True
        inner = inner.venv
    if isinstance(inner, TrainingEnv):
        return False
    from stable_baselines3.common.monitor import Monitor

    return bool(inner.env_is_wrapped(Monitor)[0])

"""Environments in RLlib's configs, and in files that store such configs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import gymnasium

from fastars._validate import user_facing
from fastars.envs import UnsupportedEnvError, make
from fastars.envs.of_file import compiled_as_in_file, is_ours


class EnvContext(dict[str, Any]):
    """The config that an environment is made with: a dict, with the numbers of the worker that makes it.

    Attributes
    ----------
    worker_index : int
        From 1 on in RLlib. It is always 1 here, as an episode does not depend on the process that runs it.
    vector_index : int
        0.
    num_workers : int, optional
    remote, recreated_worker : bool
        False.
    """

    @user_facing
    def __init__(self, env_config: Mapping[str, Any], worker_index: int, vector_index: int = 0, **numbers: Any) -> None:
        super().__init__(env_config)
        self.worker_index, self.vector_index = worker_index, vector_index
        self.remote = self.recreated_worker = False
        self.num_workers: int | None = None
        vars(self).update(numbers)

    def set_defaults(self, defaults: Mapping[str, Any]) -> None:
        """Add the entries of `defaults` whose keys are missing."""
        self.update({key: value for key, value in defaults.items() if key not in self})

    def copy_with_overrides(self, env_config: Mapping[str, Any] | None = None, **numbers: Any) -> EnvContext:
        """Return a copy with another config, or with other numbers."""
        return EnvContext(self if env_config is None else env_config, **{**vars(self), **numbers})


def env_argument(env: Any, env_config: Mapping[str, Any]) -> Any:
    """Return the `env` argument of `fastars.ARS` for an environment and its config."""
    if _is_registered_with_ray(env):
        registry = sys.modules["ray.tune.registry"]
        env = registry._global_registry.get(registry.ENV_CREATOR, env)
    if isinstance(env, str) and _is_path(env):
        module, _, name = env.rpartition(".")
        env = getattr(importlib.import_module(module), name)
    if isinstance(env, str):
        return make(env, **env_config) if env_config else env
    return _Maker(env, dict(env_config)) if callable(env) else env


def _is_path(env: str) -> bool:
    """Return True for "package.module.Class", which RLlib imports; ids of Gymnasium end with a version or have other signs."""
    return env not in gymnasium.registry and "." in env and all(part.isidentifier() for part in env.split("."))


def _is_registered_with_ray(env: Any) -> bool:
    """Return True for the name of an environment that this program has registered with Ray."""
    registry = sys.modules.get("ray.tune.registry")
    return isinstance(env, str) and registry is not None and bool(registry._global_registry.contains(registry.ENV_CREATOR, env))


def refuse_unregistered(env: Any, env_config: Any) -> None:
    """Raise a ValueError for an environment in a file that can't be made safely.

    The id must be registered here: making `module:Id` would import the module. Arguments in the file are given to the environments
    of fastars alone (`envs.of_file`), never to a function that the user registered with Ray.
    """
    if not _is_registered_with_ray(env) and env not in gymnasium.registry:
        raise ValueError(f"its environment {env!r} is not registered here: give config=...")
    if not env_config:
        return
    if _is_registered_with_ray(env) or not is_ours(env):
        raise ValueError(
            f"its environment {env!r} was made with env_config={env_config!r}, which is not taken from a file: give config=..."
        )
    try:
        compiled_as_in_file(env, {"max_episode_steps": 1, **env_config})
    except UnsupportedEnvError as error:
        raise ValueError(f"its environment {env!r}: {error}: give config=...") from error


class _Maker:
    """A function without arguments that makes an environment from its config, in this process or in another one."""

    def __init__(self, creator: Any, env_config: dict[str, Any]) -> None:
        self.creator, self.env_config = creator, env_config

    def __call__(self) -> Any:
        return self.creator(EnvContext(self.env_config, worker_index=1))

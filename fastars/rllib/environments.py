"""Environments in RLlib's configs, and in files that store such configs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import gymnasium

from fastars.envs import compiled_env_ids, make


def env_argument(env: Any, env_config: Mapping[str, Any]) -> Any:
    """Return the `env` argument of `fastars.ARS` for an environment and its config."""
    if _is_registered_with_ray(env):
        registry = sys.modules["ray.tune.registry"]
        env = registry._global_registry.get(registry.ENV_CREATOR, env)
    if isinstance(env, str):
        return make(env, **env_config) if env_config else env
    return _Maker(env, dict(env_config)) if callable(env) else env


def _is_registered_with_ray(env: Any) -> bool:
    """Return True for the name of an environment that this program has registered with Ray."""
    registry = sys.modules.get("ray.tune.registry")
    return isinstance(env, str) and registry is not None and bool(registry._global_registry.contains(registry.ENV_CREATOR, env))


def refuse_unregistered(env: Any, env_config: Any) -> None:
    """Raise a ValueError for an environment in a file that can't be made safely.

    The id must be registered here: making `module:Id` would import the module. Arguments in the file are given to the environments
    of fastars alone, which check them.
    """
    if _is_registered_with_ray(env):
        return
    if env not in gymnasium.registry and env not in compiled_env_ids():
        raise ValueError(f"its environment {env!r} is not registered here: give config=...")
    if env_config and env not in compiled_env_ids():
        raise ValueError(
            f"its environment {env!r} was made with env_config={env_config!r}, which is not taken from a file: give config=..."
        )


class _Maker:
    """A function without arguments that makes an environment from its config, in this process or in another one."""

    def __init__(self, creator: Any, env_config: dict[str, Any]) -> None:
        self.creator, self.env_config = creator, env_config

    def __call__(self) -> Any:
        return self.creator(self.env_config)

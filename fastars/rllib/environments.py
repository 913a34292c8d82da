"""Environments as RLlib's configs name them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import gymnasium


def made_by(env: Any, env_config: Mapping[str, Any]) -> Any:
    """An environment as `fastars.ARS` takes it."""
    if _is_rays(env):
        registry = sys.modules["ray.tune.registry"]
        env = registry._global_registry.get(registry.ENV_CREATOR, env)
    if isinstance(env, str):
        if not env_config:
            return env
        from fastars.envs import make

        return make(env, **env_config)
    return _Maker(env, dict(env_config)) if callable(env) else env


def _is_rays(env: Any) -> bool:
    """Whether it is the name of an environment that this program has registered with Ray."""
    registry = sys.modules.get("ray.tune.registry")
    return isinstance(env, str) and registry is not None and bool(registry._global_registry.contains(registry.ENV_CREATOR, env))


def refuse_unregistered(env: Any, env_config: Any) -> None:
    """Raise ValueError for what a file says of an environment, if it is not registered here, or gets arguments that only code of
    somebody else's would look at. To make `module:Id` would import the module.
    """
    from fastars.envs import compiled_env_ids

    if _is_rays(env):
        return
    if env not in gymnasium.registry and env not in compiled_env_ids():
        raise ValueError(f"its environment {env!r} is not registered here: give config=...")
    if env_config and env not in compiled_env_ids():
        raise ValueError(
            f"its environment {env!r} was made with env_config={env_config!r}, which is taken from no file: give config=..."
        )


class _Maker:
    """A function without arguments that makes an environment from its config, here or in another process."""

    def __init__(self, creator: Any, env_config: dict[str, Any]) -> None:
        self.creator, self.env_config = creator, env_config

    def __call__(self) -> Any:
        return self.creator(self.env_config)

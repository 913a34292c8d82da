"""Environments as RLlib's configs name them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def made_by(env: Any, env_config: Mapping[str, Any]) -> Any:
    """An environment as `fastars.ARS` takes it."""
    registry = sys.modules.get("ray.tune.registry")
    if isinstance(env, str) and registry is not None and registry._global_registry.contains(registry.ENV_CREATOR, env):
        env = registry._global_registry.get(registry.ENV_CREATOR, env)
    if isinstance(env, str):
        if not env_config:
            return env
        from fastars.envs import make

        return make(env, **env_config)
    return _Maker(env, dict(env_config)) if callable(env) else env


class _Maker:
    """A function without arguments that makes an environment from its config, here or in another process."""

    def __init__(self, creator: Any, env_config: dict[str, Any]) -> None:
        self.creator, self.env_config = creator, env_config

    def __call__(self) -> Any:
        return self.creator(self.env_config)

"""The wrappers around a Gymnasium environment, and the time limit that they set."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv


def layers(env: Any, kind: Any = gymnasium.Wrapper) -> list[Any]:
    """Return the wrappers of this kind around an environment, the outermost first."""
    found = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, kind):
            found.append(env)
        env = env.env
    return found


def innermost(env: Any) -> Any:
    """Return the environment inside of all wrappers, whatever they say is their `unwrapped`."""
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
    return env


def time_limit(env: Any) -> int | None:
    """Return the smallest of the time limits around an environment, in steps; None if it has none."""
    if isinstance(env, VectorEnv):
        if env.spec is None:
            return None
        return env.spec.kwargs.get("max_episode_steps", env.spec.max_episode_steps)  # `make_vec` puts its argument into kwargs
    return min((int(layer._max_episode_steps) for layer in layers(env, gymnasium.wrappers.TimeLimit)), default=None)

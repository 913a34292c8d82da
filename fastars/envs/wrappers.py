"""The wrappers around a Gymnasium environment, and the time limit that they set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers.common import OrderEnforcing, PassiveEnvChecker, TimeLimit

_WITH_MEMORY = {"NormalizeObservation", "NormalizeReward"}  # Gymnasium's, also those for vector environments
# rl_zoo3 puts a class of its own, derived from Gymnasium's, in the place of Gymnasium's.
_TimeLimit: Any = next(kind for kind in TimeLimit.__mro__ if kind.__module__.startswith("gymnasium."))
_OF_MAKE = (_TimeLimit, OrderEnforcing, PassiveEnvChecker)  # the layers that `gymnasium.make` adds
_THEIR_FILE = _TimeLimit.__init__.__code__.co_filename


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
    return min((int(layer._max_episode_steps) for layer in layers(env, _TimeLimit)), default=None)


def impossible_limit(layer: Any) -> Any:
    """Return the limit of a `TimeLimit` if it is no whole number of at least 1; None otherwise, and for any other wrapper."""
    if not isinstance(layer, _TimeLimit):
        return None
    limit: Any = layer._max_episode_steps
    return None if isinstance(limit, (int, np.integer)) and limit >= 1 else repr(limit)


def with_memory(env: Any) -> str | None:
    """Return the name of a wrapper of Gymnasium's whose statistics go on from episode to episode; None if none has such.

    In a vector environment whose parts other processes hold, only the wrappers that its specification names are seen.
    """
    while isinstance(env, (gymnasium.Wrapper, VectorWrapper)):
        kinds = [kind for kind in type(env).__mro__ if kind.__module__.startswith("gymnasium.wrappers.")]
        if any(kind.__name__ in _WITH_MEMORY for kind in kinds) and getattr(env, "update_running_mean", True):
            return type(env).__name__
        env = env.env
    if isinstance(getattr(env, "envs", None), (list, tuple)):
        return next((name for each in env.envs if (name := with_memory(each)) is not None), None)
    named = (() if env.spec is None else env.spec.kwargs.get("wrappers")) or ()
    return next((kind.__name__ for kind in named if getattr(kind, "__name__", "") in _WITH_MEMORY), None)


def step_within(env: Any, max_steps: int) -> Callable[[Any], Any]:
    """Return the `step` that is within the layers which `gymnasium.make` adds.

    They count steps and check the first two: four calls in each step. Whoever steps the environment so ends its episodes after
    `max_steps` steps, and has let the layers check an episode before. A layer with a step of another class or of the user's stays,
    and so does one that ends episodes earlier.
    """
    layer = env
    while type(layer) in _OF_MAKE and "step" not in vars(layer) and _is_gymnasiums(type(layer).step):
        if isinstance(layer, _TimeLimit) and layer._max_episode_steps < max_steps:
            break
        layer = layer.env
    step: Callable[[Any], Any] = layer.step
    return step


def _is_gymnasiums(step: Any) -> bool:
    code = getattr(step, "__code__", None)
    return code is not None and code.co_filename == _THEIR_FILE

"""Environments and spaces of the old package gym: named in errors, and adapted by shimmy where that is installed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium

from fastars._validate import warn_user
from fastars.envs.errors import UnsupportedEnvError

ADVICE = "write `import gymnasium as gym` and `from gymnasium import spaces` in its module"


def is_of_old_gym(value: Any) -> bool:
    """Return True for an object of a class of the package gym, or of one derived from it, and of no class of Gymnasium."""
    packages = {kind.__module__.partition(".")[0] for kind in type(value).__mro__}
    return "gym" in packages and "gymnasium" not in packages


def adapted(env: Any) -> Any:
    """Return an environment of gym behind Gymnasium's methods, as stable-baselines3 does it; any other object as it is.

    Raises
    ------
    UnsupportedEnvError
        If shimmy or gym is not installed, or can't adapt it.
    """
    if not is_of_old_gym(env):
        return env
    name = type(env).__name__
    try:
        importlib.import_module("gym")
        shimmy = importlib.import_module("shimmy")
        takes_seed = "seed" in inspect.signature(getattr(env, "unwrapped", env).reset).parameters  # since gym 0.26
        found = (shimmy.GymV26CompatibilityV0 if takes_seed else shimmy.GymV21CompatibilityV0)(env=env)
    except Exception as error:  # of a class that is like gym's in its name alone
        raise UnsupportedEnvError(
            f"env is a {name} of the old package gym, not of gymnasium: {ADVICE}, or `pip install shimmy gym`, which adapt it "
            f"({type(error).__name__}: {error})"
        ) from error
    warn_user(f"env is a {name} of the old package gym, which shimmy adapts: {ADVICE}")
    return found


def maker_of(maker: Callable[[], Any], made: Any) -> tuple[Callable[[], gymnasium.Env], Any]:
    """Return (maker, made) with the environment of gym that a maker has made adapted; both as they are for any other one."""
    env = adapted(made)
    return (maker, made) if env is made else (partial(_made, maker), env)


def _made(maker: Callable[[], Any]) -> Any:
    return adapted(maker())

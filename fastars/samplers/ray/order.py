"""The order of Ray actors: the arguments of their sampler, pickled."""

from __future__ import annotations

from typing import Any

import cloudpickle

from fastars.envs import CompiledEnv, UnsupportedEnvError
from fastars.envs.env_tuple import EnvTuple
from fastars.envs.gym import GymEnv


def pickled_order(env: CompiledEnv | GymEnv | EnvTuple, arguments: dict[str, Any]) -> bytes:
    """Pickle the arguments of `make_sampler` for actors.

    Raises
    ------
    UnsupportedEnvError
        If the environment can't be copied or pickled.
    """
    try:
        return cloudpickle.dumps({"env": _portable(env), **arguments})
    except UnsupportedEnvError:
        raise
    except Exception as error:  # an object may raise anything when it is pickled
        raise UnsupportedEnvError(
            f"env {env.id!r} can't be sent to Ray actors ({type(error).__name__}: {error}): give its id, or a function that makes "
            "all it needs"
        ) from error


def _portable(env: Any) -> Any:
    """Return the environment with a function that makes it, in place of an instance that the user gave."""
    if isinstance(env, EnvTuple):
        return env._replace(envs=tuple(map(_portable, env.envs)))
    return env._replace(make=env.maker(), env=None) if isinstance(env, GymEnv) else env

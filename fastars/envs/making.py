"""Make environments by `gymnasium.make`, without MuJoCo's warnings on the terminal and in the user's folder."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastars._validate import user_facing
from fastars.envs.errors import UnsupportedEnvError
from fastars.envs.registry import is_mujoco

if TYPE_CHECKING:
    import gymnasium


@user_facing
def make(env_id: Any, **kwargs: Any) -> gymnasium.Env:
    """Make an environment as `gymnasium.make` does, and keep MuJoCo's warnings off the terminal and out of the user's folder.

    The model files of Gymnasium cause such warnings, which are dropped. Warnings about a file of the user's become Python warnings.

    Parameters
    ----------
    env_id : str or gymnasium.envs.registration.EnvSpec
        The environment to make.
    **kwargs
        Arguments of `gymnasium.make`.

    Returns
    -------
    gymnasium.Env

    Raises
    ------
    UnsupportedEnvError
        If a package that the environment needs is missing; the message names what to install.
    Exception
        Any error of `gymnasium.make`. MuJoCo's errors are ValueErrors, with the name of the file.
    """
    import gymnasium

    from fastars.envs.wrappers import layers

    name = getattr(env_id, "id", env_id)  # it may be an EnvSpec
    with quiet(name) as texts:
        try:
            env = gymnasium.make(env_id, **kwargs)
            has_vector_reward = hasattr(env.unwrapped, "reward_space")
            if has_vector_reward and layers(env, gymnasium.wrappers.PassiveEnvChecker):  # which warns of rewards that are no number
                env.close()
                env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
        except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
            if not is_mujoco(name):
                raise
            raise UnsupportedEnvError(f'MuJoCo environments need more packages: pip install "fastars[mujoco]" ({error})') from error
        except ValueError as error:
            if "xml_file" not in kwargs:
                raise
            raise ValueError(f"xml_file {kwargs['xml_file']}: {' '.join(str(error).split())}") from error
    if "xml_file" in kwargs:
        for text in texts:
            warnings.warn(f"MuJoCo on {kwargs['xml_file']}: {text}", UserWarning, stacklevel=3)
    return env


@contextlib.contextmanager
def quiet(env_id: Any) -> Iterator[list[str]]:
    """Collect MuJoCo's warnings in a list if `env_id` is one of Gymnasium's MuJoCo environments that are compiled."""
    if not is_mujoco(env_id):
        yield []
        return
    from fastars.envs.mujoco.messages import collected_warnings

    with collected_warnings() as texts:
        yield texts

"""Make environments by `gymnasium.make`, without MuJoCo's warnings on the terminal and in the user's folder."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastars._imports import pip_install
from fastars._runtime.forks import forks_wait
from fastars._validate import user_facing
from fastars.envs.errors import OtherSystemError, UnsupportedEnvError
from fastars.envs.registry import is_mujoco

if TYPE_CHECKING:
    import gymnasium

_LOG = logging.getLogger("fastars")


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
    _import_entry_point(env_id)
    with made_quietly(name) as texts:
        try:
            env = gymnasium.make(env_id, **kwargs)
            has_vector_reward = hasattr(env.unwrapped, "reward_space")
            if has_vector_reward and layers(env, gymnasium.wrappers.PassiveEnvChecker):  # which warns of rewards that are no number
                env.close()
                env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
        except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
            if not is_mujoco(name):
                raise
            raise UnsupportedEnvError(
                f"MuJoCo environments need more packages: {pip_install('mujoco')}, or glfw and imageio beside mujoco-core ({error})"
            ) from error
        except (ValueError, ArithmeticError) as error:  # ArithmeticError: frames per second of a model's strange timestep
            if "xml_file" not in kwargs:
                raise
            text = _bad_timestep(name, kwargs["xml_file"]) or " ".join(str(error).split())
            raise ValueError(f"xml_file {kwargs['xml_file']}: {text}") from error
    if "xml_file" in kwargs:
        for text in texts:
            warnings.warn(f"MuJoCo on {kwargs['xml_file']}: {text}", UserWarning, stacklevel=3)
    return env


def _import_entry_point(env_id: Any) -> None:
    """Import the module of an environment: whether it uses MuJoCo must be known before the environment is made."""
    import gymnasium

    with contextlib.suppress(Exception):  # `gymnasium.make` raises it again
        spec = env_id if isinstance(env_id, gymnasium.envs.registration.EnvSpec) else gymnasium.spec(env_id)
        if isinstance(spec.entry_point, str):
            gymnasium.envs.registration.load_env_creator(spec.entry_point)


def _bad_timestep(env_id: Any, xml_file: Any) -> str:
    """Return what is wrong with the timestep of a model's file; "" if it is not that."""
    if not is_mujoco(env_id):
        return ""
    from gymnasium.envs.mujoco.mujoco_env import expand_model_path

    from fastars.envs.mujoco.sizes import timestep_fault

    with contextlib.suppress(Exception), made_quietly(env_id):
        import mujoco

        return timestep_fault(mujoco.MjModel.from_xml_path(expand_model_path(str(xml_file))))
    return ""


@contextlib.contextmanager
def quiet(env_id: Any) -> Iterator[list[str]]:
    """Keep MuJoCo's warnings on this thread off the terminal and out of the user's folder.

    When the context is left, the list has them if `env_id` is one of Gymnasium's MuJoCo environments that are compiled. Warnings of
    other environments are logged, as by `warnings_logged`.
    """
    if not is_mujoco(env_id):
        with warnings_logged(env_id):
            yield []
        return
    try:
        from fastars.envs.mujoco.messages import collected_warnings
    except OtherSystemError:  # they go where MuJoCo lets them go
        yield []
        return
    with collected_warnings() as texts:
        yield texts


@contextlib.contextmanager
def made_quietly(env_id: Any) -> Iterator[list[str]]:
    """Keep MuJoCo quiet, as `quiet` does, while an environment is made. A fork waits while MuJoCo loads a model, under a lock."""
    with quiet(env_id) as texts, forks_wait() if is_mujoco(env_id) else contextlib.nullcontext():
        yield texts


@contextlib.contextmanager
def warnings_logged(name: Any) -> Iterator[None]:
    """Log MuJoCo's warnings on this thread, while environments of this name are made, stepped or rendered in Python.

    MuJoCo itself would print them, and write them to MUJOCO_LOG.TXT in the user's folder. A handler that the user has set gets
    them, as it does in plain Gymnasium.
    """
    messages = _messages()
    if messages is None or messages.has_user_handler():
        yield
        return
    with messages.collected_warnings() as texts:
        yield
    for alike in messages.kinds_of(texts).values():
        _LOG.warning("MuJoCo warned %s in %s: %s", "once" if len(alike) == 1 else f"{len(alike):,} times, first", name, alike[0])


def _messages() -> Any:
    """Return the module that collects warnings; None without MuJoCo, or with a version of it that fastars does not know."""
    if sys.modules.get("mujoco") is None:
        return None
    try:
        from fastars.envs.mujoco import messages
    except UnsupportedEnvError:
        return None
    return messages

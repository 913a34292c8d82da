"""Make the environment that ENV and `--env-kwargs` ask for, and describe it."""

from __future__ import annotations

import contextlib
import inspect
import os
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from fastars._validate import did_you_mean
from fastars.cli.env_ids import refuse_unknown
from fastars.cli.errors import WrongUseError, wrong_use

if TYPE_CHECKING:
    import gymnasium

    from fastars.ars import ARS


def parse_kwargs(items: Iterable[str]) -> dict[str, Any]:
    """Parse texts such as `g=9.8` into keyword arguments. A value is a Python literal or `inf`; anything else is a text."""
    from fastars.envs.keywords import parse_keywords

    with wrong_use():
        return parse_keywords("--env-kwargs", items)


def kwargs_text(kwargs: Mapping[str, Any]) -> str:
    """Write keyword arguments as in Python."""
    return ", ".join(f"{name}={value!r}" for name, value in kwargs.items())


def changed_kwargs(env_id: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments that differ from the registered ones of an environment."""
    import gymnasium

    spec = gymnasium.spec(env_id)
    registered = {**spec.kwargs, "max_episode_steps": spec.max_episode_steps}
    return {name: value for name, value in kwargs.items() if name not in registered or registered[name] != value}


def describe_env(env_id: str, kwargs: Mapping[str, Any]) -> str:
    """Describe an environment: its id, and the keyword arguments that differ from the registered ones."""
    changed = changed_kwargs(env_id, kwargs)
    return f"{env_id} with {kwargs_text(changed)}" if changed else env_id


def env_options(model: ARS, env: str, env_kwargs: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the arguments with which `fastars eval` finds the environment of a model: --env and --env-kwargs if it needs them.

    It needs them for a module to import, for keyword arguments that the model file does not hold, and for the path of an XML file,
    which is not opened because a file says so.
    """
    items = [item for items in env_kwargs for item in items]
    has_path = os.path.isabs(str(model.env_kwargs.get("xml_file", "")))
    if ":" not in env and not has_path and (model.is_compiled or not items):
        return []
    return ["--env", env, *(["--env-kwargs", *items] if items else [])]


def environment(env_id: str, kwargs: Mapping[str, Any]) -> Any:
    """Make an environment with keyword arguments and try it in Gymnasium.

    Returns
    -------
    gymnasium.Env, callable or str
        The id if there are no keyword arguments; a function that makes the environment if it is not compiled.

    Raises
    ------
    WrongUseError
        If no environment has the id, or Gymnasium or the kernels refuse the keyword arguments.
    """
    from fastars.envs import UnsupportedEnvError, compiled_env, compiled_env_ids, compiled_id, make

    refuse_unknown(env_id)
    if not kwargs:
        return env_id
    env_id = compiled_id(env_id)
    if env_id not in compiled_env_ids():
        return partial(make, env_id.rpartition(":")[2], **kwargs)
    with contextlib.closing(make(env_id)) as plain:
        _refuse(env_id, inspect.signature(type(plain.unwrapped).__init__).parameters, kwargs)
    try:
        env = make(env_id, **kwargs)
        compiled_env(env)
        _try(env)
    except UnsupportedEnvError:
        raise
    except Exception as error:  # wrong values lead to TypeError, OSError, ZeroDivisionError, errors of MuJoCo, ...
        is_name = isinstance(error, OSError) and not str(kwargs.get("xml_file")).startswith((".", "/", "~"))
        hint = " (for a file of your own, begin with ./ or /)" if is_name else ""
        raise WrongUseError(f"{env_id} can't be made with {kwargs_text(kwargs)}: {error}{hint}") from error
    return env


def _refuse(env_id: str, parameters: Mapping[str, inspect.Parameter], kwargs: Mapping[str, Any]) -> None:
    """Raise for an argument that the environment does not have, and for a text in place of a number, a bool or a range.

    Gymnasium accepts such a text: to it, `false` is as true as any text.
    """
    named = [name for name, parameter in parameters.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    known = [name for name in (*named, "max_episode_steps") if name not in ("self", "render_mode", "default_camera_config")]
    for name, value in kwargs.items():
        if name not in known:
            raise WrongUseError(
                f"{env_id} has no argument {name} for training; it has {', '.join(known)}{did_you_mean(name, known)}"
            )
        default = parameters[name].default if name in parameters else None
        if isinstance(value, str) and isinstance(default, (bool, float, tuple)):
            raise WrongUseError(f"--env-kwargs: {name} must be a {type(default).__name__} such as {default!r}, got {value!r}")


def _try(env: gymnasium.Env) -> None:
    """Take one step in Gymnasium, because some arguments are checked only there."""
    from fastars.envs import quiet

    with warnings.catch_warnings(), quiet(env.spec.id if env.spec else None):
        warnings.simplefilter("ignore")
        env.reset(seed=0)
        env.step(env.action_space.sample())

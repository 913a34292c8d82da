"""Make an environment as a file says: the one place where words of a file reach an environment.

A file may come from anybody. It gives arguments to the environments that are compiled here alone, which take numbers, and only
those that their compiled form takes. Every other environment is code of somebody else, to which an argument may be a command, a
module or a path: it is made as it was registered, or the user says its arguments. No path in a file is opened.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium

from fastars._imports import pip_install
from fastars._validate import refuse_long_integer, stored_integer
from fastars.envs.errors import UnsupportedEnvError
from fastars.envs.making import make
from fastars.envs.registry import COMPILED, ENTRY_POINTS, USER_ENVS

_MAX_LENGTH = 100  # characters of a text, numbers of a list
_TEXTS = ("dst_map", "main_body")  # arguments of ours that are names
_NAME_OF_MODEL = re.compile(r"[A-Za-z0-9_-]+\.xml")  # in Gymnasium's folder
_NOT_HERE = "as a compiled environment it is not registered here"


def compiled_as_in_file(env_id: Any, kwargs: Mapping[str, Any], trust: bool = False) -> Callable[[], gymnasium.Env]:
    """Return a function that makes a compiled environment in Gymnasium, with the arguments in a file.

    Parameters
    ----------
    env_id, kwargs
        As a file has them: anything. `max_episode_steps` must be among the arguments.
    trust : bool
        True if MuJoCo may open the file that `xml_file` leads to.

    Raises
    ------
    UnsupportedEnvError
        If no environment of ours is registered under this id, or an argument is none that its compiled form takes.
    ValueError, TypeError, KeyError
        If a value is no number, list of numbers or name, or `max_episode_steps` is missing.
    """
    known = _arguments(env_id)
    stored_integer("max_episode_steps", kwargs["max_episode_steps"], 1)
    for name, value in kwargs.items():
        if name not in known:
            raise UnsupportedEnvError(f"it was made with {name}={value!r}, which its compiled form does not take")
        if name == "xml_file":
            _check_model(value, trust)
        else:
            _check(name, value)
    return partial(make, env_id, **{name: tuple(value) if isinstance(value, list) else value for name, value in kwargs.items()})


def registered_as_in_file(
    env_id: Any, kwargs: Mapping[str, Any], max_steps: Any, plain: Callable[[Any], Any]
) -> Callable[[], gymnasium.Env]:
    """Return a function that makes any environment as it is registered here, with the time limit in a file.

    Parameters
    ----------
    env_id, kwargs, max_steps
        As a file has them: anything.
    plain : callable
        Returns the form that an argument has in a file.

    Raises
    ------
    UnsupportedEnvError
        If it is not registered, or other arguments are in the file than it is registered with.
    ValueError
        If the time limit is no integer from 1 to 2**63 - 1.
    """
    spec = gymnasium.registry.get(env_id)
    if spec is None:
        raise UnsupportedEnvError("it is not registered here")
    for name, value in kwargs.items():
        if name != "max_episode_steps" and plain(spec.kwargs.get(name)) != value:
            raise UnsupportedEnvError(f"it was made with {name}={value!r}")
    return partial(make, env_id, max_episode_steps=stored_integer("max_episode_steps", max_steps, 1))


def is_ours(env_id: Any) -> bool:
    """Return True for the id of a compiled environment, unless somebody registered another one under it."""
    try:
        return bool(_arguments(env_id))
    except UnsupportedEnvError:
        return False


def _arguments(env_id: Any) -> tuple[str, ...]:
    """Return the arguments that the compiled form of an environment takes."""
    spec = gymnasium.registry.get(env_id) if isinstance(env_id, str) else None
    if spec is None or env_id not in {*COMPILED, *USER_ENVS}:
        raise UnsupportedEnvError(_NOT_HERE)
    if env_id in USER_ENVS:
        if spec is not USER_ENVS[env_id].spec:
            raise UnsupportedEnvError(_NOT_HERE)
        return "max_episode_steps", *USER_ENVS[env_id].constants._fields
    if not isinstance(spec.entry_point, str) or not spec.entry_point.startswith(ENTRY_POINTS):
        raise UnsupportedEnvError(f"another environment is registered under its id, {spec.entry_point!r}")
    home, (module, _, name) = COMPILED[env_id], spec.entry_point.partition(":")
    try:
        if home.family == "mujoco":
            import_module("fastars.envs.mujoco.library")  # it says what to install, where Gymnasium's module is imported without
        kind, twin = getattr(import_module(home.path), home.name), getattr(import_module(module), name)
    except ImportError as error:
        raise UnsupportedEnvError(f"MuJoCo environments need more packages: {pip_install('mujoco')} ({error})") from error
    if home.family == "classic":
        return "max_episode_steps", *kind().gymnasium()[1]
    parameters = inspect.signature(twin.__init__).parameters
    names = (*kind._fields, "xml_file", "frame_skip") if home.family == "mujoco" else inspect.signature(kind).parameters
    return "max_episode_steps", *(name for name in names if name in parameters and name != "render_mode")


def _check_model(value: Any, trust: bool) -> None:
    """Raise for an `xml_file` that is no name of a file of Gymnasium's, or, if the user trusts it, no path of a file."""
    if type(value) is not str or "\0" in value:
        raise ValueError(f"xml_file must be a path, or the name of a file of Gymnasium's, got {value!r}")
    if _NAME_OF_MODEL.fullmatch(value):
        return
    if not trust:
        raise ValueError(
            f"it was made with xml_file={value!r}, and no path in a file is opened without trust=True (in the command, --env and "
            "--env-kwargs give it)"
        )
    if os.path.exists(path := os.path.expanduser(value)) and not os.path.isfile(path):  # MuJoCo would wait for a pipe
        raise ValueError(f"xml_file {value!r} is no regular file")


def _check(name: str, value: Any) -> None:
    """Raise for a value that is no number, no list of numbers, and no name where a name is expected."""
    if name in _TEXTS and isinstance(value, str) and len(value) <= _MAX_LENGTH:
        return
    numbers = value if isinstance(value, list) else [value]
    if len(numbers) > _MAX_LENGTH or not all(isinstance(number, (bool, int, float)) for number in numbers):
        raise ValueError(f"{name} must be a number or a list of numbers, got {value!r}")
    refuse_long_integer(name, value)

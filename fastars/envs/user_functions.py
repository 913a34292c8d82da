"""Functions and constants that a user gives: checks, trial calls in plain Python, and errors of Numba in readable form.

`register_env` and `MujocoTask` share them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import FunctionType
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from fastars.envs.registry import USER_ENVS, compiled_env_ids

BOOLS = (bool, np.bool_)
NUMBERS = (*BOOLS, int, float, np.integer, np.floating)
# Numba's words where SciPy is missing, from whose libraries it takes BLAS and LAPACK.
_NO_SCIPY = re.compile(r"scipy [\d.]+\+? is required", re.IGNORECASE)
_INSTEAD_OF_SCIPY = (
    "np.linalg, np.dot and @ are compiled with SciPy only: pip install scipy, or write the numbers out, such as "
    "math.sqrt(x * x + y * y) for np.linalg.norm"
)


def plain_function(name: str, value: Any, parameters: tuple[str, ...]) -> FunctionType:
    """Return the plain Python function that the argument `name` is, or that it was compiled from.

    Raises
    ------
    TypeError
        If it is no plain function, or does not take these parameters.
    """
    function = getattr(value, "py_func", value)  # Numba's dispatchers have the function that they compile
    signature = f"{name}({', '.join(parameters)})"
    if not isinstance(function, FunctionType):
        raise TypeError(f"{name} must be a plain function {signature}, got {value!r}")
    try:
        inspect.signature(function).bind(*parameters)
    except TypeError as error:
        raise TypeError(f"{name} must take the parameters of {signature}, got {name}{inspect.signature(function)}") from error
    return function


def frozen_number(name: str, value: Any) -> bool | int | float:
    """Return a number in the type that plain Python and the kernels compute with alike: bool, int64 or float64.

    Raises
    ------
    ValueError
        For an integer of more than 64 bits.
    """
    if isinstance(value, BOOLS):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name} must be an integer of 64 bits, got {value!r}")
        return int(value)
    return float(value)


def check_new_id(argument: str, env_id: Any, may_replace: bool = False) -> None:
    """Raise if an id is not a valid one, or if it belongs to a registered environment.

    Parameters
    ----------
    argument : str
        Name of the user's argument.
    env_id : str
        The id.
    may_replace : bool
        Accept the id of an environment that `register_env` made.

    Raises
    ------
    ValueError
    """
    is_taken = isinstance(env_id, str) and (env_id in gymnasium.registry or env_id in compiled_env_ids())
    if is_taken and not (may_replace and env_id in USER_ENVS):
        raise ValueError(f"{argument} must be one that no registered environment has, got {env_id!r}")
    try:
        EnvSpec(env_id, "nowhere:Nothing")
    except (gymnasium.error.Error, TypeError) as error:
        raise ValueError(f"{argument} must be an id such as 'MyTask-v0', got {env_id!r}") from error


def try_function(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function in plain Python and return its result; an error names the function.

    Raises
    ------
    ValueError
        If the function fails. Its own error is the cause.
    """
    try:
        with np.errstate(all="ignore"):
            return function(*arguments)
    except Exception as error:
        raise ValueError(f"{name} failed when it was tried: {type(error).__name__}: {error}") from error


def numba_text(error: Exception) -> str:
    """Return the text of an error of Numba's without the codes of colours; for linear algebra without SciPy, what to do."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    if _NO_SCIPY.search(text):
        return _INSTEAD_OF_SCIPY
    return text

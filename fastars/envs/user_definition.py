"""An environment that a user registers: functions, constants and spaces, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete

from fastars._compiled.tuples import to_float64
from fastars.envs.spaces import refuse_bounds
from fastars.envs.user_functions import NUMBERS, frozen_number

PARAMETERS = {"reset": ("env", "rng"), "observe": ("env", "state"), "step": ("env", "state", "action")}


class UserFunctions(NamedTuple):
    """The three functions that make constants an environment, plain or compiled."""

    reset: Callable[..., Any]
    observe: Callable[..., Any]
    step: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class UserDefinition:
    """A user's environment, checked."""

    id: str
    constants: Any  # NamedTuple of the user's
    functions: UserFunctions  # plain
    observation_space: Box
    action_space: Any
    reward_space: Any = None  # a Box, if a step gives several rewards
    task_names: tuple[str, ...] = ()
    kind: Any = None  # class of the constants in kernels: it picks the compiled functions


def frozen_constants(constants: Any) -> Any:
    """Return the constants in the types that plain Python and the kernels compute with alike: float64, int64, bool.

    Raises
    ------
    TypeError
        If they are no NamedTuple of numbers and bools.
    ValueError
        For an integer of more than 64 bits.
    """
    if not isinstance(constants, tuple) or not hasattr(constants, "_fields"):
        raise TypeError(f"constants must be an instance of a NamedTuple, got {constants!r}")
    fields: Any = constants
    values: dict[str, Any] = {}
    for name, value in zip(fields._fields, constants, strict=True):
        if not isinstance(value, NUMBERS):
            raise TypeError(f"constants.{name} must be a number or a bool, got {value!r}")
        values[name] = frozen_number(f"constants.{name}", value)
    return fields._replace(**values)


def check_spaces(observation_space: Any, action_space: Any) -> None:
    """Raise a TypeError for a space that the kernels of a user's environment don't know."""
    for name, space in {"observation_space": observation_space, "action_space": action_space}.items():
        if name == "action_space" and isinstance(space, Discrete):
            continue
        if not (isinstance(space, Box) and space.dtype == np.float32 and len(space.shape) == 1 and space.shape[0] > 0):
            allowed = "a Box of float32 with one dimension" + (" or a Discrete" if name == "action_space" else "")
            raise TypeError(f"{name} must be {allowed}, got {space!r}")
        refuse_bounds(space)


def two_actions(space: Any) -> list[Any]:
    """Return two actions, as the functions take them: the first and the last, or two corners of a Box."""
    if isinstance(space, Discrete):
        return [int(space.start), int(space.start + space.n - 1)]
    return [to_float64(np.clip(size * np.ones(space.shape, np.float32), space.low, space.high)) for size in (-1, 1)]

"""Check the arguments of public functions: one check for each kind of value, with one wording."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import numpy.typing as npt


def positive_int(name: str, value: Any) -> int:
    """The value as an int of at least 1; whole floats such as 1e5 count.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.
    """
    try:
        integer = int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except TypeError:
        integer = 0
    if isinstance(value, bool) or integer < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return integer


def positive_seconds(name: str, value: Any) -> float:
    """The value as a positive number of seconds.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < math.inf:
        raise ValueError(f"{name} must be a positive number of seconds or None, got {value!r}")
    return float(value)


def seed_array(seeds: Any, n: int) -> npt.NDArray[np.uint64]:
    """The seeds of n episodes as uint64.

    Raises
    ------
    ValueError
        If there are not n of them, or one is no integer from 0 to 2**64 - 1.
    """
    values = np.asarray(seeds, dtype=object) if isinstance(seeds, (list, tuple)) else np.asarray(seeds)
    if values.shape != (n,):
        raise ValueError(f"seeds must have shape ({n},), one per candidate, got {values.shape}")
    for seed in values if values.dtype.kind not in "iu" else values[values < 0]:
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ValueError(f"seeds must be integers from 0 to 2**64 - 1, got {seed!r}")
    return values.astype(np.uint64)


def task_weights(values: Any, n_tasks: int) -> npt.NDArray[np.float64]:
    """The weights of n rewards as float64, (n_tasks,); None: all 1.

    Raises
    ------
    ValueError
        If there are not n of them, or one is not finite.
    """
    if values is None:
        return np.ones(n_tasks)
    if n_tasks == 0:
        raise ValueError(f"reward_weights must be None where the reward is a number, got {values!r}")
    weights = np.array(values, np.float64)
    if weights.shape != (n_tasks,) or not np.isfinite(weights).all():
        raise ValueError(f"reward_weights must be finite and of shape ({n_tasks},), one for each task, got {values!r}")
    return weights

"""Check what an environment in Python returns: a wrong type of a number, a flag or an info is a failure of the episode.

Values of the usual types are told by a look at their type, in the loop over steps. The functions here get all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

REALS = frozenset({float, int, bool, np.bool_, *(np.dtype(code).type for code in "bhilqBHILQefd")})
FLAGS = frozenset({bool, np.bool_})


def real_array(name: str, value: Any) -> np.ndarray:
    """Return the value as an array of bools, integers or floats.

    Raises
    ------
    TypeError
        For texts, complex numbers, objects and times, and for arrays in which entries are masked.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be of real numbers, got {array.dtype} from {_shown(value)}")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(f"{name} must be of real numbers, got an array of which entries are masked: {_shown(value)}")
    return array


def real(name: str, value: Any) -> float:
    """Return a number as a float: a number of Python or NumPy, or an array of one entry; TypeError for any other value."""
    try:
        array = real_array(name, value) if _is_number_like(value) else None
    except TypeError:
        array = None
    if array is None or array.size != 1:
        if hasattr(type(value), "__float__") and not hasattr(value, "dtype"):  # a Fraction, a Decimal
            return float(value)
        raise TypeError(f"{name} must be a number, got {_shown(value)}")
    return float(array.item())


def _is_number_like(value: Any) -> bool:
    """Return True for a number of Python and for arrays; NumPy makes arrays also of a bytearray, a range or a deque."""
    return isinstance(value, (bool, int, float)) or hasattr(type(value), "__array__") or hasattr(value, "dtype")


def flag(name: str, value: Any) -> bool:
    """Return a bool for a bool, 0 or 1, of Python or NumPy, or an array of one of these; TypeError for any other value."""
    if type(value) in FLAGS:
        return bool(value)
    array = np.asarray(value if _is_number_like(value) else None)
    if array.dtype.kind not in "biuf" or array.size != 1 or array.item() not in (0, 1):
        raise TypeError(f"{name} must be True or False, got {_shown(value)}")
    return bool(array.item())


def checked_end(terminated: Any, truncated: Any, info: Any) -> tuple[bool, bool]:
    """Return (terminated, truncated) of a step as bools, and check that its info is a dict."""
    if not isinstance(info, Mapping):
        raise TypeError(f"step must give a dict as its info, got {_shown(info)}")
    return flag("terminated", terminated), flag("truncated", truncated)


def flags(name: str, values: Any, n: int) -> np.ndarray:
    """Return the flags of n environments as an array of bool, shape (n,)."""
    array = np.asarray(values)
    if array.shape == (n,) and array.dtype == np.bool_:  # as a rule; to look at other values takes 40 us
        return array.copy()
    if array.shape != (n,) or array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise TypeError(f"{name} must be {n} times True or False, got {_shown(values)}")
    return array.astype(np.bool_)


def first_observation(result: Any) -> Any:
    """Return the observation of what `reset` returned."""
    if not isinstance(result, (tuple, list)) or len(result) != 2 or not isinstance(result[1], Mapping):
        raise TypeError(f"reset must return (observation, info), with a dict as info, got {_shown(result)}")
    return result[0]


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text[:80]}..." if len(text) > 80 else text

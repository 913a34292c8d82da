"""Check what `Method.load_state_dict` is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import boolean, integer
from fastars.weighting.step import State

_NOT_NEGATIVE = ("n_updates", "v", "initial")  # steps and mean squares of Adam, first losses


class SavedState(NamedTuple):
    """A checked state of a method of T tasks."""

    n_steps: int
    freeze: bool
    weights: FloatArray | None  # (T,)
    sums: FloatArray | None  # (T,), of the weights of all steps
    mask: np.ndarray | None  # (T,) of bool
    state: State | None


def check_owner(state: Mapping[str, Any], method: str, n_tasks: int | None) -> None:
    """Raise a ValueError if a state is not whole, or is of another method or another number of tasks."""
    for name in ("method", "n_tasks", "n_steps", "freeze"):
        if name not in state:
            raise ValueError(f"the state has no {name!r}")
    if state["method"] != method:
        raise ValueError(f"the state must be one of {method!r}, got {state['method']!r}")
    if type(state["n_tasks"]) is not int or state["n_tasks"] < 1 or n_tasks not in (None, state["n_tasks"]):
        raise ValueError(f"the state must be one of {n_tasks or 'some'} tasks, got {state['n_tasks']!r}")


def read_state(state: Mapping[str, Any], first: State | None) -> SavedState:
    """Return a state with its arrays as NumPy arrays; in a file they may have become lists.

    Parameters
    ----------
    state : mapping
        A state that `check_owner` accepts.
    first : dict or None
        State of the method before its first step, which has the names, shapes and dtypes; None if `state` has none.
    """
    weights, sums, mask = (_task_array(state, name) for name in ("weights", "sums", "mask"))
    n_steps = integer("n_steps", state["n_steps"], 0)
    if n_steps >= 2**62:
        raise ValueError(f"n_steps must be below 2**62, got {n_steps}")
    of_method = None if first is None else _method_state(state["state"], first)
    if of_method is not None and (np.asarray(of_method.get("n_updates", 0)) > n_steps).any():
        raise ValueError(f"n_updates must be at most n_steps, got {of_method['n_updates']!r}")
    return SavedState(n_steps, boolean("freeze", state["freeze"]), weights, sums, mask, of_method)


def _task_array(state: Mapping[str, Any], name: str) -> np.ndarray | None:
    if state.get(name) is None:
        return None
    n_tasks = state["n_tasks"]
    array = np.array(state[name], np.bool_ if name == "mask" else np.float64)
    if array.shape != (n_tasks,) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be {n_tasks} finite numbers, got {state[name]!r}")
    return array


def _method_state(state: Mapping[str, Any], first: State) -> State:
    found = dict(state)
    for name, value in first.items():
        if name not in found or np.shape(found[name]) != np.shape(value):
            raise ValueError(f"the state has no fitting {name!r}")
        if isinstance(value, np.ndarray):
            found[name] = _state_array(name, found[name], value)
    return found


def _state_array(name: str, found: Any, first: np.ndarray) -> np.ndarray:
    """Return an array of a method's state. It may be NaN where the first state is: for what is not known yet."""
    array = np.array(found)
    if array.dtype.kind not in "iuf" or (first.dtype.kind != "f" and array.dtype.kind == "f"):
        raise ValueError(f"{name} must be {first.dtype}, got {found!r}")
    array = array.astype(first.dtype)
    if np.isinf(array).any() or (np.isnan(array) & ~np.isnan(first)).any():
        raise ValueError(f"{name} must be finite, got {found!r}")
    if name in _NOT_NEGATIVE and (array < 0).any():
        raise ValueError(f"{name} must be at least 0, got {found!r}")
    return array

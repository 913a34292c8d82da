"""Check the arguments of `Method.step`, and complete them: gradients give norms and a Gram matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars.weighting.arrays import float64_array, gradient_rows, is_finite
from fastars.weighting.step import Inputs, task_label

NEEDS = ("losses", "norms", "gram", "stds")
_INSTEAD = {"norms": " (or gram= or grads=)", "gram": " (or grads=)"}
_ALL = slice(None)


class Tasks(NamedTuple):
    """The tasks of a method, before a step."""

    method: str  # class of the method, for error messages
    n_tasks: int | None  # None before the first step of a method that was made without a number
    names: tuple[str, ...] | None  # (T,)
    mask: np.ndarray | None  # (T,), True for tasks that take part; None if all do


def read_inputs(tasks: Tasks, needs: tuple[str, ...], losses: Any, norms: Any, grads: Any, gram: Any, stds: Any) -> Inputs:
    """Return the arguments of a step as float64 arrays. Entries of masked tasks may hold anything.

    Raises
    ------
    ValueError
        If an entry of `needs` is missing, or an argument has another length or shape, is not finite, or is negative where that
        is impossible.
    """
    if grads is not None:
        gram, norms_of_grads = _products(tasks, gradient_rows(grads), "gram" in needs)
        norms = norms_of_grads if norms is None else norms
    arrays = {
        name: _checked_array(tasks, name, value)
        for name, value in (("losses", losses), ("norms", norms), ("gram", gram), ("stds", stds))
        if value is not None
    }
    if gram is not None and norms is None:
        arrays["norms"] = np.sqrt(np.maximum(np.diag(arrays["gram"]), 0.0))  # the diagonal of a debiased one may be negative
    for name in needs:
        if name not in arrays:
            raise ValueError(f"{tasks.method} needs {name}={_INSTEAD.get(name, '')}")
    n_tasks = _common_length(tasks.method, arrays) if tasks.n_tasks is None else tasks.n_tasks
    mask = np.ones(n_tasks, np.bool_) if tasks.mask is None else tasks.mask
    index = _ALL if tasks.mask is None else np.flatnonzero(mask)
    return Inputs(arrays.get("losses"), arrays.get("norms"), arrays.get("gram"), arrays.get("stds"), mask, index, tasks.names)


def check_at_least(name: str, values: FloatArray, least: float, allowed: str, inputs: Inputs | Tasks) -> None:
    """Raise a ValueError if an unmasked task has a value below `least`; the error says what is `allowed`."""
    numbers = values.tolist()
    if min(numbers) >= least:  # a NaN, which only a masked task may have, is either skipped or makes this False
        return
    for i, number in enumerate(numbers):
        if number < least and (inputs.mask is None or inputs.mask[i]):
            raise ValueError(f"{name} must be {allowed}, got {number:g} for {task_label(inputs.names, i)}")


def described(inputs: Inputs) -> str:
    """Return the arrays of a step as text for an error message."""
    arrays = {"losses": inputs.losses, "norms": inputs.norms, "gram": inputs.gram, "stds": inputs.stds}
    return ", ".join(f"{name}={array.tolist()}" for name, array in arrays.items() if array is not None)


def _common_length(method: str, arrays: Mapping[str, FloatArray]) -> int:
    """Return the number of tasks in the first step."""
    if not arrays:
        raise ValueError(f"n_tasks must be known at the first step: give it to {method}(), or losses= to step()")
    n_tasks = len(next(iter(arrays.values())))
    for name, array in arrays.items():
        _check_length(name, array, n_tasks)
    return n_tasks


def _check_length(name: str, array: np.ndarray, n_tasks: int | None) -> None:
    if n_tasks is not None and len(array) != n_tasks:
        raise ValueError(f"{name} must have {n_tasks} entries, one per task, got {len(array)}")


def _products(tasks: Tasks, rows: np.ndarray, with_gram: bool) -> tuple[FloatArray | None, FloatArray]:
    """Return (Gram matrix or None, norms) of gradients. A gradient is finite if its norm is."""
    _check_length("grads", rows, tasks.n_tasks)
    gram: FloatArray | None = kernels.gram(rows) if with_gram else None
    norms: FloatArray = kernels.gradient_norms(rows) if gram is None else np.sqrt(np.diag(gram))
    for i, norm in enumerate(norms.tolist()):
        if not math.isfinite(norm) and (tasks.mask is None or tasks.mask[i]):
            label = task_label(tasks.names, i)
            raise ValueError(f"grads must be finite, and so must their products, got a norm of {norm:g} for {label}")
    return gram, norms


def _checked_array(tasks: Tasks, name: str, value: Any) -> FloatArray:
    """Return an argument as float64, finite in the entries of unmasked tasks."""
    array = float64_array(name, value)
    if name == "gram":
        if array.ndim != 2 or array.shape[0] != array.shape[1]:
            raise ValueError(f"gram must have shape (T, T), got {array.shape}")
    elif array.ndim != 1:
        raise ValueError(f"{name} must have shape (T,), got {array.shape}")
    _check_length(name, array, tasks.n_tasks)
    unmasked = array if tasks.mask is None else array[np.ix_(*(tasks.mask,) * array.ndim)]
    if not is_finite(unmasked):
        indices = np.arange(len(array)) if tasks.mask is None else np.flatnonzero(tasks.mask)
        bad = int(np.argmin(np.isfinite(unmasked).reshape(len(indices), -1).all(axis=1)))
        raise ValueError(f"{name} must be finite, got {unmasked[bad]} for {task_label(tasks.names, indices[bad])}")
    if name in ("norms", "stds"):
        check_at_least(name, array, 0.0, "at least 0", tasks)
    return array

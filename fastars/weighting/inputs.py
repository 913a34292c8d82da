"""Check the arguments of `Method.step`, and complete them: gradients give norms and a Gram matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.weighting.arrays import float64_array, is_finite
from fastars.weighting.gradients import gradient_rows
from fastars.weighting.scale import ScaledGram, finite_norms, gram_given, gram_of_rows
from fastars.weighting.step import Inputs, Tasks, task_label

NEEDS = ("losses", "norms", "gram", "stds")
_INSTEAD = {"norms": " (or gram= or grads=)", "gram": " (or grads=)"}
_ALL = slice(None)


def read_inputs(tasks: Tasks, needs: tuple[str, ...], losses: Any, norms: Any, grads: Any, gram: Any, stds: Any) -> Inputs:
    """Return the arguments of a step as float64 arrays. Entries of masked tasks may hold anything.

    Raises
    ------
    ValueError
        If an entry of `needs` is missing, or an argument has another length or shape, is not finite, or is negative where that
        is impossible, or lies so far from the others that float64 can't hold their products.
    """
    scaled: ScaledGram | None = None
    if grads is not None:
        scaled, of_grads = _products(tasks, gradient_rows(grads), "gram" in needs)
        norms, gram = (of_grads if norms is None else norms), None
    arrays = {
        name: _checked_array(tasks, name, value)
        for name, value in (("losses", losses), ("norms", norms), ("gram", gram), ("stds", stds))
        if value is not None
    }
    if gram is not None:
        is_used = "gram" in needs or ("norms" in needs and norms is None)
        scaled = gram_given(tasks, arrays["gram"], _taking_part(tasks, len(arrays["gram"])), is_used)
        arrays.setdefault("norms", scaled.norms)
    if scaled is not None:
        arrays["gram"] = scaled.gram
    for name in needs:
        if name not in arrays:
            raise ValueError(f"{tasks.method} needs {name}={_INSTEAD.get(name, '')}")
    n_tasks = _common_length(tasks.method, arrays) if tasks.n_tasks is None else tasks.n_tasks
    mask = np.ones(n_tasks, np.bool_) if tasks.mask is None else tasks.mask
    index = _ALL if tasks.mask is None else np.flatnonzero(mask)
    exponent = 0 if scaled is None else scaled.exponent
    losses_given, norms_given, gram_scaled, stds_given = map(arrays.get, NEEDS)
    return Inputs(losses_given, norms_given, gram_scaled, stds_given, mask, index, tasks.names, exponent)


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
    arrays = {"losses": inputs.losses, "norms": inputs.norms, "gram": inputs.unscaled_gram, "stds": inputs.stds}
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


def _products(tasks: Tasks, rows: np.ndarray, with_gram: bool) -> tuple[ScaledGram | None, FloatArray]:
    """Return (scaled Gram matrix or None, norms) of gradients."""
    _check_length("grads", rows, tasks.n_tasks)
    index = _taking_part(tasks, len(rows))
    if not with_gram:
        return None, finite_norms(tasks, rows, index)
    scaled = gram_of_rows(tasks, rows, index)
    return scaled, scaled.norms


def _taking_part(tasks: Tasks, n_tasks: int) -> list[int]:
    return list(range(n_tasks)) if tasks.mask is None else np.flatnonzero(tasks.mask).tolist()


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

"""Read the gradients of the tasks, whole or parameter by parameter, as the rows of one matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastars.weighting.arrays import real_array


def gradient_rows(grads: Any) -> np.ndarray:
    """Return gradients as a contiguous matrix of shape (T, d), float32 or float64: the kernels sum either in float64.

    `grads` is an array (T, ...), or a sequence with an entry for each task: an array, or the arrays of several parameters in a
    sequence or a mapping. None stands for the zeros of a parameter that the task does not use.

    Raises
    ------
    ValueError
        If the tasks differ in the number or the sizes of their parameters, or anything but numbers is there.
    """
    try:
        matrix = _joined([_parts(entry) for entry in grads]) if isinstance(grads, (list, tuple)) else real_array(grads)
        matrix = matrix if matrix.dtype in (np.float32, np.float64) else matrix.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"grads must be numbers, a row per task: {error}") from error
    if matrix.ndim < 2 or matrix.size == 0:
        raise ValueError(f"grads must have shape (T, d), got {matrix.shape}")
    return np.ascontiguousarray(matrix.reshape(len(matrix), -1))


def _parts(entry: Any) -> list[np.ndarray | None]:
    """Return the gradient of a task as flat arrays, one for each parameter; those of a mapping in the order of their names."""
    if isinstance(entry, Mapping):
        entry = [entry[name] for name in sorted(entry)]
    if isinstance(entry, (list, tuple)) and any(map(_is_part, entry)):
        return [part for inner in entry for part in _parts(inner)]
    return [None if entry is None else real_array(entry).ravel()]


def _is_part(entry: Any) -> bool:
    """Return True for the gradient of a parameter, False for a number in a gradient."""
    is_array = hasattr(entry, "shape") and not isinstance(entry, np.generic)
    return is_array or entry is None or isinstance(entry, (list, tuple, Mapping))


def _joined(tasks: list[list[np.ndarray | None]]) -> np.ndarray:
    """Return the matrix whose rows are the parts of each task, one after the other."""
    numbers = [len(parts) for parts in tasks]
    if len(set(numbers)) > 1:
        raise ValueError(f"all tasks need gradients of the same parameters, got {', '.join(map(str, numbers))} of them")
    columns = list(zip(*tasks, strict=True))
    sizes = []
    for parameter, parts in enumerate(columns):
        found = [part.size for part in parts if part is not None]
        if len(set(found)) > 1:
            of_which = f" for parameter {parameter}" if len(columns) > 1 else ""
            raise ValueError(f"all tasks need gradients of one length, got {', '.join(map(str, found))}{of_which}")
        sizes.append(max(found, default=0))
    dtypes = [part.dtype for parts in tasks for part in parts if part is not None]
    matrix = np.zeros((len(tasks), sum(sizes)), np.result_type(*dtypes) if dtypes else np.float64)
    for row, parts in zip(matrix, tasks, strict=True):
        for end, size, part in zip(np.cumsum(sizes), sizes, parts, strict=True):
            if part is not None:
                row[end - size : end] = part
    return matrix

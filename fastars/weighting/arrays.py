"""Read numbers and gradients of any framework as NumPy arrays."""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeGuard

import numpy as np

from fastars._compiled.structs import FloatArray


class _Tensor(Protocol):
    """The methods of a PyTorch tensor that are called here."""

    def detach(self) -> _Tensor: ...
    def cpu(self) -> Any: ...


def float64_array(name: str, value: Any) -> FloatArray:
    """Return a float64 copy of the value.

    Raises
    ------
    ValueError
        If the value does not hold numbers only. The error begins with `name`.
    """
    try:
        return _numpy_array(value).astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: from PyTorch
        raise ValueError(f"{name} must be numbers: {error}") from error


def gradient_rows(grads: Any) -> np.ndarray:
    """Return gradients as a contiguous matrix of shape (T, d), float32 or float64: the kernels sum either in float64.

    Raises
    ------
    ValueError
        If the rows differ in length, or hold anything but numbers.
    """
    try:
        if isinstance(grads, (list, tuple)):
            rows = [_numpy_array(gradient).ravel() for gradient in grads]
            if len({len(row) for row in rows}) > 1:
                raise ValueError(f"all tasks need gradients of one length, got {', '.join(str(len(row)) for row in rows)}")
            matrix = np.stack(rows)
        else:
            matrix = _numpy_array(grads)
        matrix = matrix if matrix.dtype in (np.float32, np.float64) else matrix.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"grads must be numbers, a row per task: {error}") from error
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"grads must have shape (T, d), got {matrix.shape}")
    return np.ascontiguousarray(matrix)


def is_finite(array: FloatArray) -> bool:
    """True if all numbers are finite. For the few entries of a vector, a list is faster than NumPy."""
    if array.ndim == 1:
        return all(map(math.isfinite, array.tolist()))
    return bool(np.isfinite(array).all())


def _numpy_array(value: Any) -> np.ndarray:
    """Return the value as an array; PyTorch tensors, alone or in a sequence, leave their graph and their device first."""
    if isinstance(value, np.ndarray):
        return value
    if _is_tensor(value):
        return np.asarray(value.detach().cpu())
    if isinstance(value, (list, tuple)) and any(map(_is_tensor, value)):
        return np.array([_numpy_array(entry) for entry in value])
    return np.asarray(value)


def _is_tensor(value: object) -> TypeGuard[_Tensor]:
    """True for a PyTorch tensor. PyTorch is not imported for this check: importing it takes a second or more."""
    return hasattr(value, "detach")

"""Read numbers of any framework as NumPy arrays."""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeGuard

import numpy as np

from fastars._compiled.structs import FloatArray


class _Tensor(Protocol):
    """The methods of a PyTorch tensor that are called here."""

    def detach(self) -> _Tensor: ...
    def element_size(self) -> int: ...
    def float(self) -> _Tensor: ...
    def to_dense(self) -> _Tensor: ...
    def resolve_neg(self) -> _Tensor: ...
    def cpu(self) -> Any: ...


def float64_array(name: str, value: Any) -> FloatArray:
    """Return a float64 copy of the value.

    Raises
    ------
    ValueError
        If the value does not hold numbers only. The error begins with `name`.
    """
    try:
        return real_array(value).astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: from PyTorch
        raise ValueError(f"{name} must be numbers: {error}") from error


def is_finite(array: FloatArray) -> bool:
    """True if all numbers are finite. For the few entries of a vector, a list is faster than NumPy."""
    if array.ndim == 1:
        return all(map(math.isfinite, array.tolist()))
    return bool(np.isfinite(array).all())


def real_array(value: Any) -> np.ndarray:
    """Return the value as an array; PyTorch tensors, alone or in a sequence, leave their graph and their device first.

    Raises
    ------
    TypeError
        For complex numbers, texts and times, of which NumPy would make float64.
    """
    array = _numpy_array(value)
    if array.dtype.kind in "cmMSU":
        raise TypeError(f"real numbers are needed, got {array.dtype}")
    return array


def _numpy_array(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    if _is_tensor(value):
        tensor = value.detach().to_dense().resolve_neg()  # a gradient of an Embedding(sparse=True); a view of `x.conj().imag`
        return np.asarray((tensor.float() if tensor.element_size() < 4 else tensor).cpu())  # NumPy has no bfloat16
    if isinstance(value, (list, tuple)) and any(map(_is_tensor, value)):
        return np.array([_numpy_array(entry) for entry in value])
    return np.asarray(value)


def _is_tensor(value: object) -> TypeGuard[_Tensor]:
    """True for a PyTorch tensor. PyTorch is not imported for this check: importing it takes a second or more."""
    return hasattr(value, "detach")

"""Tensors of PyTorch among the arguments, and weights as such a tensor. PyTorch is not imported: a caller with tensors has it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray


class TensorKind(NamedTuple):
    """The dtype and the device of tensors."""

    torch: Any  # the package
    dtype: Any
    device: Any

    def tensor(self, weights: FloatArray) -> Any:
        """Return weights as a tensor of this kind, without a gradient.

        Raises
        ------
        ValueError
            If the dtype can't hold a weight.
        """
        largest = float(np.abs(weights).max())
        if largest > self.torch.finfo(self.dtype).max:
            raise ValueError(
                f"losses must have a dtype that can hold a weight of {largest:g}, got {self.dtype}: give losses.float()"
            )
        return self.torch.tensor(weights, dtype=self.dtype, device=self.device)


def imported_torch() -> Any:
    """Return the package torch if the program has imported it, otherwise None."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "Tensor") else None  # an import that is going on has no Tensor yet


def tensor_kind(*arguments: Any) -> TensorKind | None:
    """Return the kind of the first argument that is made of tensors; None if none is.

    Tensors of several dtypes have the dtype to which PyTorch promotes them. Integers have PyTorch's default dtype.
    """
    torch = imported_torch()
    if torch is None:
        return None
    for argument in arguments:
        tensors = [entry for entry in entries_of(argument) if isinstance(entry, torch.Tensor)]
        if tensors:
            dtype = functools.reduce(torch.promote_types, (tensor.dtype for tensor in tensors))
            return TensorKind(torch, dtype if dtype.is_floating_point else torch.get_default_dtype(), tensors[0].device)
    return None


def entries_of(value: Any) -> Iterator[Any]:
    """Yield a value, or the entries of nested sequences and mappings."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        yield value
        return
    for entry in value:
        yield from entries_of(entry)

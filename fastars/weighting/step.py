"""The values that a step of a weighting method takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray

State = dict[str, Any]


class Inputs(NamedTuple):
    """Checked inputs of a step. An entry is None if the caller did not give it, or gave nothing that it follows from."""

    losses: FloatArray | None  # (T,)
    norms: FloatArray | None  # (T,), of the gradients
    gram: FloatArray | None  # (T, T), of the gradients divided by 2**exponent: its largest square is between 1/4 and 1
    stds: FloatArray | None  # (T,)
    mask: np.ndarray  # (T,), True for tasks that take part: at least one
    tasks: Any  # index of the tasks that take part: a slice if all do, which makes no copy
    names: tuple[str, ...] | None  # (T,)
    exponent: int = 0

    @property
    def unscaled_gram(self) -> FloatArray | None:
        """The Gram matrix of the gradients themselves, whose entries may be infinite, or 0."""
        if self.gram is None:
            return None
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(self.gram, 2 * self.exponent)

    def task_label(self, i: Any) -> str:
        """Return the name of a task for an error message."""
        return task_label(self.names, i)


class Tasks(NamedTuple):
    """The tasks of a method, before a step."""

    method: str  # class of the method, for error messages
    n_tasks: int | None  # None before the first step of a method that was made without a number
    names: tuple[str, ...] | None  # (T,)
    mask: np.ndarray | None  # (T,), True for tasks that take part; None if all do


class Step(NamedTuple):
    """Result of a step."""

    weights: FloatArray  # (T,), used by this step
    next_weights: FloatArray  # (T,), the next step begins with them; entries of masked tasks are ignored
    state: State  # of the method
    info: dict[str, Any] | Callable[[], dict[str, Any]]  # a function is called when the user reads `Method.info`


def task_label(names: tuple[str, ...] | None, i: Any) -> str:
    """Return the name of a task for an error message, or its number if it has none."""
    return f"task {int(i)}" if names is None else f"task {names[i]!r}"


def placed(values: np.ndarray, tasks: Any, new: np.ndarray) -> np.ndarray:
    """Return a copy of `values` (one per task) in which the entries of `tasks` are `new`."""
    copy = values.copy()
    copy[tasks] = new
    return copy


def total(weights: FloatArray, inputs: Inputs) -> float:
    """Return the sum that the weights of the unmasked tasks need, for all weights to sum to T."""
    if isinstance(inputs.tasks, slice):
        return float(len(weights))
    rest = float(len(weights) - weights[~inputs.mask].sum())
    return rest if rest > 1e-3 else float(weights[inputs.mask].sum())  # a small difference is mostly rounding

"""Weights that need no gradients: constant ones, those of the returns' deviations, and those of a function of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.weighting.method import Common, Inputs, Method, State, Step, placed, total

_LEAST_STD = 1e-8  # of the largest: a return that is constant would have a weight without bound


class Uniform(Method):
    """Every task weighs 1. Takes no arguments but those of `Method`."""

    name = "uniform"

    @property
    def needs(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        return Step(weights, weights, state, {})


class Fixed(Method):
    """The weights that are given.

    Parameters
    ----------
    constants : sequence of float, shape (T,), optional
        The weights: finite numbers of any sign. Default: ones.
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    """

    name = "fixed"

    def __init__(
        self,
        n_tasks: int | None = None,
        constants: Sequence[float] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self.constants = None if constants is None else tuple(float(constant) for constant in constants)
        if self.constants is not None and not (self.constants and np.isfinite(self.constants).all()):
            raise ValueError(f"constants must be finite numbers, one per task, got {constants!r}")
        if n_tasks is None and self.constants is not None:
            n_tasks = len(self.constants)
        super().__init__(n_tasks, **common)
        if self.constants is not None and len(self.constants) != self.n_tasks:
            raise ValueError(f"constants must have {self.n_tasks} entries, one per task, got {constants!r}")

    @property
    def needs(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        return (np.ones(n_tasks) if self.constants is None else np.array(self.constants)), {}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        return Step(weights, weights, state, {})


class StandardDeviation(Method):
    """Each task divided by the standard deviation of its returns: w_i proportional to 1 / sigma_i.

    In ARS, where returns are nearly linear in the policy's weights, sigma_i is the exploration noise times the norm of the task's
    gradient, and this is GradNorm with alpha = 0 at its fixed point. The weights sum to T: those of masked tasks stay, the others
    share the rest. Takes the arguments of `Method`.
    """

    name = "std"

    @property
    def needs(self) -> tuple[str, ...]:
        """Standard deviations."""
        return ("stds",)

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        given: Any = inputs.stds
        stds, tasks = given[inputs.tasks], inputs.tasks
        largest = stds.max()
        if largest == 0.0:
            return Step(weights, weights, state, {"stds": given})
        inverse = 1.0 / np.maximum(stds / largest, _LEAST_STD)
        following = placed(weights, tasks, inverse * (total(weights, inputs) / inverse.sum()))
        return Step(following, following, state, {"stds": given})


class Custom(Method):
    """What a function gives.

    Parameters
    ----------
    function : callable
        `function(gram, losses)` of the Gram matrix (T, T) and the losses (T,) - in ARS, the returns - gives T finite weights.
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    """

    name = "custom"
    errors = None  # a function's warnings are its caller's

    def __init__(
        self,
        function: Callable[[FloatArray, FloatArray], Any],
        n_tasks: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        if not callable(function):
            raise TypeError(f"function must be callable, got {function!r}")
        self.function = function
        super().__init__(n_tasks, **common)

    @property
    def needs(self) -> tuple[str, ...]:
        """The Gram matrix and the losses."""
        return ("losses", "gram")

    def arguments(self) -> dict[str, Any]:
        """Those that are plain data: without the function."""
        return {name: value for name, value in super().arguments().items() if name != "function"}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        gram: Any = inputs.gram
        losses: Any = inputs.losses
        given = np.array(self.function(gram.copy(), losses.copy()), np.float64)
        if given.shape != weights.shape:
            raise ValueError(f"the function must give {len(weights)} weights, got shape {given.shape}")
        return Step(given, given, state, {})

"""Simple weights: constants, inverse standard deviations of the returns, and the result of a user's function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._runtime.signals import OpenSignals
from fastars._validate import user_facing
from fastars.weighting.method import Common, Method
from fastars.weighting.per_task import number_of_tasks, task_numbers
from fastars.weighting.step import Inputs, State, Step, placed, total

_LEAST_STD = 1e-8  # of the largest: without it, a constant return would have an unbounded weight


class Uniform(Method):
    """A weight of 1 for every task. Takes the arguments of `Method`."""

    name = "uniform"

    @property
    def needs(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        return Step(weights, weights, state, {})


class Fixed(Method):
    """Constant weights.

    Parameters
    ----------
    constants : sequence of float, shape (T,), optional
        The weights: finite numbers of any sign. Default: ones.
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    """

    name = "fixed"

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        constants: Sequence[float] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self.constants = task_numbers("constants", constants)
        super().__init__(number_of_tasks(n_tasks, constants=self.constants), **common)

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

    In ARS returns are nearly linear in the policy's weights. Then sigma_i is the exploration noise times the norm of the task's
    gradient, and these weights are the fixed point of GradNorm with alpha = 0. They sum to T: masked tasks keep their weights, and
    the others share the rest. Takes the arguments of `Method`.
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
    """Weights that a function of the user computes.

    Parameters
    ----------
    function : callable
        `function(gram, losses)` gets the Gram matrix (T, T) and the losses (T,), in ARS the returns, and gives T finite weights.
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    """

    name = "custom"
    errors = None  # the user sees warnings of their function

    @user_facing
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
        """Return the arguments that are plain data: all but the function."""
        return {name: value for name, value in super().arguments().items() if name != "function"}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        scaled: Any = inputs.gram
        gram: Any = inputs.unscaled_gram
        losses: Any = inputs.losses
        back = np.ldexp(gram.diagonal(), -2 * inputs.exponent)[inputs.tasks]
        if not np.array_equal(back, scaled.diagonal()[inputs.tasks]):
            raise ValueError("the function needs a Gram matrix that float64 can hold: multiply all gradients by one number")
        with OpenSignals():
            given = np.array(self.function(gram, losses.copy()), np.float64)
        if given.shape != weights.shape:
            raise ValueError(f"the function must give {len(weights)} weights, got shape {given.shape}")
        return Step(given, given, state, {})

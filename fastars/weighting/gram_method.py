"""Base classes of methods that look at the inner products of the tasks' gradients, and at nothing else."""

from __future__ import annotations

import contextvars
from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._runtime.threads import run_in_thread
from fastars._validate import user_facing
from fastars.weighting.method import Common, Method
from fastars.weighting.per_task import number_of_tasks, task_numbers
from fastars.weighting.step import Inputs, State, Step

_MANY = 100  # tasks: from there on a solver may take long, and a thread costs little beside it (0.1 ms)
_NO_PART = 2.0**-60  # of the longest weighted gradient: rounding hides such a part of the sum
_ASYMMETRY = 1e-6  # of the largest entry: a product in float32 may have as much


class GramMethod(Method):
    """Weights as a function of the Gram matrix of the tasks that take part.

    A step uses the Gram matrix that it gets, and `weights` are its result until the next step. The Gram matrix may be a debiased
    one. If it is indefinite, `fastars.kernels.positive_gram` replaces it.

    Solvers get the Gram matrix on a scale on which the largest gradient has a norm between 1/2 and 1.
    """

    unit_sum: ClassVar[bool] = True  # True if the weights before the first step are 1/T, not 1

    @property
    def degree(self) -> float:
        """The weights are multiplied by c**degree if all gradients are multiplied by c."""
        return 0.0

    @property
    def needs(self) -> tuple[str, ...]:
        """The Gram matrix."""
        return ("gram",)

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        return np.full(n_tasks, 1.0 / n_tasks if self.unit_sum else 1.0), {}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        given: Any = inputs.gram
        tasks = np.flatnonzero(inputs.mask)
        gram = given[np.ix_(tasks, tasks)]
        asymmetry = np.abs(gram - gram.T).max()
        if asymmetry > _ASYMMETRY * np.abs(gram).max():
            apart = np.ldexp(asymmetry, 2 * inputs.exponent)
            raise ValueError(f"gram must be symmetric, got entries that differ by {apart:g} from those across the diagonal")
        solution = self._unscaled(self._solved(gram, tasks), np.sqrt(np.maximum(gram.diagonal(), 0.0)), inputs.exponent)
        rates = np.full(len(weights), np.nan)
        rates[tasks] = np.ldexp(gram @ solution, 2 * inputs.exponent)
        following = weights.copy()
        following[tasks] = solution
        return Step(following, following, state, {"norms": inputs.norms, "rates": rates})

    def _solved(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        """Solve for the weights of `tasks`. With many of them a signal ends the wait; the solver's thread then ends by itself."""
        if len(tasks) < _MANY:
            return self._solve(gram, tasks)
        context = contextvars.copy_context()  # NumPy keeps there which warnings it gives
        solved: FloatArray = run_in_thread(lambda: context.run(self._solve, gram, tasks))
        return solved

    def _unscaled(self, solution: FloatArray, norms: FloatArray, exponent: int) -> FloatArray:
        """Return the weights of the gradients themselves from those of gradients with these norms, divided by 2**exponent.

        Raises
        ------
        ValueError
            If float64 can't hold one that counts beside the others.
        """
        if self.degree == 0.0 or exponent == 0:
            return solution
        weights = solution * np.exp2(self.degree * exponent)
        size, parts = np.abs(weights), np.abs(solution) * norms
        counts = parts > _NO_PART * parts.max()
        if not (size < np.inf).all() or (counts & (size < np.finfo(np.float64).tiny)).any():
            raise ValueError(
                f"{type(self).__name__} has weights of {weights.tolist()} for gradients of this size, which float64 can't hold: "
                "multiply all gradients by one number"
            )
        return weights

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        """Return the weights of `tasks`, whose gradients have this Gram matrix."""
        raise NotImplementedError


class PreferenceMethod(GramMethod):
    """A method of the Gram matrix that starts from a preferred combination of the gradients."""

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        preference: Sequence[float] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self.preference = task_numbers("preference", preference, 0.0)
        if self.preference and not any(self.preference):
            raise ValueError(f"preference must have an entry above 0, got {preference!r}")
        super().__init__(number_of_tasks(n_tasks, preference=self.preference), **common)

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        return (np.full(n_tasks, 1.0 / n_tasks) if self.preference is None else np.array(self.preference)), {}

    def _preferred(self, tasks: np.ndarray) -> FloatArray:
        """Return the preference of the tasks that take part."""
        return np.full(len(tasks), 1.0 / len(tasks)) if self.preference is None else np.array(self.preference)[tasks]

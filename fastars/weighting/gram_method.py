"""What the methods that look at nothing but the products of the tasks' gradients have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.weighting.method import Common, Inputs, Method, State, Step

_ASYMMETRY = 1e-6  # of the largest entry: what a product in float32 may have


class GramMethod(Method):
    """Weights as a function of the Gram matrix of the tasks that take part: what a step returns, `weights` are until the next.

    The Gram matrix may be a debiased one. Where that is indefinite, `fastars.kernels.positive_gram` replaces it.
    """

    unit_sum: ClassVar[bool] = True  # whether weights are 1/T before the first step, not 1

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
            raise ValueError(f"gram must be symmetric, got entries that differ by {asymmetry:g} from those across the diagonal")
        solution = self._solve(gram, tasks)
        rates = np.full(len(weights), np.nan)
        rates[tasks] = gram @ solution
        following = weights.copy()
        following[tasks] = solution
        return Step(following, following, state, {"norms": inputs.norms, "rates": rates})

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        """Weights of `tasks`, which have this Gram matrix."""
        raise NotImplementedError


class PreferenceMethod(GramMethod):
    """A method of the Gram matrix that starts from a preferred combination."""

    def __init__(
        self,
        n_tasks: int | None = None,
        preference: Sequence[float] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self.preference = None if preference is None else tuple(float(part) for part in preference)
        if self.preference is not None:
            parts = np.array(self.preference)
            if not (np.isfinite(parts).all() and (parts >= 0.0).all() and parts.any()):
                raise ValueError(f"preference must be numbers of at least 0, not all of them 0, got {preference!r}")
            n_tasks = len(parts) if n_tasks is None else n_tasks
        super().__init__(n_tasks, **common)
        if self.preference is not None and len(self.preference) != self.n_tasks:
            raise ValueError(f"preference must have {self.n_tasks} entries, one per task, got {preference!r}")

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        return (np.full(n_tasks, 1.0 / n_tasks) if self.preference is None else np.array(self.preference)), {}

    def _preferred(self, tasks: np.ndarray) -> FloatArray:
        """The preference of the tasks that take part."""
        return np.full(len(tasks), 1.0 / len(tasks)) if self.preference is None else np.array(self.preference)[tasks]

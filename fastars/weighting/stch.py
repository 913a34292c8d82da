"""Smooth Tchebycheff scalarisation (Lin et al. 2024, arXiv 2402.19078)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import number, user_facing
from fastars.weighting.method import Common, Method
from fastars.weighting.per_task import number_of_tasks, task_numbers
from fastars.weighting.softmax import softmax
from fastars.weighting.step import Inputs, State, Step, placed


class STCH(Method):
    """Most of the weight for the worst task: the gradient of a smooth maximum, mu log sum_i exp(p_i (L_i - z_i) / mu).

    w_i = p_i softmax(p (L - z) / mu)_i. Every Pareto-optimal point, on a front of any shape, is the optimum of some preference p.
    The losses should be of one scale. A step returns the weights of its own losses. With the default preference they sum to 1/T;
    with another one their sum is not fixed.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    mu : float
        Above 0. The smaller it is, the closer the smooth maximum is to the maximum. The paper uses values from 0.01 to 1.
    preference : sequence of float, shape (T,), optional
        p, positive. Default: 1/T.
    reference : sequence of float, shape (T,), optional
        z, losses that are at most the best possible ones. Default: zeros.
    """

    name = "stch"

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        mu: float = 0.1,
        *,
        preference: Sequence[float] | None = None,
        reference: Sequence[float] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self.mu = number("mu", mu, above=0.0)
        self.preference = task_numbers("preference", preference, above=0.0)
        self.reference = task_numbers("reference", reference)
        super().__init__(number_of_tasks(n_tasks, preference=self.preference, reference=self.reference), **common)

    @property
    def needs(self) -> tuple[str, ...]:
        """Losses."""
        return ("losses",)

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        return self._preference(n_tasks) / n_tasks, {}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        losses: Any = inputs.losses
        tasks, preference = inputs.tasks, self._preference(len(weights))
        distances = preference * (losses if self.reference is None else losses - np.array(self.reference))
        scores = distances[tasks] / self.mu
        if not np.isfinite(scores).all():
            scores = (distances[tasks] - distances[tasks].max()) / self.mu
        shares = softmax(scores)
        following = placed(weights, tasks, preference[tasks] * shares)
        return Step(following, following, state, {"distances": distances})

    def _preference(self, n_tasks: int) -> FloatArray:
        return np.full(n_tasks, 1.0 / n_tasks) if self.preference is None else np.array(self.preference)

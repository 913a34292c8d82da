"""FAMO: tasks that improve at one rate, from their losses alone (Liu et al. 2023, arXiv 2306.03792)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import number, user_facing
from fastars.weighting.adam import adam, first_moments
from fastars.weighting.method import Common, Method
from fastars.weighting.per_task import number_of_tasks, task_numbers
from fastars.weighting.softmax import softmax
from fastars.weighting.step import Inputs, State, Step, placed

_EPSILON = 1e-8  # as in the authors' code: a loss may reach its lower bound


class FAMO(Method):
    """Fast adaptive multitask optimization: w_i proportional to z_i / (L_i - b_i), z = softmax(xi).

    xi is learned from the effect of the last step, delta = log(L - b) before it minus log(L - b) after it, by Adam on the gradient
    z * (delta - z . delta) + decay xi: a task that improved much loses weight. The paper evaluates one batch before and after a
    step. Here a step gets the losses once, and they count as the losses after the last step and before the next one. If the loss
    is computed on all data, this is the same; with batches it saves one evaluation, and is noisier.

    The weights that a step returns depend on its own losses. They sum to 1.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    lower_bounds : sequence of float, shape (T,), optional
        b, the least possible losses. Default: zeros.
    learning_rate, decay : float
        Of xi, at least 0. The defaults are the paper's; the authors' code has a decay of 1e-5.
    """

    name = "famo"

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        lower_bounds: Sequence[float] | None = None,
        *,
        learning_rate: float = 0.025,
        decay: float = 1e-3,
        **common: Unpack[Common],
    ) -> None:
        self.lower_bounds = task_numbers("lower_bounds", lower_bounds)
        self.learning_rate = number("learning_rate", learning_rate, 0.0)
        self.decay = number("decay", decay, 0.0)
        super().__init__(number_of_tasks(n_tasks, lower_bounds=self.lower_bounds), **common)

    @property
    def needs(self) -> tuple[str, ...]:
        """Losses."""
        return ("losses",)

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        state = {"xi": np.zeros(n_tasks), "losses": np.full(n_tasks, np.nan), **first_moments(n_tasks)}
        return np.full(n_tasks, 1.0 / n_tasks), state

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        losses, tasks = self._above_bounds(inputs), inputs.tasks
        xi = state["xi"][tasks]
        delta = np.log(state["losses"][tasks]) - np.log(losses[tasks])
        known = ~np.isnan(delta)  # False in the first step, and for a task that takes part again
        if known.any():
            delta = np.where(known, delta, 0.0)
            z = softmax(xi)
            down, moments = adam(state, tasks, z * (delta - (z * delta).sum()) + self.decay * xi, self.learning_rate)
            xi = xi - down
            state = {**state, **moments, "xi": placed(state["xi"], tasks, xi)}
        shares = softmax(xi) / losses[tasks]
        following = placed(weights, tasks, shares / shares.sum())
        state = {**state, "losses": np.where(inputs.mask, losses, np.nan)}
        return Step(following, following, state, {"xi": state["xi"], "delta": placed(np.zeros(len(weights)), tasks, delta)})

    def _above_bounds(self, inputs: Inputs) -> FloatArray:
        """Return the losses minus their lower bounds."""
        losses: Any = inputs.losses
        bounds = np.zeros(len(losses)) if self.lower_bounds is None else np.array(self.lower_bounds)
        for i in np.flatnonzero((losses < bounds) & inputs.mask):
            label = inputs.task_label(i)
            raise ValueError(f"losses must be at least {bounds[i]:g}, the lower bound, got {losses[i]:g} for {label}")
        return losses - bounds + _EPSILON

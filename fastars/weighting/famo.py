"""FAMO: tasks that improve at one rate, from their losses alone (Liu et al. 2023, arXiv 2306.03792)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.weighting.adam import adam, first_moments
from fastars.weighting.method import Common, Inputs, Method, State, Step, number, placed
from fastars.weighting.softmax import softmax

_EPSILON = 1e-8  # as in the authors' code: a loss may reach its lower bound


class FAMO(Method):
    """Fast adaptive multitask optimization: w_i proportional to z_i / (L_i - b_i), z = softmax(xi).

    xi is learned from what the last step did, delta = log(L - b) before it less log(L - b) after it, by Adam on the gradient
    z * (delta - z . delta) + decay xi: a task that improved much loses weight. In the paper the losses before and after a step are
    those of one batch. Here a step sees the losses once, and they are both those after the last step and those before the next one:
    the same where the loss is that of all the data, and with batches one evaluation less, but more noise.

    A step returns weights that its own losses are part of. They sum to 1.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    lower_bounds : sequence of float, shape (T,), optional
        b: values that the losses can't go below. Default: zeros.
    learning_rate, decay : float
        Of xi. The paper's values are the defaults; the authors' code has a decay of 1e-5.
    """

    name = "famo"

    def __init__(
        self,
        n_tasks: int | None = None,
        lower_bounds: Sequence[float] | None = None,
        *,
        learning_rate: float = 0.025,
        decay: float = 1e-3,
        **common: Unpack[Common],
    ) -> None:
        self.lower_bounds = None if lower_bounds is None else tuple(float(bound) for bound in lower_bounds)
        if self.lower_bounds is not None and not np.isfinite(self.lower_bounds).all():
            raise ValueError(f"lower_bounds must be finite numbers, one per task, got {lower_bounds!r}")
        self.learning_rate = number("learning_rate", learning_rate, 0.0)
        self.decay = number("decay", decay, 0.0)
        if n_tasks is None and self.lower_bounds is not None:
            n_tasks = len(self.lower_bounds)
        super().__init__(n_tasks, **common)
        if self.lower_bounds is not None and len(self.lower_bounds) != self.n_tasks:
            raise ValueError(f"lower_bounds must have {self.n_tasks} entries, one per task, got {lower_bounds!r}")

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
        known = ~np.isnan(delta)  # all but in the first step, or where a task takes part again
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
        """Losses less their lower bounds."""
        losses: Any = inputs.losses
        bounds = np.zeros(len(losses)) if self.lower_bounds is None else np.array(self.lower_bounds)
        for i in np.flatnonzero((losses < bounds) & inputs.mask):
            raise ValueError(f"losses must be at least {bounds[i]:g}, the lower bound, got {losses[i]:g} for {self._task(i)}")
        return losses - bounds + _EPSILON

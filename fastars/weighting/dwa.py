"""Dynamic weight average (Liu, Johns & Davison 2019, arXiv 1803.10704)."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.weighting.method import Common, Inputs, Method, State, Step, number, placed, total
from fastars.weighting.softmax import softmax


class DynamicWeightAverage(Method):
    """Larger weights for losses that fall slowly: w(t) = T softmax(L(t - 1) / L(t - 2) / temperature), and ones at first.

    A step is an epoch in the paper, with the mean losses of the epoch; those of single batches are mostly noise. A step returns
    w(t), which does not depend on its own losses, and `weights` are w(t + 1). They sum to T.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    temperature : float
        Above 0. Large ones make the weights equal; the paper has 2.
    """

    name = "dwa"
    positive_losses = True

    def __init__(
        self,
        n_tasks: int | None = None,
        temperature: float = 2.0,
        **common: Unpack[Common],
    ) -> None:
        self.temperature = number("temperature", temperature, 0.0, open_below=True)
        super().__init__(n_tasks, **common)

    @property
    def needs(self) -> tuple[str, ...]:
        """Losses."""
        return ("losses",)

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        return np.ones(n_tasks), {"losses": np.full(n_tasks, np.nan)}  # until they are known

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        losses: Any = inputs.losses
        ratios = losses / state["losses"]
        following, tasks = weights, inputs.tasks
        if not np.isnan(ratios[tasks]).any():
            following = placed(weights, tasks, total(weights, inputs) * softmax(ratios[tasks] / self.temperature))
        state = {"losses": np.where(inputs.mask, losses, np.nan)}
        return Step(weights, following, state, {"ratios": ratios})

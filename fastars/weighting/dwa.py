"""Dynamic weight average (Liu, Johns & Davison 2019, arXiv 1803.10704)."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import number, user_facing
from fastars.weighting.method import Common, Method
from fastars.weighting.softmax import softmax
from fastars.weighting.step import Inputs, State, Step, placed, total


class DynamicWeightAverage(Method):
    """Larger weights for losses that fall slowly: w(t) = T softmax(L(t - 1) / L(t - 2) / temperature), and ones at first.

    In the paper a step is an epoch, and its losses are means over the epoch; losses of single batches are mostly noise. A step
    returns w(t), which does not depend on its own losses, and `weights` are w(t + 1). They sum to T.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    temperature : float
        Above 0. Large values make the weights equal. The paper uses 2.
    """

    name = "dwa"
    positive_losses = True

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        temperature: float = 2.0,
        **common: Unpack[Common],
    ) -> None:
        self.temperature = number("temperature", temperature, above=0.0)
        super().__init__(n_tasks, **common)

    @property
    def needs(self) -> tuple[str, ...]:
        """Losses."""
        return ("losses",)

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        return np.ones(n_tasks), {"losses": np.full(n_tasks, np.nan)}  # NaN until the loss is known

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        losses: Any = inputs.losses
        ratios = losses / state["losses"]
        following, tasks = weights, inputs.tasks
        if not np.isnan(ratios[tasks]).any():
            following = placed(weights, tasks, total(weights, inputs) * softmax(ratios[tasks] / self.temperature))
        state = {"losses": np.where(inputs.mask, losses, np.nan)}
        return Step(weights, following, state, {"ratios": ratios})

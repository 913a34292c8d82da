"""Random weights (Lin et al. 2022, arXiv 2111.10603)."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import integer, user_facing
from fastars.weighting.method import Common, Method
from fastars.weighting.softmax import softmax
from fastars.weighting.step import Inputs, State, Step, placed


class RandomWeighting(Method):
    """New weights in every step, the softmax of independent normal numbers: a baseline that other methods should beat.

    The weights are drawn from the seed and the number of the step, and sum to 1.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    seed : int
        At least 0.
    """

    name = "random"

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        seed: int = 0,
        **common: Unpack[Common],
    ) -> None:
        self.seed = integer("seed", seed, 0)
        super().__init__(n_tasks, **common)

    @property
    def needs(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def _first(self, n_tasks: int) -> tuple[FloatArray, State]:
        return np.full(n_tasks, 1.0 / n_tasks), {}

    def _next(self, weights: FloatArray, state: State, inputs: Inputs) -> Step:
        scores = np.random.default_rng([self.seed, self.n_steps]).standard_normal(len(weights))
        following = placed(weights, inputs.tasks, softmax(scores[inputs.tasks]))
        return Step(following, following, state, {})

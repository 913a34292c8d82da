"""Weights that cut the conflicting parts out of the gradients: PCGrad."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars._validate import integer, user_facing
from fastars.weighting.gram_method import GramMethod
from fastars.weighting.method import Common


class PCGrad(GramMethod):
    """The sum of the gradients, each without its conflicting parts (Yu et al. 2020, arXiv 2001.06782).

    Each gradient is projected onto the normal planes of the gradients that it conflicts with.

    The weights are at least 1. With three tasks or more they depend on the order of the projections, which is drawn anew in every
    step, from the seed and the number of the step.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    seed : int
        At least 0.
    """

    name = "pcgrad"
    unit_sum = False

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        seed: int = 0,
        **common: Unpack[Common],
    ) -> None:
        self.seed = integer("seed", seed, 0)
        super().__init__(n_tasks, **common)

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        order = np.tile(np.arange(len(tasks)), (len(tasks), 1))
        if len(tasks) > 2:
            order = np.random.default_rng([self.seed, self.n_steps]).permuted(order, axis=1)
        return kernels.pcgrad(gram, order)

"""Weights of gradients from which what conflicts was cut out: PCGrad."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars.weighting.gram_method import GramMethod
from fastars.weighting.method import Common, count


class PCGrad(GramMethod):
    """The sum of the gradients projected onto the normal planes of those it conflicts with (Yu et al. 2020, arXiv 2001.06782).

    The weights are at least 1. With three tasks or more they depend on the order in which tasks meet: it is drawn anew in every
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

    def __init__(
        self,
        n_tasks: int | None = None,
        seed: int = 0,
        **common: Unpack[Common],
    ) -> None:
        self.seed = count("seed", seed, 0)
        super().__init__(n_tasks, **common)

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        order = np.tile(np.arange(len(tasks)), (len(tasks), 1))
        if len(tasks) > 2:
            order = np.random.default_rng([self.seed, self.n_steps]).permuted(order, axis=1)
        return kernels.pcgrad(gram, order)

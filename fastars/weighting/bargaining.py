"""Weights of a fair bargain between the tasks: Nash-MTL and FairGrad."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars._validate import number, user_facing
from fastars.weighting.gram_method import GramMethod
from fastars.weighting.method import Common


class NashMTL(GramMethod):
    """The Nash bargaining solution, G w = 1 / w (Navon et al. 2022, arXiv 2202.01017), solved to rounding.

    No task gets worse to first order. The weights are positive (0 for a task without a gradient), and the combined gradient has the
    squared norm T, so small gradients have large weights. The direction does not depend on the tasks' scales.

    The equation holds to 1e-12 of the sum over j of |G_ij| w_j. Where gradients cancel each other up to 1e-14 of their size, it has
    no solution: the weights are those with which they cancel, about 1e7 / |g_i|. Takes the arguments of `Method`.
    """

    name = "nash-mtl"
    unit_sum = False

    @property
    def degree(self) -> float:
        """Twice the gradients have half the weights."""
        return -1.0

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        return kernels.nash_mtl(gram)


class FairGrad(GramMethod):
    """An alpha-fair bargain, G w = w^(-1/alpha) (Ban & Ji 2024, arXiv 2402.15638), solved to rounding.

    No task gets worse to first order. The weights are positive (0 for a task without a gradient, or below the range of float64);
    their sum is not fixed. The equation holds as in `NashMTL`. With a small alpha, its solution may let gradients cancel each other
    up to 1e-14 of their size: the weights then stop there, and the rates of such tasks are 0 to rounding.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    alpha : float
        From 0.1 to below 100. 1 is Nash-MTL. A larger value does more for the worst task; a small value gives nearly equal weights.
    """

    name = "fairgrad"
    unit_sum = False

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        alpha: float = 2.0,
        **common: Unpack[Common],
    ) -> None:
        self.alpha = number("alpha", alpha, 0.1, 100.0)
        super().__init__(n_tasks, **common)

    @property
    def degree(self) -> float:
        """-2 alpha / (1 + alpha), as G has the degree 2."""
        return -2.0 * self.alpha / (1.0 + self.alpha)

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        return kernels.fairgrad(gram, self.alpha)

"""Weights that solve a quadratic program on the Gram matrix: MGDA, CAGrad, DualProj, UPGrad."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars._validate import number, user_facing
from fastars.weighting.gram_method import GramMethod, PreferenceMethod
from fastars.weighting.method import Common


class MGDA(GramMethod):
    """The shortest convex combination of the gradients (Desideri 2012; Sener & Koltun 2018, arXiv 1810.04650), exactly.

    No task gets worse to first order: (Gw)_i >= w'Gw. Tasks with small gradients get most of the weight, and a task without a
    gradient gets all of it: mask such tasks. The weights are at least 0 and sum to 1. Takes the arguments of `Method`.
    """

    name = "mgda"

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        return kernels.mgda(gram)


class CAGrad(GramMethod):
    """The direction near the mean gradient that serves the worst task best (Liu et al. 2021, arXiv 2110.14048).

    Where gradients cancel each other, so that the worst task can gain nothing, the worst of the others gains most.
    The weights are at least 1/T; their sum is not fixed.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    c : float
        Largest distance of the direction from the mean gradient, in norms of the mean gradient. 0 is the mean gradient; large
        values come near MGDA's direction. The paper uses values below 1.
    """

    name = "cagrad"

    @user_facing
    def __init__(
        self,
        n_tasks: int | None = None,
        c: float = 0.5,
        **common: Unpack[Common],
    ) -> None:
        self.c = number("c", c, 0.0)
        super().__init__(n_tasks, **common)

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        return kernels.cagrad(gram, self.c)


class DualProj(PreferenceMethod):
    """The preferred combination, projected onto the directions that conflict with no task (Lopez-Paz & Ranzato 2017, GEM).

    No task gets worse to first order, at any ratio of the gradients' norms: up to rounding, which is 5e-16 T of the sum of the
    weighted norms.
    The weights are no less than the preference; their sum is not fixed.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    preference : sequence of float, shape (T,), optional
        Weights of the combination, at least 0. Default: 1/T, the mean gradient.
    """

    name = "dualproj"

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        return kernels.dual_proj(gram, self._preferred(tasks))


class UPGrad(PreferenceMethod):
    """The sum of the gradients, each projected onto the directions that conflict with no task (Quinton & Rey 2024, UPGrad).

    No task gets worse to first order, at any ratio of the gradients' norms: up to rounding, which is 5e-16 T of the sum of the
    weighted norms.
    The weights are no less than the preference; their sum is not fixed.

    Parameters
    ----------
    n_tasks, **common
        As for `Method`: names, normalize, update_every, mask, freeze.
    preference : sequence of float, shape (T,), optional
        Weights of the projected gradients, at least 0. Default: 1/T.
    """

    name = "upgrad"

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        return kernels.upgrad(gram, self._preferred(tasks))

"""Weights from the pseudo-inverse and the eigenvalues of the Gram matrix: IMTL-G, ConFIG and Aligned-MTL."""

from __future__ import annotations

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars.weighting.gram_method import GramMethod


class IMTLG(GramMethod):
    """The combination with equal projections on all gradients (Liu et al. 2021, "Towards impartial multi-task learning", IMTL-G).

    Its direction does not depend on the tasks' scales. With two tasks it is GradNorm's fixed point for alpha = 0; with more tasks,
    weights may be negative. They sum to 1, or are all 0 if the gradients cancel each other. If gradients depend on each other,
    there may be no such combination: the projections then have the least squared distance from equal ones, in units of the norms.
    Gradients count as dependent if a singular value of the unit gradients is below 1e-6 of the largest. Takes the arguments of
    `Method`.
    """

    name = "imtl-g"

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        return kernels.imtl_g(gram)


class ConFIG(GramMethod):
    """The direction with the same cosine to every gradient, as long as the sum of their projections on it (Liu et al. 2024).

    Liu, Chu & Thuerey 2024, "ConFIG: Towards conflict-free training of physics informed neural networks", arXiv 2408.11104. No task
    gets worse to first order, and every task gets better, if the gradients are independent. The direction is that of IMTL-G, or its
    opposite: of the two, the one that tasks gain from. If gradients depend on each other, there may be no such direction: then the
    cosines have the least squared distance from equal ones, and a task may get worse. Gradients count as dependent if a singular
    value of the unit gradients is below 1e-6 of the largest. The weights may be negative; they are all 0 where the gradients cancel
    each other. Their sum is not fixed. Takes the arguments of `Method`.
    """

    name = "config"
    unit_sum = False

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        return kernels.config(gram)


class AlignedMTL(GramMethod):
    """The mean gradient after all principal components are scaled to one length (Senushkin et al. 2023, arXiv 2305.19000).

    That length is the length of the shortest component. Components whose square is below 16 T eps of the largest (below 1e-7 of its
    length) count as 0, since the Gram matrix can't hold them: a gradient that is 1e-7 of the others has next to no effect. The sum
    of the weights is not fixed. Takes the arguments of `Method`.
    """

    name = "aligned-mtl"

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        return kernels.aligned_mtl(gram)

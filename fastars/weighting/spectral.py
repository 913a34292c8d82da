"""Weights from the pseudo-inverse and the eigenvalues of the Gram matrix: IMTL-G and Aligned-MTL."""

from __future__ import annotations

import numpy as np

from fastars import kernels
from fastars._compiled.structs import FloatArray
from fastars.weighting.gram_method import GramMethod


class IMTLG(GramMethod):
    """The combination with equal projections on all gradients (Liu et al. 2021, "Towards impartial multi-task learning", IMTL-G).

    Its direction does not depend on the tasks' scales. With two tasks it is GradNorm's fixed point for alpha = 0; with more tasks,
    weights may be negative. They sum to 1, or are all 0 if the gradients cancel each other. Takes the arguments of `Method`.
    """

    name = "imtl-g"

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        return kernels.imtl_g(gram)


class AlignedMTL(GramMethod):
    """The mean gradient after all principal components are scaled to one length (Senushkin et al. 2023, arXiv 2305.19000).

    That length is the length of the shortest component. The sum of the weights is not fixed. Takes the arguments of `Method`.
    """

    name = "aligned-mtl"

    def _solve(self, gram: FloatArray, tasks: np.ndarray) -> FloatArray:
        return kernels.aligned_mtl(gram)

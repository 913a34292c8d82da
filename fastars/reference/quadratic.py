"""Weights that solve a quadratic program on the Gram matrix G of T tasks' gradients, G_ij = g_i . g_j.

Each of these programs is reduced to min 1/2 y'Ay - b'y over y >= 0, for gradients whose lengths are divided by powers of two. An
indefinite G is replaced by `positive_gram(G)`.
"""

import numpy as np

from .nonnegative import ROUNDING, nonnegative_minimum
from .symmetric import balanced_gram


def mgda(gram):
    """Return the w that minimises w'Gw on the simplex (Desideri 2012; Sener & Koltun 2018, equation 3).

    With x_i = w_i |g_i| and C the Gram matrix of g_i / |g_i|, x minimises x'Cx where the sum of x_i / |g_i| is 1. It has the
    direction of the least 1/2 x'(C + uu')x - u'x, u_i = 1 / |g_i|.
    """
    matrix, kept, lengths = balanced_gram(gram)
    if len(kept) < len(gram):
        zeros = ~np.isin(np.arange(len(gram)), kept)
        return zeros / zeros.sum()
    units = lengths.min() / lengths
    y = nonnegative_minimum(matrix + np.outer(units, units), units)
    if (matrix @ y < -len(y) * ROUNDING * (np.abs(matrix) @ y)).any():  # y is large: its rounding would hurt a task
        y = nonnegative_minimum(matrix + 1.0, np.ones(len(y)))
    return y * units / (y @ units)


def dual_proj(gram, preference):
    """Return the v >= preference that minimises v'Gv (Lopez-Paz & Ranzato 2017)."""
    weights = np.array(preference, np.float64)
    matrix, kept, lengths = balanced_gram(gram)
    if len(kept) > 0:
        units = lengths / lengths.max()
        least = weights[kept] * units
        weights[kept] += nonnegative_minimum(matrix, -matrix @ least, np.abs(matrix) @ least) / units
    return weights


def upgrad(gram, preference):
    """Return the sum over i of the v >= preference_i e_i that minimise v'Gv (Quinton & Rey 2024)."""
    weights = np.array(preference, np.float64)
    matrix, kept, lengths = balanced_gram(gram)
    for row, length, own in zip(matrix, lengths, np.asarray(preference)[kept], strict=True):
        weights[kept] += own * nonnegative_minimum(matrix, -row) * (length / lengths)
    return weights

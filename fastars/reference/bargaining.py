"""Weights that solve G w = w^(-1/alpha), the fair deal among T tasks whose gradients have the Gram matrix G, G_ij = g_i . g_j.

An indefinite G is replaced by `positive_gram(G)`.
"""

import numpy as np

from .symmetric import positive_gram

RIDGE = 1e-13


def nash_mtl(gram):
    """Return a with G a = 1 / a; then a'Ga = T (Navon et al. 2022, equation 2)."""
    return fairgrad(gram, 1.0)


def fairgrad(gram, alpha):
    """Return w with G w = w^(-1/alpha) (Ban & Ji 2024, equation 7).

    It is the minimum of the convex function 1/2 w'Gw - sum of the integrals of w_i^(-1/alpha), found by damped Newton steps from
    the solution for orthogonal gradients.
    """
    gram = positive_gram(gram)
    kept = np.diag(gram) > 0.0
    matrix = gram[np.ix_(kept, kept)] + RIDGE * np.diag(np.diag(gram)[kept])
    power = 1.0 / alpha
    w = np.diag(matrix) ** (-1.0 / (1.0 + power))
    for _ in range(100):
        gradient = matrix @ w - w**-power
        if np.all(np.abs(gradient) <= 1e-13 * w**-power):
            break
        direction = -np.linalg.solve(matrix + np.diag(power * w ** (-power - 1.0)), gradient)
        slope = gradient @ direction
        step = min(1.0, 0.99 / max(np.max(-direction / w), 1e-300))
        while (matrix @ (w + step * direction) - (w + step * direction) ** -power) @ direction > -0.9 * slope and step > 1e-12:
            step *= 0.5
        w = w + step * direction
    weights = np.zeros(len(gram))
    weights[kept] = w
    return weights

"""Weights of gradients from which what conflicts was cut out, from the Gram matrix G of T tasks, G_ij = g_i . g_j."""

import numpy as np


def pcgrad(gram, order):
    """The sum over i of g_i, from which for j = order[i, 0], order[i, 1], ... what conflicts with g_j is taken (Yu et al. 2020)."""
    n = len(gram)
    total = np.zeros(n)
    for i in range(n):
        weights = np.eye(n)[i]
        for j in order[i]:
            product = gram[j] @ weights
            if j != i and product < 0.0 < gram[j, j]:
                weights[j] -= product / gram[j, j]
        total += weights
    return total

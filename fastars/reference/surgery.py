"""Weights of gradients whose conflicting components are removed, from the Gram matrix G of T tasks, G_ij = g_i . g_j."""

import numpy as np


def pcgrad(gram, order):
    """Return weights of the sum of all g_i, each without its components against g_j, j in order[i], in turn (Yu et al. 2020)."""
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

"""Weights of gradients whose conflicting components are removed, from the Gram matrix G of T tasks, G_ij = g_i . g_j."""

import numpy as np

from fastars._compiled.jit import kernel


@kernel
def pcgrad(gram, order):
    """Return the weights of the sum of the gradients, each projected onto the normal planes of conflicting ones (Yu et al. 2020).

    PCGrad. With three tasks or more, the result depends on the order in which they meet. An indefinite G is not replaced: a task
    whose diagonal is not positive conflicts with none.

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.
    order : ndarray of int64, shape (T, T)
        Row i: the tasks that task i meets, one after the other; task i itself is left out.

    Returns
    -------
    ndarray of float64, shape (T,)
        Weights of at least 1.
    """
    n = gram.shape[0]
    total, weights = np.zeros(n), np.empty(n)
    for i in range(n):
        weights[:] = 0.0
        weights[i] = 1.0
        for j in order[i]:
            product = 0.0
            for k in range(n):
                product += gram[j, k] * weights[k]
            if j != i and product < 0.0 and gram[j, j] > 0.0:
                weights[j] -= product / gram[j, j]
        total += weights
    return total

"""Weights from the pseudo-inverse and the eigenvalues of the Gram matrix G of T tasks' gradients, G_ij = g_i . g_j.

An indefinite G is replaced by `positive_gram(G)`.
"""

import math

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.symmetric import cosines, eigen, factor, positive_gram, scaled_gram, solve

_EPS = 2.0**-52
_SINGULAR = 1e-12  # an eigenvalue of the cosines below this part of the largest counts as 0
_BALANCED = 1e-12  # a sum of weights below this part of their absolute values counts as 0


@kernel
def imtl_g(gram):
    """Return weights that give the combined gradient the same projection onto every task's gradient (Liu et al. 2021, IMTL-G).

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.

    Returns
    -------
    ndarray of float64, shape (T,)
        w = v / sum(v), G v = |g|: sum(w) = 1, and weights may be negative. 0 for a task without a gradient, and all 0 if v sums to
        0. For a singular G, v is the shortest solution in units of 1 / |g_i|. (TorchJD takes the shortest without units.)
    """
    n = gram.shape[0]
    norms, cos = cosines(positive_gram(gram))
    index, lower = np.flatnonzero(norms > 0.0), np.empty((n, n))
    v = np.ones(index.shape[0])
    regular = factor(cos, index, lower)
    for i in range(index.shape[0]):
        regular = regular and lower[i, i] * lower[i, i] > 1e-9
    if regular:
        solve(lower, v)
    else:
        v = _least_solution(cos[index][:, index])
    total, size = 0.0, 0.0
    for i in range(index.shape[0]):
        v[i] /= norms[index[i]]
        total += v[i]
        size += abs(v[i])
    weights = np.zeros(n)
    if abs(total) > _BALANCED * size:
        for i in range(index.shape[0]):
            weights[index[i]] = v[i] / total
    return weights


@kernel
def _least_solution(matrix):
    """Return the pseudo-inverse times a vector of ones."""
    n = matrix.shape[0]
    values, vectors = eigen(matrix)
    x = np.zeros(n)
    for k in range(n):
        if values[k] > _SINGULAR * n:
            total = 0.0
            for i in range(n):
                total += vectors[k, i]
            for i in range(n):
                x[i] += total / values[k] * vectors[k, i]
    return x


@kernel
def aligned_mtl(gram):
    """Return the weights of the mean gradient after all principal components are scaled to the shortest (Senushkin et al. 2023).

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.

    Returns
    -------
    ndarray of float64, shape (T,)
        sqrt(smallest eigenvalue) G^(-1/2) 1/T, over the eigenvectors whose eigenvalue is above T eps times the largest; 1/T if G is
        0. Their sum may be any number.
    """
    n = gram.shape[0]
    scaled, _ = scaled_gram(gram)
    values, vectors = eigen(positive_gram(scaled))
    rounding = values.max() * n * _EPS
    smallest = np.inf
    for value in values:
        if value > rounding:
            smallest = min(smallest, value)
    if smallest == np.inf:
        return np.full(n, 1.0 / n)
    weights = np.zeros(n)
    for k in range(n):
        if values[k] > rounding:
            mean = 0.0
            for i in range(n):
                mean += vectors[k, i] / n
            for i in range(n):
                weights[i] += math.sqrt(smallest / values[k]) * mean * vectors[k, i]
    return weights

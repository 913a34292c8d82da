"""Weights from the pseudo-inverse and the eigenvalues of the Gram matrix G of T tasks' gradients, G_ij = g_i . g_j.

An indefinite G is replaced by `positive_gram(G)`.
"""

import math

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.symmetric import cosines, eigen, factor, positive_gram, scaled_gram, solve

_EPS = 2.0**-52
_SINGULAR = 1e-12  # an eigenvalue of the cosines below this part of the largest counts as 0
_BALANCED = 1e-12  # v below this, and a sum of weights below this part of their absolute values, count as 0


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
        0. For a singular G, v is the shortest solution in units of 1 / |g_i|, or the nearest to one. (TorchJD takes the shortest
        without units.)
    """
    norms, cos = cosines(positive_gram(gram))
    index = np.flatnonzero(norms > 0.0)
    v = _projected_alike(cos, index)
    largest, total, size = 0.0, 0.0, 0.0
    for i in range(index.shape[0]):
        largest = max(largest, abs(v[i]))
        v[i] /= norms[index[i]]
        total += v[i]
        size += abs(v[i])
    weights = np.zeros(gram.shape[0])
    if largest > _BALANCED and abs(total) > _BALANCED * size:
        for i in range(index.shape[0]):
            weights[index[i]] = v[i] / total
    return weights


@kernel
def config(gram):
    """Return the weights of the direction with the same cosine to every task, as long as the sum of the tasks' projections on it.

    ConFIG (Liu, Chu & Thuerey 2024): (sum over i of g_i . d) d, where d is the unit vector along M^+ 1 and the rows of M are the
    gradients, scaled to length 1. M^+ 1 is the sum of v_i g_i / |g_i| with v = C^+ 1, C the tasks' cosines.

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.

    Returns
    -------
    ndarray of float64, shape (T,)
        They may be negative. 0 for a task without a gradient, and all 0 where gradients cancel each other (M^+ 1 = 0). Singular
        values of M below 1e-6 of the largest count as 0, as G holds their squares. (TorchJD: below 1e-15.)
    """
    norms, cos = cosines(positive_gram(gram))
    index = np.flatnonzero(norms > 0.0)
    v = _projected_alike(cos, index)
    largest, length, square = 0.0, 0.0, 0.0
    for i in range(index.shape[0]):
        projection = 0.0
        for j in range(index.shape[0]):
            projection += cos[index[i], index[j]] * v[j]
        largest = max(largest, abs(v[i]))
        length += norms[index[i]] * projection
        square += v[i] * projection
    weights = np.zeros(gram.shape[0])
    if largest > _BALANCED:
        for i in range(index.shape[0]):
            weights[index[i]] = v[i] / norms[index[i]] * (length / square)
    return weights


@kernel
def _projected_alike(cos, index):
    """Return C^+ 1, where C are the cosines of the tasks `index`."""
    n = index.shape[0]
    v, lower = np.ones(n), np.empty((n, n))
    regular = factor(cos, index, lower)
    for i in range(n):
        regular = regular and lower[i, i] * lower[i, i] > 1e-9
    if regular:
        solve(lower, v)
        return v
    return _least_solution(cos[index][:, index])


@kernel
def _least_solution(matrix):
    """Return the pseudo-inverse times a vector of ones."""
    n = matrix.shape[0]
    values, vectors = eigen(matrix)
    x = np.zeros(n)
    for k in range(n):
        if values[k] > _SINGULAR * values.max():
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
        sqrt(smallest eigenvalue) G^(-1/2) 1/T, over the eigenvectors whose eigenvalue is above 16 T eps times the largest; 1/T if G
        is 0. (The authors and TorchJD: T eps, which the rounding of G itself reaches.) Their sum may be any number.
    """
    n = gram.shape[0]
    scaled, _ = scaled_gram(gram)
    values, vectors = eigen(positive_gram(scaled))
    rounding = values.max() * 16.0 * n * _EPS
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

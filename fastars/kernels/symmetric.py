"""Linear algebra of small symmetric matrices, for the solvers on a Gram matrix.

A matrix has as many rows as there are tasks, so these are plain loops, whose last bits don't depend on a version of LAPACK.
"""

import math

import numpy as np

from fastars._compiled.jit import inline, kernel

_DEPENDENT = 1e-14  # a pivot below this part of its diagonal is a rounding error
_INDEFINITE = 1e-13  # an eigenvalue of the cosines between minus this and 0 is a rounding error


@kernel
def scaled_gram(gram):
    """Return (gram / 4^k, k) with the k that brings the largest entry of the diagonal to between 1/4 and 1; k = 0 if there is none.

    That is the Gram matrix of the gradients divided by 2^k, to the bit, whose squares and products neither overflow nor underflow.
    Entries below 1e-290 of the largest may lose digits.
    """
    n = gram.shape[0]
    largest = 0.0
    for i in range(n):
        largest = max(largest, gram[i, i])
    half = (math.frexp(largest)[1] + 1) // 2
    unit = math.ldexp(1.0, -half)  # applied twice, as its square may overflow
    scaled = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            scaled[i, j] = gram[i, j] * unit * unit
    return scaled, half


@kernel
def factor(matrix, index, lower):
    """Write L of L L' = matrix[index][:, index] to the first rows of `lower`; return True if its rows are independent."""
    for i in range(index.shape[0]):
        for j in range(i + 1):
            value = matrix[index[i], index[j]]
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            if j < i:
                lower[i, j] = value / lower[j, j]
            elif value > _DEPENDENT * matrix[index[i], index[i]]:
                lower[i, i] = math.sqrt(value)
            else:
                return False
    return True


@kernel
def solve(lower, x):
    """Replace x by the solution y of L L' y = x."""
    n = x.shape[0]
    for i in range(n):
        for k in range(i):
            x[i] -= lower[i, k] * x[k]
        x[i] /= lower[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            x[i] -= lower[k, i] * x[k]
        x[i] /= lower[i, i]


@kernel
def eigen(matrix):
    """Compute eigenvalues (n,) and eigenvectors, the rows of (n, n), by cyclic Jacobi rotations (Golub & Van Loan, section 8.5)."""
    n = matrix.shape[0]
    a, vectors = matrix.copy(), np.eye(n)
    for _ in range(50):  # about 6 are needed
        off, size = 0.0, 0.0
        for p in range(n):
            size += a[p, p] * a[p, p]
            for q in range(p):
                off += a[p, q] * a[p, q]
        if off <= 1e-34 * size:
            break
        for p in range(n - 1):
            for q in range(p + 1, n):
                if a[p, q] * a[p, q] <= 1e-36 * abs(a[p, p] * a[q, q]):
                    a[p, q] = a[q, p] = 0.0
                    continue
                tau = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
                t = math.copysign(1.0, tau) / (abs(tau) + math.hypot(1.0, tau))
                c = 1.0 / math.sqrt(1.0 + t * t)
                s = t * c
                at_p, at_q = a[p, p] - t * a[p, q], a[q, q] + t * a[p, q]
                _rotate(a[p], a[q], c, s)
                _rotate(vectors[p], vectors[q], c, s)
                a[p, p], a[q, q], a[p, q], a[q, p] = at_p, at_q, 0.0, 0.0
                for k in range(n):
                    a[k, p], a[k, q] = a[p, k], a[q, k]
    return np.diag(a).copy(), vectors


@inline
def _rotate(x, y, c, s):
    """Replace (x, y) by (c x - s y, s x + c y)."""
    for k in range(x.shape[0]):
        before = x[k]
        x[k] = c * before - s * y[k]
        y[k] = s * before + c * y[k]


@kernel
def cosines(gram):
    """Compute the norms of the tasks (0 where the diagonal is not positive) and their cosines (0 with a task of norm 0)."""
    n = gram.shape[0]
    norms, cos = np.zeros(n), np.eye(n)
    for i in range(n):
        if gram[i, i] > 0.0:
            norms[i] = math.sqrt(gram[i, i])
        for j in range(i):
            if norms[i] > 0.0 and norms[j] > 0.0:
                cos[i, j] = cos[j, i] = gram[i, j] / norms[i] / norms[j]
    return norms, cos


@kernel
def positive_gram(gram):
    """Make a Gram matrix positive semi-definite, where noise has made it indefinite (`debiased_gram`).

    Tasks whose diagonal is not positive get rows of zeros. For the others, negative eigenvalues of the cosines are set to 0, which
    shrinks cosines that exclude each other; norms stay the same. A matrix without negative eigenvalues is returned unchanged.

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        Symmetric.

    Returns
    -------
    ndarray of float64, shape (T, T)
        Positive semi-definite up to rounding.
    """
    n = gram.shape[0]
    norms, cos = cosines(gram)
    positive = gram.copy()
    for i in range(n):
        if norms[i] == 0.0:
            positive[i] = 0.0
            positive[:, i] = 0.0
        cos[i, i] += _INDEFINITE
    if factor(cos, np.arange(n), np.empty((n, n))):
        return positive
    values, vectors = eigen(cos)
    for i in range(n):
        for j in range(n):
            cos[i, j] = 0.0
            for k in range(n):
                cos[i, j] += max(values[k], 0.0) * vectors[k, i] * vectors[k, j]
    for i in range(n):
        for j in range(i):
            shrunk = cos[i, j] / math.sqrt(cos[i, i] * cos[j, j])
            positive[i, j] = positive[j, i] = shrunk * norms[i] * norms[j]
    return positive


@kernel
def balanced_gram(gram):
    """Return (C, index, lengths): G of the tasks `index`, which have a gradient, each gradient divided by its length.

    The lengths are powers of two with C_ii from 1/4 to 1, and G is made positive semi-definite. Norms may differ by any factor: C
    is near the matrix of the cosines. But it has the digits of G, which cosines lose where gradients are nearly opposite.
    """
    positive = positive_gram(gram)
    n = 0
    index, lengths = np.empty(gram.shape[0], np.int64), np.empty(gram.shape[0])
    for i in range(gram.shape[0]):
        if positive[i, i] > 0.0:
            index[n], lengths[n] = i, math.ldexp(1.0, (math.frexp(positive[i, i])[1] + 1) // 2)
            n += 1
    matrix = np.empty((n, n))
    for a in range(n):
        for b in range(n):
            matrix[a, b] = positive[index[a], index[b]] / lengths[a] / lengths[b]
    return matrix, index[:n], lengths[:n]

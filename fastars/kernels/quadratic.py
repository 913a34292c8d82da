"""Weights that solve a quadratic program on the Gram matrix G of T tasks' gradients, G_ij = g_i . g_j.

Each of these programs is reduced to min 1/2 y'Ay - b'y over y >= 0 (`nonnegative_minimum`). An indefinite G is replaced by
`positive_gram(G)`. The programs are solved for gradients of about one length, g_i / 2^k_i (`balanced_gram`), so norms may differ by
any factor. In 20,000 random and degenerate matrices with ratios up to 1e12, "no task gets worse" held to 5e-16 T: g_i . d of the
direction d = sum of w_j g_j was never below minus that part of |g_i| sum_j w_j |g_j|, which is about what rounding of G makes of 0.
Where G is singular, weights may not be unique; directions are.
"""

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.nonnegative import ROUNDING, nonnegative_minimum, room_for
from fastars.kernels.symmetric import balanced_gram


@kernel
def form(matrix, x):
    """Compute x' matrix x."""
    total = 0.0
    for i in range(x.shape[0]):
        product = 0.0
        for j in range(x.shape[0]):
            product += matrix[i, j] * x[j]
        total += x[i] * product
    return total


@kernel
def nearest_to_origin(matrix, units, room):
    """Return the y >= 0 with units . y = 1 and the least y' matrix y; entries without a unit are free.

    With the products of the units / n added to the matrix, y minimises 1/2 y'Ay - units . y but for its length. A minimum exists
    then, even if the least value is 0. (Any number would do instead of 1 / n, but coordinate descent is fast with it.)
    """
    n = units.shape[0]
    shifted = matrix.copy()
    for i in range(n):
        for j in range(n):
            shifted[i, j] += units[i] * units[j] / n
    y = nonnegative_minimum(shifted, units, np.zeros(n), room)
    total = 0.0
    for i in range(n):
        total += units[i] * y[i]
    return y / total


@kernel
def mgda(gram):
    """Return the exact weights of the shortest convex combination (Desideri 2012, MGDA; Sener & Koltun 2018, equation 3).

    The combination d conflicts with no task: g_i . d = (Gw)_i >= w'Gw = |d|^2, which is an equality where w_i > 0. It favours tasks
    with small gradients. Rounding hides squares below 1e-15 T (sum of w_i |g_i|)^2: where large gradients cancel each other up to
    that, a small one may get their weight, as its own length is below what can be seen of theirs. Where rounding would turn d
    against a task, the weights are those of unit gradients that cancel, divided by the norms. If there are tasks without a
    gradient, they share all the weight: the combination has length 0.

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.

    Returns
    -------
    ndarray of float64, shape (T,)
        w >= 0, sum(w) = 1. If several solutions exist, as for equal gradients, one of them.
    """
    n = gram.shape[0]
    matrix, index, lengths = balanced_gram(gram)
    m = index.shape[0]
    if m < n:
        weights = np.full(n, 1.0 / (n - m))
        weights[index] = 0.0
        return weights
    units, room = lengths.min() / lengths, room_for(n)
    y = nearest_to_origin(matrix, units, room)
    if _hurts(matrix, y):
        y = nearest_to_origin(matrix, np.ones(n), room)
        total = 0.0
        for i in range(n):
            total += units[i] * y[i]
        y /= total
    return y * units


@kernel
def _hurts(matrix, y):
    """True if an entry of matrix y is below minus the rounding of its terms."""
    n = y.shape[0]
    for i in range(n):
        total, size = 0.0, 0.0
        for j in range(n):
            total += matrix[i, j] * y[j]
            size += abs(matrix[i, j] * y[j])
        if total < -n * ROUNDING * size:
            return True
    return False


@kernel
def dual_proj(gram, preference):
    """Return weights of the preferred combination, projected onto the dual cone of the gradients (Lopez-Paz & Ranzato 2017, GEM).

    v minimises v'Gv under v >= u. No task gets worse: (Gv)_i >= 0. (Differs from TorchJD, which adds 1e-4 of the trace of G to its
    diagonal, so that tasks with gradients below a hundredth of the largest may get worse.)

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.
    preference : ndarray of float64, shape (T,)
        u, not negative; 1/T is the mean gradient.

    Returns
    -------
    ndarray of float64, shape (T,)
        v, not less than the preference.
    """
    weights = preference.copy()
    matrix, index, lengths = balanced_gram(gram)
    m = index.shape[0]
    if m == 0:
        return weights
    units = lengths / lengths.max()
    least = preference[index] * units
    linear, noise = np.zeros(m), np.zeros(m)
    for a in range(m):
        for b in range(m):
            linear[a] -= matrix[a, b] * least[b]
            noise[a] += abs(matrix[a, b] * least[b])
    y = nonnegative_minimum(matrix, linear, noise, room_for(m))
    for a in range(m):
        weights[index[a]] += y[a] / units[a]
    return weights


@kernel
def upgrad(gram, preference):
    """Return the weights of the sum of the gradients, each projected onto the dual cone of all (Quinton & Rey 2024, UPGrad).

    They are the sum of the v_i that minimise v'Gv under v >= u_i e_i. No task gets worse, as in `dual_proj`.

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.
    preference : ndarray of float64, shape (T,)
        u, not negative; 1/T is the mean gradient.

    Returns
    -------
    ndarray of float64, shape (T,)
        Not less than the preference.
    """
    weights = preference.copy()
    matrix, index, lengths = balanced_gram(gram)
    m = index.shape[0]
    room, noise = room_for(m), np.zeros(m)
    for a in range(m):
        own = preference[index[a]]
        if own > 0.0:
            y = nonnegative_minimum(matrix, -matrix[a], noise, room)
            for b in range(m):
                weights[index[b]] += own * (lengths[a] / lengths[b] * y[b])
    return weights

"""Weights that solve a quadratic program on the Gram matrix G of T tasks' gradients, G_ij = g_i . g_j.

Each of these programs is reduced to min 1/2 y'Ay - b'y over y >= 0 (`nonnegative_minimum`). An indefinite G is replaced by
`positive_gram(G)`.
"""

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.nonnegative import nonnegative_minimum
from fastars.kernels.symmetric import positive_gram

REGULARISATION = 1e-4  # in `dual_proj` and `upgrad`, added to the diagonal of G / trace(G), as in TorchJD

_STATIONARY = 1e-14  # |g_w|^2 below this part of the trace counts as 0


@kernel
def _nearest_to_origin(gram):
    """Return the weights of the point nearest to the origin in the gradients' convex hull; `gram` is positive semi-definite.

    A positive number is added to all entries of G. Then w = y / sum(y), where y >= 0 minimises 1/2 y'Gy - sum(y): on its support
    (Gw)_i = w'Gw, elsewhere (Gw)_i >= w'Gw. With that number, a solution exists even if the hull contains the origin.
    """
    n = gram.shape[0]
    smallest, n_zeros = np.inf, 0
    for i in range(n):
        if gram[i, i] <= 0.0:
            n_zeros += 1
        else:
            smallest = min(smallest, gram[i, i])
    weights = np.zeros(n)
    if n_zeros > 0:
        for i in range(n):
            if gram[i, i] <= 0.0:
                weights[i] = 1.0 / n_zeros
        return weights
    y = nonnegative_minimum(gram + smallest, np.ones(n))
    total = 0.0
    for i in range(n):
        total += y[i]
    for i in range(n):
        weights[i] = y[i] / total
    return weights


@kernel
def _form(gram, x, y):
    """Compute x' gram y."""
    total = 0.0
    for i in range(x.shape[0]):
        product = 0.0
        for j in range(y.shape[0]):
            product += gram[i, j] * y[j]
        total += x[i] * product
    return total


@kernel
def _trace(gram):
    total = 0.0
    for i in range(gram.shape[0]):
        total += gram[i, i]
    return total


@kernel
def mgda(gram):
    """Return the exact weights of the shortest convex combination (Desideri 2012, MGDA; Sener & Koltun 2018, equation 3).

    The combination conflicts with no task: (Gw)_i >= w'Gw. It favours tasks with small gradients. If there are tasks without a
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
    return _nearest_to_origin(positive_gram(gram))


@kernel
def cagrad(gram, c):
    """Return weights of the direction within c |g_0| of the mean gradient g_0 that is best for the worst task (Liu et al. 2021).

    CAGrad. w minimises w'Gb + c |g_0| sqrt(w'Gw) on the simplex, b = 1/T, and the weights are b + c |g_0| / |g_w| w. For a given
    |g_w| = c |g_0| s, w belongs to the point nearest to the origin in the hull of all g_i + s g_0. While the support stays the
    same, |g_w|^2 - (c |g_0| s)^2 is linear in s^2. So the method of false position (Illinois) finds the s with value 0 in a few
    steps.

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.
    c : float
        Radius, c >= 0: 0 gives the mean gradient; from 1 on, the best direction may be 0.

    Returns
    -------
    ndarray of float64, shape (T,)
        Weights of at least 1/T; 1/T where g_w is 0, such as for a task without a gradient. (Differs from TorchJD, whose weights are
        0 there, and which takes |g_w| up to 1e-4 sqrt(trace G) for 0; here 1e-7.)
    """
    n = gram.shape[0]
    positive = positive_gram(gram)
    mean = np.full(n, 1.0 / n)
    radius_sq = c * c * _form(positive, mean, mean)
    trace = _trace(positive)
    if radius_sq <= c * c * _STATIONARY * trace:
        return mean
    low, high = _STATIONARY * trace / radius_sq, trace / radius_sq
    weights, excess_low = _shifted(positive, low, radius_sq)
    if excess_low <= 0.0:
        return mean
    weights, excess_high = _shifted(positive, high, radius_sq)
    last = high
    for _ in range(100):
        middle = high - excess_high * (high - low) / (excess_high - excess_low)
        if not low < middle < high:
            middle = 0.5 * (low + high)
        weights, excess = _shifted(positive, middle, radius_sq)
        if abs(excess) <= 1e-14 * radius_sq * middle or high - low <= 1e-15 * high:
            break
        if excess > 0.0:
            excess_high *= 0.5 if low == last else 1.0  # Illinois: the value at an end that stays twice is halved
            low, excess_low, last = middle, excess, middle
        else:
            excess_low *= 0.5 if high == last else 1.0
            high, excess_high, last = middle, excess, middle
    ratio = np.sqrt(radius_sq / _form(positive, weights, weights))
    for i in range(n):
        weights[i] = mean[i] + ratio * weights[i]
    return weights


@kernel
def _shifted(gram, square, radius_sq):
    """Return w of the point nearest to the origin in the hull of the g_i + s g_0, s^2 = `square`, and w'Gw - radius_sq s^2."""
    n = gram.shape[0]
    s, shifted = np.sqrt(square), gram.copy()
    with_mean, mean_sq = np.zeros(n), 0.0
    for i in range(n):
        for j in range(n):
            with_mean[i] += gram[i, j] / n
        mean_sq += with_mean[i] / n
    for i in range(n):
        for j in range(n):
            shifted[i, j] += s * (with_mean[i] + with_mean[j]) + square * mean_sq
    weights = _nearest_to_origin(shifted)
    return weights, _form(gram, weights, weights) - radius_sq * square


@kernel
def dual_proj(gram, preference):
    """Return weights of the preferred combination, projected onto the dual cone of the gradients (Lopez-Paz & Ranzato 2017, GEM).

    v minimises v'Av under v >= u, A = G / trace(G) + 1e-4 I, as in TorchJD. It conflicts with no task, up to the 1e-4:
    (Av)_i >= 0. (Differs from TorchJD, which treats a trace below 1e-4 as 0.)

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
    return _dual(_regularised(gram), preference)


@kernel
def upgrad(gram, preference):
    """Return the weights of the sum of the gradients, each projected onto the dual cone of all (Quinton & Rey 2024, UPGrad).

    They are the sum of the v_i that minimise v'Av under v >= u_i e_i, with A as in `dual_proj`.

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
    n = gram.shape[0]
    matrix, weights, own = _regularised(gram), np.zeros(n), np.zeros(n)
    for i in range(n):
        own[:] = 0.0
        own[i] = preference[i]
        weights += _dual(matrix, own)
    return weights


@kernel
def _regularised(gram):
    matrix = positive_gram(gram)
    trace = _trace(matrix)
    if trace > 0.0:
        matrix /= trace
    for i in range(gram.shape[0]):
        matrix[i, i] += REGULARISATION
    return matrix


@kernel
def _dual(matrix, least):
    """Return the v >= least that minimises v' matrix v: least + y, where y >= 0 minimises 1/2 y'Ay + y'A least."""
    n = least.shape[0]
    linear = np.zeros(n)
    for i in range(n):
        for j in range(n):
            linear[i] -= matrix[i, j] * least[j]
    return least + nonnegative_minimum(matrix, linear)

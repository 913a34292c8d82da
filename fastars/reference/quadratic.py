"""Weights that solve a quadratic program on the Gram matrix G of T tasks' gradients, G_ij = g_i . g_j.

Each of these programs is reduced to min 1/2 y'Ay - b'y over y >= 0. An indefinite G is replaced by `positive_gram(G)`.
"""

import numpy as np

from .symmetric import positive_gram

REGULARISATION = 1e-4


def _nonnegative_minimum(matrix, linear):
    """Return the y >= 0 that minimises 1/2 y' matrix y - linear' y (Lawson & Hanson 1974, chapter 23)."""
    y, used = np.zeros(len(linear)), np.zeros(len(linear), bool)
    for _ in range(10 * len(linear)):
        descent = np.where(used, -np.inf, linear - matrix @ y)
        entering = np.argmax(descent)
        if descent[entering] <= 1e-14 * (np.abs(linear) + np.abs(matrix) @ y)[entering]:
            break
        used[entering] = True
        while used.any():
            z = np.zeros(len(linear))
            z[used] = np.linalg.solve(matrix[np.ix_(used, used)], linear[used])
            if np.all(z[used] > 0.0):
                y = z
                break
            negative = used & (z <= 0.0)
            steps = np.where(negative, y / np.where(negative, y - z, 1.0), np.inf)
            y = y + steps.min() * (z - y)
            used &= (y > 0.0) & (steps > steps.min())
            y[~used] = 0.0
    return y


def _nearest_to_origin(gram):
    """Return w = y / sum(y), where y >= 0 minimises 1/2 y'Gy - sum(y) after a positive number is added to all entries of G."""
    zeros = np.diag(gram) <= 0.0
    if zeros.any():
        return zeros / zeros.sum()
    y = _nonnegative_minimum(gram + np.diag(gram).min(), np.ones(len(gram)))
    return y / y.sum()


def mgda(gram):
    """Return the w that minimises w'Gw on the simplex (Desideri 2012; Sener & Koltun 2018, equation 3)."""
    return _nearest_to_origin(positive_gram(gram))


def cagrad(gram, c):
    """Return b + c |g_0| / |g_w| w, where w minimises w'Gb + c |g_0| sqrt(w'Gw) on the simplex, b = 1/T (Liu et al. 2021).

    sqrt(w'Gw) is the minimum of (w'Gw / t + t) / 2 over t > 0. So for t = |g_w|, w belongs to the point nearest to the origin in
    the hull of all g_i + s g_0, s = t / (c |g_0|). This s is found by bisection.
    """
    gram = positive_gram(gram)
    mean = np.full(len(gram), 1.0 / len(gram))
    g0_sq, trace = mean @ gram @ mean, np.trace(gram)
    if c * c * g0_sq <= c * c * 1e-14 * trace:
        return mean

    def shifted(s):
        with_mean = gram @ mean
        w = _nearest_to_origin(gram + s * np.add.outer(with_mean, with_mean) + s * s * g0_sq)
        return w, np.sqrt(w @ gram @ w)

    radius = c * np.sqrt(g0_sq)
    low, high = np.sqrt(1e-14 * trace) / radius, np.sqrt(trace) / radius
    if shifted(low)[1] <= radius * low:
        return mean
    for _ in range(80):
        s = 0.5 * (low + high)
        low, high = (s, high) if shifted(s)[1] > radius * s else (low, s)
    w, size = shifted(high)
    return mean + radius / size * w


def dual_proj(gram, preference):
    """Return the v >= preference that minimises v'Av, A = G / trace(G) + 1e-4 I (Lopez-Paz & Ranzato 2017)."""
    return _dual(_regularised(gram), preference)


def upgrad(gram, preference):
    """Return the sum over i of the v >= preference_i e_i that minimise v'Av (Quinton & Rey 2024)."""
    matrix = _regularised(gram)
    return sum(_dual(matrix, own) for own in np.diag(preference))


def _regularised(gram):
    gram = positive_gram(gram)
    trace = np.trace(gram)
    return (gram / trace if trace > 0.0 else gram) + REGULARISATION * np.eye(len(gram))


def _dual(matrix, least):
    return least + _nonnegative_minimum(matrix, -matrix @ least)

"""Weights of the direction near the mean gradient that is best for the worst task, from the Gram matrix of T tasks' gradients."""

import numpy as np

from .nonnegative import ROUNDING, nonnegative_minimum
from .symmetric import balanced_gram


def cagrad(gram, c):
    """Return the weights 1/T + y of g_0 + e, e = sum of y_i g_i, best for the worst task under |e| <= c |g_0| (Liu et al. 2021).

    The shortest e with g_i . d >= t for all i is a quadratic program. The largest t for which it is no longer than c |g_0| is found
    by bisection. Where t = 0 can be reached, tasks whose product with every direction that hurts no task is 0 stay at 0.
    """
    weights = np.full(len(gram), 1.0 / len(gram))
    matrix, kept, lengths = balanced_gram(gram)
    if len(kept) == 0:
        return weights
    lengths = lengths / lengths.max()
    shares = lengths / len(gram)
    mean, noise = matrix @ shares, np.abs(matrix) @ shares
    if shares @ mean <= len(kept) * ROUNDING * (shares @ noise):
        return weights
    radius = c * np.sqrt(shares @ mean)

    def shortest(t, units):
        y = nonnegative_minimum(matrix, t * units - mean, abs(t) * units + noise)
        return y, np.sqrt(max(0.0, y @ matrix @ y))

    units = lengths.min() / lengths
    y, length = shortest(0.0, units)
    if length > radius:
        y = _longest(shortest, units, (mean / units).min(), 0.0, radius)
    elif length < radius:
        units = np.where(_settled(matrix), 0.0, units)
        if units.any():
            high = ((mean + radius * np.sqrt(np.diag(matrix)))[units > 0.0] / units[units > 0.0]).min()
            y = _longest(shortest, units, 0.0, high, radius)
    weights[kept] += y / lengths
    return weights


def _longest(shortest, units, low, high, radius):
    """Return y of the largest t between `low` and `high` whose e is no longer than the radius."""
    for _ in range(200):
        t = 0.5 * (low + high)
        if not low < t < high:
            break
        low, high = (t, high) if shortest(t, units)[1] <= radius else (low, t)
    y, length = shortest(high, units)
    return y * min(1.0, radius / length)


def _settled(matrix):
    """Return True for each task in a combination, with weights of at least 0, whose length is 0."""
    settled = np.zeros(len(matrix), bool)
    while not settled.all():
        ones = np.where(settled, 0.0, 1.0)
        y = nonnegative_minimum(matrix + np.outer(ones, ones), ones)
        if y @ matrix @ y > len(matrix) * ROUNDING * y.sum() ** 2:
            break
        settled |= y > 1e-6 * y.sum()
    return settled

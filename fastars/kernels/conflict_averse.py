"""Weights of the direction near the mean gradient that is best for the worst task, from the Gram matrix of T tasks' gradients.

Symbols: g_1 ... g_T, G_ij = g_i . g_j, g_0 is their mean and R = c |g_0|. A direction is d = g_0 + e with |e| <= R. For a number t,
the shortest e with g_i . d >= t for all tasks is the sum of y_i g_i, where y >= 0 minimises 1/2 y'Gy - sum of y_i (t - g_i . g_0).
Its length E(t) is convex and does not decrease: the largest t has E(t) = R. Newton's method finds it from above; rounding may lead
below, and then the chord between both sides goes on.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.nonnegative import ROUNDING, nonnegative_minimum, room_for
from fastars.kernels.quadratic import form, nearest_to_origin
from fastars.kernels.symmetric import balanced_gram


class Program(NamedTuple):
    """The program for gradients g_i / 2^k_i; all lengths are divided by the largest 2^k_i."""

    matrix: Any  # (n, n), products of these gradients
    units: Any  # (n,), t counts for task i this many times; 0 for a task on which no direction has an effect
    mean: Any  # (n,), products with the mean gradient
    noise: Any  # (n,), sums of the absolute terms of these
    radius: Any  # R
    room: Any


@kernel
def cagrad(gram, c):
    """Return weights of the direction within c |g_0| of the mean gradient g_0 that is best for the worst task (Liu et al. 2021).

    CAGrad: d maximises the least g_i . d under |d - g_0| <= c |g_0|. Where the convex hull of the gradients contains 0, the least
    product is at most 0, and many directions may reach that. Then tasks whose product is 0 in all of them stay there, and d is best
    for the worst of the others. A task without a gradient is one of those that stay.

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.
    c : float
        Radius, c >= 0: 0 gives the mean gradient; from 1 on, the best direction may be 0.

    Returns
    -------
    ndarray of float64, shape (T,)
        At least 1/T; 1/T if g_0 is 0. A Gram matrix shows the length of g_0, or a distance of the hull from 0, only above some 3e-8
        sqrt(T) of the gradients: below, it counts as 0. At a distance h above, |d - g_0| differs from c |g_0| by up to 1e-16 / h^2
        of it. (Differs from TorchJD, which takes distances up to 1e-4 sqrt(trace G) for 0, and has weights of 0 there.)
    """
    n = gram.shape[0]
    weights = np.full(n, 1.0 / n)
    matrix, index, lengths = balanced_gram(gram)
    if index.shape[0] == 0:
        return weights
    shares = lengths / lengths.max()
    y = _best_step(_program(matrix, shares / n, lengths.min() / lengths, c))
    for a in range(index.shape[0]):
        weights[index[a]] += y[a] / shares[a]
    return weights


@kernel
def _program(matrix, shares, units, c):
    """Return the program of gradients of which g_0 has these shares."""
    n = shares.shape[0]
    mean, noise, square, size = np.zeros(n), np.zeros(n), 0.0, 0.0
    for i in range(n):
        for j in range(n):
            mean[i] += matrix[i, j] * shares[j]
            noise[i] += abs(matrix[i, j] * shares[j])
        square += shares[i] * mean[i]
        size += shares[i] * noise[i]
    radius = c * math.sqrt(square) if square > n * ROUNDING * size else 0.0
    return Program(matrix, units, mean, noise, radius, room_for(n))


@kernel
def _best_step(program):
    """Return y of the best e = sum of y_i g_i."""
    if program.radius == 0.0:
        return np.zeros(program.units.shape[0])
    y, length = _shortest(program, 0.0)
    if length >= program.radius:
        least = 0.0  # with it, e = 0
        for i in range(program.units.shape[0]):
            least = min(least, program.mean[i] / program.units[i])
        return _down_to_radius(program, least, 0.0, 0.0, y, length)
    if _settle(program) == 0:  # no direction has an effect on any task: d = 0
        return y
    at_0, highest = length, np.inf
    for i in range(program.units.shape[0]):
        if program.units[i] > 0.0:
            most = program.mean[i] + program.radius * math.sqrt(program.matrix[i, i])
            highest = min(highest, most / program.units[i])
    y, length = _shortest(program, highest)
    return _down_to_radius(program, 0.0, at_0, highest, y, length)


@kernel
def _shortest(program, t):
    """Return y of the shortest e with which each task has t, and its length."""
    n = program.units.shape[0]
    linear, noise = np.empty(n), np.empty(n)
    for i in range(n):
        linear[i] = t * program.units[i] - program.mean[i]
        noise[i] = abs(t) * program.units[i] + program.noise[i]
    y = nonnegative_minimum(program.matrix, linear, noise, program.room)
    return y, math.sqrt(max(0.0, form(program.matrix, y)))


@kernel
def _down_to_radius(program, low, at_low, high, y, length):
    """Return y of the number between `low` and `high` for which e has the length R.

    E(low) = `at_low` is below it. E(high) = `length`, that of y, is above.
    """
    radius = program.radius
    for _ in range(100):  # 10 are enough, but for noise
        slope = 0.0  # of length^2 / 2
        for i in range(y.shape[0]):
            slope += y[i] * program.units[i]
        middle = high - (length - radius) * length / slope
        if not low < middle < high:
            middle = high - (length - radius) * (high - low) / (length - at_low)
        if not low < middle < high or length <= radius * (1.0 + 1e-14):
            break
        at_middle, of_middle = _shortest(program, middle)
        if of_middle >= radius:
            high, y, length = middle, at_middle, of_middle
        else:
            low, at_low = middle, of_middle
            if of_middle >= radius * (1.0 - 1e-14):
                return at_middle
            # Newton's step from `high` would lead here again.
            middle = 0.5 * (low + high)
            if not low < middle < high:
                break
            at_middle, of_middle = _shortest(program, middle)
            if of_middle >= radius:
                high, y, length = middle, at_middle, of_middle
            else:
                low, at_low = middle, of_middle
    return y * (radius / length) if length > radius else y


@kernel
def _settle(program):
    """Set the units of tasks on which no direction has an effect to 0: their products are 0 in all directions that hurt no task.

    They are the tasks of combinations, with weights of at least 0, whose length is 0. Return the number of the other tasks.
    """
    n = program.units.shape[0]
    ones = np.ones(n)
    for _ in range(n):
        left = 0
        for i in range(n):
            if program.units[i] == 0.0:
                ones[i] = 0.0
            left += program.units[i] > 0.0
        if left == 0:
            return 0
        y = nearest_to_origin(program.matrix, ones, program.room)
        total = y.sum()
        if form(program.matrix, y) > n * ROUNDING * total * total:
            return left
        for i in range(n):
            if y[i] > 1e-6 * total:
                program.units[i] = 0.0
    return 0

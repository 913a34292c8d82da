"""The minimum of a convex quadratic function over nonnegative numbers, by a finite sequence of supports.

Source: Lawson & Hanson, "Solving least squares problems" (1974), chapter 23.
"""

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.symmetric import factor, solve

_ROUNDING = 1e-15  # a gradient of the program below this part of its terms is 0


@kernel
def nonnegative_minimum(matrix, linear):
    """Return the y >= 0 that minimises 1/2 y' matrix y - linear' y."""
    n = linear.shape[0]
    lower, values = np.empty((n, n)), np.empty(n)
    y, used = _first_guess(matrix, linear, lower, values)
    refused = np.zeros(n, np.bool_)
    for _ in range(10 * n):
        entering = _steepest(matrix, linear, y, used | refused)
        if entering < 0:
            break
        used[entering] = True
        while used[entering]:
            index = np.flatnonzero(used)
            if not _minimum(matrix, linear, index, lower, values):
                used[entering], y[entering] = False, 0.0  # it depends on those in use
            elif _move(y, index, values, used):
                refused[:] = False
                break
        refused[entering] = not used[entering]
    return y


@kernel
def _first_guess(matrix, linear, lower, values):
    """Return a minimum and its support, found from the entries that grow at y = 0 by leaving out any that end below 0.

    This start halves the time of UPGrad.
    """
    y, used = np.zeros(linear.shape[0]), linear > 0.0
    index = np.flatnonzero(used)
    while index.shape[0] > 0:
        if not _minimum(matrix, linear, index, lower, values):
            used[:] = False
            break
        n_before = index.shape[0]
        for i in range(n_before):
            used[index[i]] = values[i] > 0.0
        index = np.flatnonzero(used)
        if index.shape[0] == n_before:
            for i in range(n_before):
                y[index[i]] = values[i]
            break
    return y, used


@kernel
def _minimum(matrix, linear, index, lower, values):
    """Write the minimum on the support `index`, of any sign, to `values`; return True if it is unique."""
    if not factor(matrix, index, lower):
        return False
    for i in range(index.shape[0]):
        values[i] = linear[index[i]]
    solve(lower, values[: index.shape[0]])
    return True


@kernel
def _steepest(matrix, linear, y, closed):
    """Return the entry, not closed, with the largest component of linear - matrix y; -1 if none is positive beyond rounding."""
    best, entering = 0.0, -1
    for j in range(y.shape[0]):
        if not closed[j]:
            value, size = linear[j], abs(linear[j])
            for k in range(y.shape[0]):
                value -= matrix[j, k] * y[k]
                size += abs(matrix[j, k] * y[k])
            if value > best and value > _ROUNDING * y.shape[0] * size:
                best, entering = value, j
    return entering


@kernel
def _move(y, index, z, used):
    """Move y towards z on the support `index`, as far as y stays positive; return True if it arrives at z."""
    step, last = 1.0, -1
    for i in range(index.shape[0]):
        if z[i] <= 0.0:
            length = y[index[i]] / (y[index[i]] - z[i]) if y[index[i]] > 0.0 else 0.0
            if length < step or last < 0:
                step, last = length, i
    for i in range(index.shape[0]):
        y[index[i]] += step * (z[i] - y[index[i]]) if last >= 0 else z[i] - y[index[i]]
        if last >= 0 and (i == last or y[index[i]] <= 0.0):
            y[index[i]] = 0.0
            used[index[i]] = False
    return last < 0

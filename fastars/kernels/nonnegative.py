"""The minimum of a convex quadratic function over nonnegative numbers, by a finite sequence of supports.

Source: Lawson & Hanson, "Solving least squares problems" (1974), chapter 23. The support is the set of the entries that are not 0.
It starts as the one that a few sweeps of coordinate descent leave. Its Cholesky factor is then updated whenever an entry enters
or leaves, which costs n^2 operations instead of n^3.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.symmetric import solve

ROUNDING = 2.0**-50  # times n: a pivot below this part of its diagonal is a rounding error, and so is such a part of a gradient
_MANY = 32  # entries: from there on it saves time to start near the minimum
_FEW_SWEEPS, _MANY_SWEEPS = 8, 30  # of coordinate descent, for fewer entries than that and for more


class Room(NamedTuple):
    """Arrays that a solver writes to, made once for many programs of n entries."""

    lower: Any  # (n, n) of float64, the first rows hold the factor of the matrix on the support
    columns: Any  # (n, n) of float64, a matrix that is being factored
    index: Any  # (n,) of int64, the first ones are the support in the order of the factor
    values: Any  # (n,) of float64, the minimum on the support
    residual: Any  # (n,) of float64, minus the gradient of the program
    size: Any  # (n,) of float64, sums of the absolute terms of a residual
    refused: Any  # (n,) of int64, 1 for entries whose residual was a rounding error


@kernel
def room_for(n):
    """Return room for programs of n entries."""
    numbers, indices = np.empty((2 * n + 3, n)), np.empty((2, n), np.int64)  # two arrays take less time than seven
    lower, columns = numbers[:n], numbers[n : 2 * n]
    return Room(lower, columns, indices[0], numbers[2 * n], numbers[2 * n + 1], numbers[2 * n + 2], indices[1])


@kernel
def nonnegative_minimum(matrix, linear, noise, room):
    """Return the y >= 0 that minimises 1/2 y' matrix y - linear' y.

    The matrix is positive semi-definite up to rounding. If an entry is needed that depends on the others in use, a part of its
    diagonal is added to the matrix, the least with which it works: n 2^-50, 4 times that, and so on. So the gradient of the
    program, matrix y - linear, may be negative by that part of y, and by n 2^-50 of its terms. Of several minima it is any one.

    Parameters
    ----------
    matrix : ndarray of float64, shape (n, n)
        Symmetric, with a diagonal near 1.
    linear, noise : ndarray of float64, shape (n,)
        Linear part of the program, and the sums of the absolute terms that it was computed from.
    room : Room
        From `room_for(n)`.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    n = linear.shape[0]
    y = np.empty(n)
    floor = n * ROUNDING
    if _minimum(matrix, linear, noise, floor, y, room):
        return y
    ridged = matrix.copy()
    while floor < 1.0:
        for i in range(n):
            ridged[i, i] = matrix[i, i] * (1.0 + floor)
        if _minimum(ridged, linear, noise, 0.25 * floor, y, room):
            break
        floor *= 4.0
    return y


@kernel
def _minimum(matrix, linear, noise, floor, y, room):
    """Write the minimum to y; return False if an entry is needed whose pivot is below `floor` of its diagonal."""
    n = linear.shape[0]
    _coordinate_descent(matrix, linear, y, room.residual)
    n_used = _factor_independent(matrix, floor, y, room)
    _solve_on_support(linear, n_used, room)
    n_used = _move(linear, y, n_used, room)
    room.refused[:] = 0
    for _ in range(10 * n + 10):
        entering = _steepest(matrix, linear, noise, y, room)
        if entering < 0:
            return True
        if not _append(matrix, entering, n_used, floor, room):
            return False
        _solve_on_support(linear, n_used + 1, room)
        if room.values[n_used] > 0.0:
            n_used = _move(linear, y, n_used + 1, room)
            room.refused[:] = 0
        else:
            room.refused[entering] = 1
    return False


@kernel
def _coordinate_descent(matrix, linear, y, residual):
    """Move y from 0 to near the minimum, along one coordinate after the other."""
    y[:] = 0.0
    residual[:] = linear
    is_long = y.shape[0] >= _MANY
    for sweep in range(_MANY_SWEEPS if is_long else _FEW_SWEEPS):
        changed = sweep == 0
        for j in range(y.shape[0]):
            moved = max(0.0, y[j] + residual[j] / matrix[j, j])
            step = moved - y[j]
            if step != 0.0:
                changed = changed or (moved > 0.0) != (y[j] > 0.0) or (is_long and abs(step) > 1e-3 * moved)
                y[j] = moved
                row = matrix[j]
                for k in range(y.shape[0]):
                    residual[k] -= step * row[k]
        if not changed:
            return


@kernel
def _factor_independent(matrix, floor, y, room):
    """Factor the matrix on the support of y, leave out entries that depend on earlier ones; return the number of the others."""
    rest, lower, index = room.columns, room.lower, room.index
    n_used, n_kept = 0, 0
    for j in range(y.shape[0]):
        if y[j] > 0.0:
            index[n_used] = j
            n_used += 1
    if y.shape[0] >= _MANY:  # the largest entries first: those that depend on them matter least
        index[:n_used] = index[:n_used][np.argsort(-y[index[:n_used]])]
    for i in range(n_used):
        for j in range(i, n_used):
            rest[i, j] = matrix[index[i], index[j]]
    for i in range(n_used):
        if rest[i, i] <= floor * matrix[index[i], index[i]]:
            y[index[i]] = 0.0
            continue
        root = math.sqrt(rest[i, i])
        for j in range(i, n_used):
            rest[i, j] /= root
        for j in range(i + 1, n_used):
            factor, row, top = rest[i, j], rest[j, j:n_used], rest[i, j:n_used]  # slices, so that LLVM sees no negative index
            for k in range(row.shape[0]):
                row[k] -= factor * top[k]
        for a in range(n_kept):
            lower[n_kept, a] = rest[int(room.values[a]), i]
        lower[n_kept, n_kept] = root
        index[n_kept], room.values[n_kept] = index[i], i
        n_kept += 1
    return n_kept


@kernel
def _solve_on_support(linear, n_used, room):
    """Write the minimum on the support, of any sign, to `room.values`."""
    for i in range(n_used):
        room.values[i] = linear[room.index[i]]
    solve(room.lower[:n_used], room.values[:n_used])


@kernel
def _steepest(matrix, linear, noise, y, room):
    """Return the entry, neither used nor refused, with the largest residual; -1 if none is positive beyond rounding."""
    n = y.shape[0]
    residual, size = room.residual, room.size
    for j in range(n):
        residual[j], size[j] = linear[j], abs(linear[j]) + noise[j]
    for k in range(n):
        if y[k] > 0.0:
            row, factor = matrix[k], y[k]
            for j in range(n):
                term = factor * row[j]
                residual[j] -= term
                size[j] += abs(term)
    best, entering = 0.0, -1
    for j in range(n):
        if y[j] == 0.0 and room.refused[j] == 0 and residual[j] > best and residual[j] > n * ROUNDING * size[j]:
            best, entering = residual[j], j
    return entering


@kernel
def _append(matrix, entering, n_used, floor, room):
    """Append an entry to the support and its factor; return False if it depends on those there."""
    row, index, lower = room.lower[n_used], room.index, room.lower
    pivot = matrix[entering, entering]
    for i in range(n_used):
        value = matrix[entering, index[i]]
        for k in range(i):
            value -= lower[i, k] * row[k]
        row[i] = value / lower[i, i]
        pivot -= row[i] * row[i]
    if pivot <= floor * matrix[entering, entering]:
        return False
    row[n_used] = math.sqrt(pivot)
    index[n_used] = entering
    return True


@kernel
def _move(linear, y, n_used, room):
    """Move y to the minimum on its support; entries that reach 0 on the way leave it. Return the number of those that stay."""
    index, values = room.index, room.values
    while True:
        step, last = 1.0, -1
        for i in range(n_used):
            if values[i] <= 0.0:
                length = y[index[i]] / (y[index[i]] - values[i])
                if length < step or last < 0:
                    step, last = length, i
        for i in range(n_used):
            y[index[i]] = y[index[i]] + step * (values[i] - y[index[i]]) if last >= 0 else values[i]
        if last < 0:
            return n_used
        y[index[last]] = 0.0
        for i in range(n_used - 1, -1, -1):
            if y[index[i]] <= 0.0:
                y[index[i]] = 0.0
                _remove(i, n_used, room)
                n_used -= 1
        _solve_on_support(linear, n_used, room)


@kernel
def _remove(place, n_used, room):
    """Remove a row of the factor. Rotations of pairs of columns make it triangular again, row after row."""
    lower, index = room.lower, room.index
    cosine, sine = room.residual, room.size  # they are free here
    for i in range(place, n_used - 1):
        index[i] = index[i + 1]
        row, below = lower[i], lower[i + 1]
        for k in range(place):
            row[k] = below[k]
        carried = below[place]
        for k in range(place, i):
            row[k] = cosine[k] * carried + sine[k] * below[k + 1]
            carried = cosine[k] * below[k + 1] - sine[k] * carried
        row[i] = math.hypot(carried, below[i + 1])
        cosine[i], sine[i] = carried / row[i], below[i + 1] / row[i]

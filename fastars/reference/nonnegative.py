"""The minimum of a convex quadratic function over nonnegative numbers (Lawson & Hanson 1974, chapter 23)."""

import numpy as np

ROUNDING = 2.0**-50


def nonnegative_minimum(matrix, linear, noise=0.0):
    """Return the y >= 0 that minimises 1/2 y' matrix y - linear' y; `noise` are the absolute terms of `linear`.

    If the matrix is singular on the support that is needed, the least part of its diagonal that helps is added to it.
    """
    ridge, least = 0.0, len(linear) * ROUNDING
    while True:
        y = _active_set(matrix + ridge * np.diag(np.diag(matrix)), linear, noise, max(ridge / 4.0, least))
        if y is not None or ridge > 1.0:
            return y
        ridge = max(4.0 * ridge, least)


def _active_set(matrix, linear, noise, floor):
    """Return the minimum, or None if it needs a support whose matrix has an eigenvalue below `floor`."""
    n = len(linear)
    y, used, refused = np.zeros(n), np.zeros(n, bool), np.zeros(n, bool)
    for _ in range(10 * n + 10):
        size = np.abs(linear) + noise + np.abs(matrix) @ y
        descent = linear - matrix @ y
        open_entries = ~used & ~refused & (descent > n * ROUNDING * size)
        if not open_entries.any():
            return y
        entering = np.argmax(np.where(open_entries, descent, -np.inf))
        used[entering] = True
        z = _on_support(matrix, linear, used, floor)
        if z is None:
            return None
        refused[entering] = z[entering] <= 0.0
        if refused[entering]:
            used[entering] = False
            continue
        refused[:] = False
        while (z[used] <= 0.0).any():
            negative = used & (z <= 0.0)
            steps = np.where(negative, y / np.where(negative, y - z, 1.0), np.inf)
            y = y + steps.min() * (z - y)
            used &= (y > 0.0) & (steps > steps.min())
            y[~used] = 0.0
            z = _on_support(matrix, linear, used, floor)
        y = z
    return None


def _on_support(matrix, linear, used, floor):
    """Return the minimum on a support, of any sign, or None if its matrix is singular."""
    block = matrix[np.ix_(used, used)]
    if used.any() and np.linalg.eigvalsh(block)[0] <= 0.1 * floor:
        return None
    z = np.zeros(len(linear))
    z[used] = np.linalg.solve(block, linear[used])
    return z

"""Weights that solve G w = w^(-1/alpha), the fair deal among T tasks whose gradients have the Gram matrix G, G_ij = g_i . g_j.

An indefinite G is replaced by `positive_gram(G)`. Symbols: u_i = 2^e_i w_i are weights of gradients g_i / 2^e_i, whose norms are
between 1/2 and 1, C their Gram matrix, rho = C u their rates; S_i = sum over j of |C_ij| u_j, and S_i / rho_i tells how much of a
task's rate is cancelled.
"""

import math

import numpy as np

from .nonnegative import nonnegative_minimum
from .symmetric import positive_gram

EPS = 2.0**-52
LOST = 0.5  # part of a rate that rounding may be, where gradients count as cancelling each other
SMALL = math.log(1e-3)  # logarithm of a part of every rate that moves none of them
STRIDE = 0.8  # largest relative change of a rate or a weight in a step


def nash_mtl(gram):
    """Return a with G a = 1 / a; then a'Ga = T (Navon et al. 2022, equation 2)."""
    return fairgrad(gram, 1.0)


def fairgrad(gram, alpha):
    """Return w with G w = w^(-1/alpha) (Ban & Ji 2024, equation 7), or weights with which gradients cancel, where there is none."""
    gram = positive_gram(gram)
    kept = np.flatnonzero(np.diag(gram) > 0.0)
    weights = np.zeros(len(gram))
    if len(kept) == 0:
        return weights
    exponents = np.frexp(np.sqrt(np.diag(gram)[kept]))[1]
    matrix = np.ldexp(gram[np.ix_(kept, kept)], -np.add.outer(exponents, exponents))
    u, is_solved = _balanced(matrix)
    if not is_solved:
        rates, sizes = _rates(matrix, u)
        u = u + nonnegative_minimum(matrix, -rates, sizes)  # Newton's steps stopped on the way: no rate is below 0
        w = np.ldexp(u, -exponents) * 2.0 ** (exponents.max() * (1.0 - alpha) / (1.0 + alpha))
    elif alpha == 1.0:
        w = np.ldexp(u, -exponents)
    else:
        u, logs, shift = _path(matrix, (1.0 - alpha) * math.log(2.0) * exponents, alpha, u)
        w = np.where(u > 1e-200, np.ldexp(u, -exponents) * np.exp(shift), np.exp(logs + shift - exponents * math.log(2.0)))
    weights[kept] = w
    return weights


def _rates(matrix, u):
    """Return (rho, S). Products are summed in extended precision, since they cancel each other."""
    return (matrix.astype(np.longdouble) @ u.astype(np.longdouble)).astype(np.float64), np.abs(matrix) @ u


def _balanced(matrix):
    """Return (u with C u = 1 / u, True), or False where it would let gradients cancel beyond rounding.

    u is the minimum of 1/2 u'Cu - sum(log u), which is self-concordant: Newton steps of length 1 / (1 + decrement) find it.
    """
    u, n_done = 1.0 / np.sqrt(np.diag(matrix)), 0
    for _ in range(200):
        rates, sizes = _rates(matrix, u)
        if np.max(4.0 * EPS * u * sizes) > LOST:
            return u, False
        gaps = u * rates - 1.0
        n_done = n_done + 1 if np.all(np.abs(gaps) <= 4.0 * EPS * u * sizes) else 0
        if n_done == 3:
            return u, True
        relative = np.linalg.solve(np.eye(len(u)) + np.outer(u, u) * matrix, -gaps)
        decrement = math.sqrt(max(0.0, -(gaps @ relative)))
        step = 1.0 / (1.0 + decrement) if decrement > 0.25 else 1.0
        u = u * (1.0 + min(step, 0.99 / max(-relative.min(), 1e-300)) * relative)
    return np.full(len(u), np.nan), True


def _path(matrix, wanted, alpha, u):
    """Return (u, log u, a number to add to log u) with log u + alpha log rho = wanted, a positive u with C u > 0 being given.

    The start solves the equation for another right-hand side. Newton steps follow the solution from there to the wanted one, so far
    in a step that no rate changes by more than a part of it, nor a weight, unless it is too small to move a rate.
    """
    logs, first, left = np.log(u), None, 1.0
    for _ in range(400):
        rates, sizes = _rates(matrix, u)
        rates = np.maximum(rates, EPS * sizes)
        lost = sizes / rates
        gaps = logs + alpha * np.log(rates) - wanted
        common = np.average(gaps, weights=1.0 / lost**2)
        rounding = alpha * (lost + np.abs(np.log(rates))) + np.abs(logs) + np.abs(wanted)
        if left == 0.0 and np.all(np.abs(gaps - common) <= 32.0 * EPS * rounding):
            return u, logs, -common / (1.0 + alpha)
        gaps -= gaps.mean()
        first = gaps if first is None else first
        near, ahead, done = _step(matrix, alpha, u, logs, rates, left * first - gaps, -left * first)
        left = 0.0 if left * (1.0 - done) < 1e-12 else left * (1.0 - done)
        u, logs = _moved(u, logs, near + done * ahead, _is_small(matrix, logs, rates))
    return u, logs, -common / (1.0 + alpha) if lost.max() > 1.0 / (64.0 * EPS) else np.nan


def _is_small(matrix, logs, rates):
    return logs + np.log(np.max(np.abs(matrix) / rates[:, None], axis=0)) < SMALL


def _step(matrix, alpha, u, logs, rates, gap_here, gap_ahead):
    """Return relative changes of u: back to the path, along it, and which part of the second keeps within the bounds."""
    share, scale, small = np.sqrt(u / rates), np.sqrt(u * rates), _is_small(matrix, logs, rates)
    reach = SMALL - logs - np.log(np.max(np.abs(matrix) / rates[:, None], axis=0))
    highest = np.concatenate([np.where(small, np.maximum(STRIDE, reach), STRIDE), np.full(len(u), STRIDE)])
    lowest = np.concatenate([np.where(small, -np.inf, -STRIDE), np.full(len(u), -STRIDE)])
    changes = []
    for gap in (gap_here, gap_ahead):
        y = np.linalg.solve(np.eye(len(u)) + alpha * np.outer(share, share) * matrix, scale * gap)
        of_rates = _rates(matrix, share * y)[0] / rates
        changes.append(np.concatenate([np.where(small, gap - alpha * of_rates, y / np.maximum(scale, 1e-300)), of_rates]))
    near, ahead = changes
    back = _furthest(np.zeros(len(near)), near, lowest, highest)
    done = _furthest(near, ahead, lowest, highest) if back == 1.0 else 0.0
    return back * near[: len(u)], ahead[: len(u)], done


def _furthest(start, direction, lowest, highest):
    """Return the largest t of at most 1 with lowest <= start + t direction <= highest."""
    bounds = np.where(direction > 0.0, highest, lowest)
    ends = np.divide(bounds - start, direction, out=np.ones(len(start)), where=direction != 0.0)
    return max(0.0, min(1.0, ends.min()))


def _moved(u, logs, change, small):
    """Return (u, log u) after relative changes; those of small weights are changes of the logarithm."""
    linear = u * np.where(small, 1.0, 1.0 + change)
    logs = np.where(small, logs + change, np.log(np.maximum(linear, 1e-300)))
    unit = -np.round(np.log2(linear[~small].max()))
    logs = logs + unit * math.log(2.0)
    return np.where(small, np.exp(logs), np.ldexp(linear, int(unit))), logs

"""Matrices of task gradients for tests of weighting methods: random and degenerate ones, at any scale.

A matrix has a row for each task. `matrices()` is a Hypothesis strategy, `degenerate(n_tasks)` a fixed list. `tilts` and `rates`
compute the effect of a direction on each task, in extended precision and without overflow, to check promises of methods.
"""

import numpy as np
from hypothesis import strategies as st

MOST_TASKS = 16
LARGEST_RATIO = 1e12  # of the norms of two gradients
SCALES = (1e-150, 1e-85, 1e-30, 1.0, 1e30, 1e77, 1e150)
KINDS = (
    "random",
    "conflicting",
    "orthogonal",
    "rank deficient",
    "opposite",
    "duplicate",
    "nearly duplicate",
    "zero row",
    "one dimension",
)


def make_matrix(kind, n_tasks, n_weights, ratio, scale, seed):
    """Return gradients, float64, (n_tasks, n_weights), with norms between scale / ratio and scale, except rows of zeros."""
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((n_tasks, n_weights))
    if kind == "conflicting":  # every two rows point away from each other, as far as they can
        rows -= rows.mean(axis=0) * draw.uniform(0.9, 1.1)
    elif kind == "orthogonal":
        rows = np.eye(n_tasks, max(n_tasks, n_weights))
    elif kind == "rank deficient":
        rank = max(1, min(n_tasks, n_weights) // 2)
        rows = draw.standard_normal((n_tasks, rank)) @ draw.standard_normal((rank, n_weights))
    elif kind == "opposite":
        rows[1] = -rows[0]
    elif kind == "duplicate":
        rows[1] = rows[0]
    elif kind == "nearly duplicate":
        rows[1] = rows[0] * (1.0 + 1e-9 * draw.standard_normal(n_weights))
    elif kind == "zero row":
        rows[draw.integers(n_tasks)] = 0.0
    elif kind == "one dimension":
        rows = np.outer(rows[:, 0], rows[0])
    norms = np.linalg.norm(rows, axis=1)
    wanted = ratio ** -draw.uniform(0.0, 1.0, n_tasks)
    wanted[draw.permutation(n_tasks)[:2]] = 1.0, 1.0 / ratio
    return rows * (np.where(norms > 0.0, wanted / np.where(norms > 0.0, norms, 1.0), 0.0) * scale)[:, None]


@st.composite
def matrices(draw, kinds=KINDS, scales=SCALES, largest_ratio=LARGEST_RATIO):
    """Draw a matrix of 2 to 16 gradients."""
    return make_matrix(
        draw(st.sampled_from(kinds)),
        draw(st.integers(2, MOST_TASKS)),
        draw(st.integers(1, 40)),
        10.0 ** draw(st.floats(0.0, float(np.log10(largest_ratio)))),
        draw(st.sampled_from(scales)),
        draw(st.integers(0, 2**32 - 1)),
    )


def degenerate(n_tasks=3, n_weights=7):
    """Return (name, matrix) of every kind, at ratios of norms of 1 and 1e12, at every scale."""
    return [
        (f"{kind}, ratio {ratio:g}, scale {scale:g}", make_matrix(kind, n_tasks, n_weights, ratio, scale, seed=n_tasks))
        for kind in KINDS
        for ratio in (1.0, LARGEST_RATIO)
        for scale in SCALES
    ]


def units(rows):
    """Return (norms, rows of length 1) in extended precision; a row of zeros stays so. Squares neither overflow nor underflow."""
    rows = np.asarray(rows, np.longdouble)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scaled = rows / np.where(largest > 0.0, largest, 1.0)
    norms = np.sqrt((scaled**2).sum(axis=1, keepdims=True))
    return (norms * largest)[:, 0], scaled / np.where(norms > 0.0, norms, 1.0)


def tilts(rows, weights):
    """Return g_i . d / (|g_i| sum_j |w_j| |g_j|) for the direction d = sum_j w_j g_j, 0 for a gradient of 0.

    It is the cosine between task i and d, times |d| / sum_j |w_j| |g_j|. Rounding in float64 moves it by a few 1e-16, however much
    the gradients cancel each other: "no task gets worse" holds to a tolerance in this measure.
    """
    norms, unit = units(rows)
    shares = np.asarray(weights, np.longdouble) * norms
    size = np.abs(shares).sum()
    return unit @ (shares @ unit) / (size if size > 0.0 else 1.0)


def rates(rows, weights):
    """Return g_i . d for the direction d = sum_j w_j g_j in extended precision, (T,)."""
    norms, unit = units(rows)
    return norms * (unit @ ((np.asarray(weights, np.longdouble) * norms) @ unit))

"""The promises of MGDA, CAGrad, DualProj and UPGrad about their directions, for gradients of any size and of any ratio of norms.

Directions are judged in extended precision (`gradient_matrices`), by conditions that prove an optimum, by exact arithmetic, and by
numbers worked out by hand. Seen failing, on solvers with a ridge relative to the trace and on products of unscaled rows: most of
them. Broken on purpose: lengths of 1 in `balanced_gram` -> test_solvers_have_no_scale and test_mgda_of_orthogonal_gradients_by_hand
red; `_settle` that settles nothing -> test_cagrad_where_gradients_cancel red;
no thread for solvers -> test_a_long_solver_hears_ctrl_c red.
"""

import itertools
import os
import signal
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
from gradient_matrices import degenerate, make_matrix, matrices, tilts, units
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastars import kernels, reference
from fastars.weighting import make_method

TOLERANCE = 2e-15  # times T: the worst that was seen in 11,000 matrices is 5e-16
HARMLESS = ["mgda", "dualproj", "upgrad"]
BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])


def mean(n_tasks):
    return np.full(n_tasks, 1.0 / n_tasks)


SOLVERS = {
    "mgda": lambda backend, gram: backend.mgda(gram),
    "dual_proj": lambda backend, gram: backend.dual_proj(gram, mean(len(gram))),
    "upgrad": lambda backend, gram: backend.upgrad(gram, mean(len(gram))),
    "cagrad 0.5": lambda backend, gram: backend.cagrad(gram, 0.5),
    "cagrad 2": lambda backend, gram: backend.cagrad(gram, 2.0),
}


def combined(rows, weights):
    """Return (direction, sum of |w_j| |g_j|, norms, unit rows) in extended precision."""
    norms, unit = units(rows)
    shares = np.asarray(weights, np.longdouble) * norms
    return shares @ unit, np.abs(shares).sum(), norms, unit


# --- No task gets worse


@given(matrices())
@settings(max_examples=60, deadline=None)
def test_no_task_gets_worse(rows):
    for name in HARMLESS:
        weights = make_method(name, len(rows)).step(grads=rows)
        assert tilts(rows, weights).min() >= -TOLERANCE * len(rows), name


@pytest.mark.promise(19)
def test_no_task_gets_worse_on_degenerate_gradients(tally):
    shapes = tally.of(fast=[(2, 3), (3, 7), (9, 4)], full=[(t, d) for t in (2, 3, 5, 8, 16) for d in (1, 3, 7, 40)])
    given_matrices = [case for shape in shapes for case in degenerate(*shape)]
    for case, rows in given_matrices:
        for name in HARMLESS:
            weights = make_method(name, len(rows)).step(grads=rows)
            assert tilts(rows, weights).min() >= -TOLERANCE * len(rows), (name, case)
    tally(
        "degenerate gradients of 2 to 16 tasks, no task worse with MGDA, DualProj and UPGrad",
        len(given_matrices),
        of=len(given_matrices),
    )


def cancelling(seed):
    """Return gradients of which the last is minus a combination of the others; norms differ by up to 1e10."""
    draw = np.random.default_rng(seed)
    n_tasks = int(draw.integers(3, 17))
    rows = draw.standard_normal((n_tasks, 20)) * 10.0 ** draw.uniform(-5.0, 5.0, (n_tasks, 1))
    rows[-1] = -(10.0 ** draw.uniform(-1.0, 1.0, n_tasks - 1)) @ rows[:-1]
    return rows


@BACKENDS
@pytest.mark.parametrize("name", ["mgda", "dual_proj", "upgrad", "nash_mtl"])
def test_no_task_gets_worse_where_gradients_of_different_norms_cancel(backend, name):
    """MGDA turned against a task by 1e-10 where the shortest gradient had next to no part in the sum, Nash-MTL by 4e-11."""
    solve = SOLVERS.get(name, lambda backend, gram: backend.nash_mtl(gram))
    for seed in range(80):
        rows = cancelling(seed)
        gram = np.einsum("id,jd->ij", rows, rows)  # its bits don't depend on where arrays begin, as those of BLAS do
        assert tilts(rows, solve(backend, gram)).min() >= -TOLERANCE * len(rows), seed


@BACKENDS
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[100.0, 0.0], [-1.0, 1.0]], [0.505, 25.5]),
        ([[1e6, 0.0], [-1.0, 1.0]], [0.5 + 5e-7, 0.5 + 2.5e5]),
        ([[1e12, 0.0], [-1.0, 1.0]], [0.5 + 5e-13, 0.5 + 2.5e11]),
        ([[1e6, 1.0], [-1e6, 1.0]], [1.0 - 1e-12, 1.0 - 1e-12]),
    ],
)
def test_upgrad_of_two_tasks_by_hand(backend, rows, expected):
    """Each adds |product| / square of the other to 1/2 of it."""
    rows = np.array(rows)
    np.testing.assert_allclose(backend.upgrad(rows @ rows.T, mean(2)), expected, rtol=1e-14)


def exact_weights(rows, preference):
    """Return the v >= u with the least v'Gv of integer gradients: the support that meets all conditions, in rational numbers."""
    n = len(rows)
    gram = [[Fraction(sum(a * b for a, b in zip(x, y, strict=True))) for y in rows] for x in rows]
    for size in range(n + 1):
        for support in itertools.combinations(range(n), size):
            raised = solved([[gram[i][j] for j in support] for i in support], [-dot(gram[i], preference) for i in support])
            if raised is None or min(raised, default=0) < 0:
                continue
            weights = list(preference)
            for i, more in zip(support, raised, strict=True):
                weights[i] += more
            if all(dot(row, weights) >= 0 for row in gram):
                return np.array([float(weight) for weight in weights])
    raise AssertionError("no support meets the conditions")


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def solved(matrix, right):
    """Return the solution of a system of fractions by elimination; None if the matrix is singular."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for k in range(len(rows)):
        pivot = next((i for i in range(k, len(rows)) if rows[i][k] != 0), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(len(rows)):
            if i != k:
                factor = rows[i][k] / rows[k][k]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [row[-1] / row[k] for k, row in enumerate(rows)]


@BACKENDS
@pytest.mark.parametrize("seed", range(30))
def test_directions_are_those_of_exact_arithmetic(backend, seed):
    draw = np.random.default_rng(seed)
    n_tasks, n_weights = int(draw.integers(2, 6)), int(draw.integers(1, 5))
    rows = draw.integers(-5, 6, (n_tasks, n_weights)) * 10 ** draw.integers(0, 7, (n_tasks, 1))
    whole = [[int(value) for value in row] for row in rows]
    share = Fraction(1, n_tasks)
    parts = [exact_weights(whole, [share * (i == k) for i in range(n_tasks)]) for k in range(n_tasks)]
    gram = rows.astype(float) @ rows.T.astype(float)
    for exact, weights in (
        (exact_weights(whole, [share] * n_tasks), backend.dual_proj(gram, mean(n_tasks))),
        (np.sum(parts, axis=0), backend.upgrad(gram, mean(n_tasks))),
    ):
        direction, size, _, _ = combined(rows, weights)
        expected, other_size, _, _ = combined(rows, exact)
        assert np.abs(direction - expected).max() <= 1e-12 * max(size, other_size)


# --- The shortest combination


def shortest_is_shortest(rows, weights):
    """The conditions of the least w'Gw, and no other combination that is shorter by more than rounding."""
    direction, size, norms, unit = combined(rows, weights)
    square = direction @ direction
    assert weights.min() >= 0.0
    assert abs(weights.sum() - 1.0) <= 1e-14
    above = norms * (unit @ direction) - square
    assert (above >= -1e-14 * len(rows) * size * (norms + size)).all()
    for other in [*np.eye(len(rows)), reference.mgda(kernels.gram(rows / np.abs(rows).max()))]:
        theirs, their_size, _, _ = combined(rows, other)
        assert square <= theirs @ theirs + 1e-14 * len(rows) * their_size**2


@given(matrices(kinds=("random", "conflicting", "orthogonal", "rank deficient", "opposite", "duplicate", "nearly duplicate")))
@settings(max_examples=60, deadline=None)
def test_mgda_is_the_shortest_combination(rows):
    shortest_is_shortest(rows, make_method("mgda", len(rows)).step(grads=rows))


def test_mgda_of_orthogonal_gradients_by_hand():
    """w_i is proportional to 1 / |g_i|^2: at the ratio 1e12 the larger one has 1e-24."""
    np.testing.assert_allclose(kernels.mgda(np.diag([1.0, 1e-24])), [1e-24, 1.0], rtol=1e-15)
    np.testing.assert_allclose(make_method("mgda").step(grads=[[1e150, 0.0], [0.0, 1e138]]), [1e-24, 1.0], rtol=1e-12)


# --- The best direction near the mean


def least_bound(rows, weights, c):
    """Return a number that no least product exceeds: g_w . g_0 + R |g_w| of a convex combination w, and its tolerance."""
    mean_gradient, _, _, _ = combined(rows, mean(len(rows)))
    radius = c * np.sqrt(mean_gradient @ mean_gradient)
    bounds = []
    norms, unit = units(rows)
    scaled = rows / np.abs(rows).max()
    # The shortest combination of gradients, and of directions: at great ratios of norms only this one shows that 0 is among them.
    shortest = kernels.mgda(kernels.gram(scaled)), kernels.mgda(kernels.gram(unit.astype(np.float64))) / (norms / norms.max())
    for candidate in (weights - 1.0 / len(rows), *shortest):
        if candidate.sum() > 0.0:
            w = candidate / candidate.sum()
            direction, size, _, _ = combined(rows, w)
            length = np.sqrt(direction @ direction)
            bounds.append((0.0 if length <= 1e-7 * size else direction @ mean_gradient + radius * length, size))
    return min(bounds), radius


@pytest.mark.promise(19)
@given(
    matrices(kinds=("random", "conflicting", "orthogonal", "rank deficient", "opposite", "duplicate")),
    st.sampled_from([0.1, 0.5, 0.9, 2.0]),
)
@settings(max_examples=60, deadline=None)
def test_cagrad_is_best_for_the_worst_task(rows, c):
    """By weak duality: a convex combination of the gradients bounds the least product of any direction in the ball."""
    mean_gradient, mean_size, _, _ = combined(rows, mean(len(rows)))
    assume(np.sqrt(mean_gradient @ mean_gradient) > 4e-8 * np.sqrt(len(rows)) * mean_size)  # a shorter one counts as 0
    blur = 2e-16 * len(rows) * mean_size**2 / (mean_gradient @ mean_gradient)  # of the radius: what the Gram matrix hides of |g_0|
    weights = make_method("cagrad", len(rows), c=c).step(grads=rows)
    direction, size, norms, unit = combined(rows, weights)
    step, _, _, _ = combined(rows, weights - 1.0 / len(rows))
    (bound, bound_size), radius = least_bound(rows, weights, c)
    products = norms * (unit @ direction)
    worst = int(np.argmin(products))
    assert weights.min() >= 1.0 / len(rows)
    assert np.sqrt(step @ step) <= radius * (1.0 + blur) + 1e-12 * size
    assert products[worst] >= bound - 1e-12 * size * (norms[worst] + bound_size) - blur * radius * bound_size


@BACKENDS
def test_cagrad_takes_a_mean_that_rounding_hides_for_0(backend):
    """Lengths of 1 and 1 - 2.3e-8, opposed: the Gram matrix holds |g_0|^2 to 1e-16, which is all of it."""
    rows = np.array([[1.0], [-0.999999977]])
    np.testing.assert_array_equal(backend.cagrad(rows @ rows.T, 0.5), [0.5, 0.5])
    rows = np.array([[1.0], [-0.9999]])
    assert backend.cagrad(rows @ rows.T, 0.5) @ rows == pytest.approx([0.25e-4], rel=1e-6)


@BACKENDS
@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize(
    ("rows", "c", "direction"),
    [
        # Two opposed tasks: along the line of the third, as far as the ball goes.
        ([[1.0, 0.0], [-2.0, 0.0], [0.0, 1.0]], 0.8, [0.0, 1 / 3 + np.sqrt(0.64 * 2 / 9 - 1 / 9)]),
        ([[1.0, 0.0], [-1e6, 0.0], [0.0, 1e6]], 0.99, None),
        ([[3.0, 0.0], [-3.0, 0.0], [0.0, 3.0]], 0.5, [0.0, 1.5]),  # g_0 = (0, 1) itself hurts nobody
        ([[0.0, 0.0], [1.0, 2.0]], 0.5, [0.75, 1.5]),  # a task without a gradient gains nothing
        ([[1.0, 0.0], [-2.0, 0.0]], 1.5, [0.0, 0.0]),
        ([[1.0, 0.0], [-2.0, 0.0]], 0.5, [-0.25, 0.0]),  # 0 is out of reach: the worst task loses 1/4
        # 0 is not in the hull, but a task of 1e-8 of the other is the worst one.
        ([[1e8, 0.0], [-1.0, 1.0]], 0.5, None),
        ([[1e6, 1.0], [-1e6, 1.0]], 0.5, [0.0, 1.5]),
    ],
)
def test_cagrad_where_gradients_cancel(backend, rows, c, direction, scale):
    rows = np.array(rows)
    weights = backend.cagrad(rows * scale @ rows.T * scale, c)
    actual = weights @ rows
    radius = c * np.linalg.norm(rows.mean(axis=0))
    assert np.linalg.norm(actual - rows.mean(axis=0)) <= radius * (1.0 + 1e-4)  # 1e-12 but for the last one
    if direction is not None:
        np.testing.assert_allclose(actual, direction, rtol=1e-3 if rows[0, 0] == 1e6 else 1e-12, atol=1e-9)
    if rows[0, 0] == 1e8:
        assert (rows @ actual).min() == pytest.approx(-5e7 + 1.0 + 2.5e7 * np.sqrt(2.0), rel=1e-7)
    if rows[1, 0] == -1e6 and rows[0, 0] == 1.0:
        assert (rows @ actual).min() >= -1e-3


# --- Scale, twins, limits


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("exponent", [-460, -200, 0, 200, 498])
def test_solvers_have_no_scale(name, exponent):
    """To the bit, for powers of two: squares from 1e-290 to 1e300."""
    for ratio in (1.0, 1e6):
        rows = make_matrix("random", 5, 7, ratio, 1.0, seed=3)
        gram = rows @ rows.T
        np.testing.assert_array_equal(SOLVERS[name](kernels, np.ldexp(gram, 2 * exponent)), SOLVERS[name](kernels, gram))


@pytest.mark.parametrize("name", ["mgda", "imtl-g", "pcgrad", "cagrad", "aligned-mtl", "dualproj", "upgrad"])
@pytest.mark.parametrize("exponent", [-1000, -560, 560, 1000])
def test_steps_have_no_scale(name, exponent):
    """Squares of these gradients are 0, or infinite."""
    rows = make_matrix("random", 4, 7, 1e3, 1.0, seed=4)
    expected = make_method(name, 4).step(grads=rows)
    np.testing.assert_array_equal(make_method(name, 4).step(grads=np.ldexp(rows, exponent)), expected)


@pytest.mark.parametrize("name", ["nash-mtl", "fairgrad"])
def test_weights_of_a_fair_deal_have_the_unit_of_the_gradients(name):
    rows = make_matrix("random", 4, 7, 10.0, 1.0, seed=5)
    method = make_method(name, 4)
    expected = method.step(grads=rows) * 2.0 ** (600 * method.degree)
    np.testing.assert_allclose(make_method(name, 4).step(grads=np.ldexp(rows, 600)), expected, rtol=1e-13)


@given(matrices(scales=(1.0,)))
@settings(max_examples=40, deadline=None)
def test_twins_have_one_direction(rows):
    """Weights need not be the same where gradients depend on each other."""
    gram = rows @ rows.T
    for name, solve in SOLVERS.items():
        ours, size, _, _ = combined(rows, solve(kernels, gram))
        theirs, their_size, _, _ = combined(rows, solve(reference, gram))
        assert np.abs(ours - theirs).max() <= 1e-8 * max(size, their_size), name


def test_gradients_that_float64_can_not_hold_together_are_refused():
    for name in ("mgda", "upgrad", "nash-mtl"):
        method = make_method(name, 2, names=("near", "far"))
        with pytest.raises(ValueError, match=r"step\(\): grads must have norms of 0, or of at least 3e-145 .* for task 'far'"):
            method.step(grads=[[1.0, 0.0], [0.0, 1e-150]])
        with pytest.raises(ValueError, match=r"step\(\): gram must have norms of 0, or of at least 3e-145 .* for task 'far'"):
            method.step(gram=[[1e10, 0.0], [0.0, 1e-300]])
        with pytest.raises(
            ValueError, match=r"gram must have squares that are 0, or at least 3.56e-307, got 1e-310 for task 'near'"
        ):
            method.step(gram=[[1e-310, 0.0], [0.0, 1e-310]])
        assert method.n_steps == 0
        method.mask = [True, False]
        method.step(grads=[[1.0, 0.0], [0.0, 1e-150]])
    with pytest.raises(ValueError, match=r"FairGrad has weights of \[inf, inf\] for gradients of this size"):
        make_method("fairgrad").step(grads=[[1e-300, 0.0], [0.0, 1e-300]])


def test_a_function_gets_the_gram_matrix_itself_or_an_error():
    seen = []
    method = make_method(lambda gram, losses: seen.append(gram) or [1.0, 1.0], 2)
    method.step([1.0, 1.0], grads=[[1e100, 0.0], [0.0, 1e90]])
    np.testing.assert_allclose(seen[0], np.diag([1e200, 1e180]), rtol=1e-15)
    with pytest.raises(ValueError, match="the function needs a Gram matrix that float64 can hold"):
        method.step([1.0, 1.0], grads=[[1e200, 0.0], [0.0, 1e190]])


@pytest.mark.timing
def test_a_long_solver_hears_ctrl_c(limit):
    """A thousand programs of a thousand tasks; the thread that solves them ends with the process."""
    rows = np.random.default_rng(0).standard_normal((1_000, 300))
    method = make_method("upgrad", 1_000)
    kernels.upgrad(np.eye(2), mean(2))  # compiled
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        method.step(grads=rows)
    assert time.perf_counter() - begin < 1.0 + limit(1.0)
    assert method.n_steps == 0

"""Weights from the Gram matrix: golden values, the conditions that each solution meets, and where there is no ordinary one.

Golden values are those of TorchJD's tests for J = [[-4, 1, 1], [6, 1, 1]], to five digits. Those of DualProj and UPGrad are worked
out by hand, as TorchJD adds 1e-4 of the trace to the diagonal.
"""

import numpy as np
import pytest

from fastars import kernels, reference

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])
SCALES = [1e-10, 1e-5, 1.0, 1e5, 1e15]
PAIR = np.array([[18.0, -22.0], [-22.0, 38.0]])
ORDER = np.array([[0, 1], [1, 0]])
SHAPES = [(2, 5), (3, 50), (5, 7), (8, 100), (16, 64)]


def mean(n_tasks):
    return np.full(n_tasks, 1.0 / n_tasks)


SOLVERS = {
    "mgda": lambda backend, gram: backend.mgda(gram),
    "imtl_g": lambda backend, gram: backend.imtl_g(gram),
    "config": lambda backend, gram: backend.config(gram),
    "pcgrad": lambda backend, gram: backend.pcgrad(gram, np.tile(np.arange(len(gram)), (len(gram), 1))),
    "cagrad": lambda backend, gram: backend.cagrad(gram, 0.5),
    "aligned_mtl": lambda backend, gram: backend.aligned_mtl(gram),
    "nash_mtl": lambda backend, gram: backend.nash_mtl(gram),
    "fairgrad": lambda backend, gram: backend.fairgrad(gram, 2.0),
    "dual_proj": lambda backend, gram: backend.dual_proj(gram, mean(len(gram))),
    "upgrad": lambda backend, gram: backend.upgrad(gram, mean(len(gram))),
}
GOLDEN = {
    "mgda": (0.6, 0.4),
    "imtl_g": (0.59233, 0.40767),
    "pcgrad": (2.22222, 1.57895),
    "cagrad": (0.70412, 0.5),
    "aligned_mtl": (0.55907, 0.40826),
    "nash_mtl": (0.59146, 0.40707),
    "dual_proj": (11 / 18, 1 / 2),  # the first task is raised to 22 / 18 of the second: (Gv)_1 = 0
    "upgrad": (1 / 2 + 11 / 18, 1 / 2 + 11 / 38),
}
ALL = pytest.mark.parametrize("name", SOLVERS)


def grams(n_seeds=20):
    for n_tasks, n_weights in SHAPES:
        for seed in range(n_seeds):
            gradients = np.random.default_rng(seed).standard_normal((n_tasks, n_weights))
            yield gradients @ gradients.T


@BACKENDS
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(backend, name):
    np.testing.assert_allclose(SOLVERS[name](backend, PAIR), GOLDEN[name], atol=1e-5)


@BACKENDS
def test_nash_directions_golden_value(backend):
    direction = backend.nash_mtl(PAIR) @ np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
    np.testing.assert_allclose(direction / np.linalg.norm(direction), (0.05415, 0.70607, 0.70607), atol=1e-5)


# --- Conditions of the solutions


def test_mgda_is_the_nearest_point_of_the_hull():
    """On the support all tasks gain alike, the others no less: the conditions of the least w'Gw on the simplex."""
    for gram in grams():
        weights = kernels.mgda(gram)
        square = weights @ gram @ weights
        assert weights.min() >= 0.0
        assert abs(weights.sum() - 1.0) <= 1e-12
        assert square - (gram @ weights).min() <= 1e-10 * square


@BACKENDS
@pytest.mark.parametrize("gram", [[[4.0, 1.0], [1.0, 9.0]], [[1.0, 2.0], [2.0, 9.0]], [[9.0, -3.0], [-3.0, 4.0]]])
def test_mgda_of_two_tasks(backend, gram):
    (a, c), (_, b) = gram
    first = min(max((b - c) / (a + b - 2.0 * c), 0.0), 1.0)
    np.testing.assert_allclose(backend.mgda(np.array(gram)), [first, 1.0 - first], atol=1e-15)


def test_imtl_g_has_equal_projections_on_all_gradients():
    for gram in grams():
        rates = gram @ kernels.imtl_g(gram) / np.sqrt(np.diag(gram))
        np.testing.assert_allclose(rates, rates[0], rtol=1e-8)


def test_nash_mtl_solves_its_equation():
    for gram in grams():
        weights = kernels.nash_mtl(gram)
        assert np.abs(weights * (gram @ weights) - 1.0).max() <= 1e-10
        assert weights @ gram @ weights == pytest.approx(len(gram), rel=1e-10)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 2.0, 10.0, 99.0])
def test_fairgrad_solves_its_equation(alpha):
    for gram in grams(5):
        weights = kernels.fairgrad(gram, alpha)
        assert weights.min() > 0.0
        assert np.abs(weights ** (1.0 / alpha) * (gram @ weights) - 1.0).max() <= 1e-10


@BACKENDS
def test_fairgrad_of_orthogonal_gradients(backend):
    """w_i |g_i|^2 = w_i^(-1/alpha), so w_i = |g_i|^(-2 alpha / (1 + alpha))."""
    np.testing.assert_allclose(backend.fairgrad(np.diag([1.0, 8.0]), 0.5), [1.0, 0.5], rtol=1e-12)
    np.testing.assert_allclose(backend.fairgrad(np.diag([1.0, 8.0]), 2.0), [1.0, 0.25], rtol=1e-12)


@pytest.mark.parametrize("c", [0.1, 0.5, 0.9, 2.0])
def test_cagrad_solves_its_program(c):
    """No step to another corner of the simplex goes down from the w that the weights are made of."""
    for gram in grams(5):
        n_tasks = len(gram)
        weights = kernels.cagrad(gram, c)
        w = (weights - mean(n_tasks)) / (weights - mean(n_tasks)).sum()
        radius = c * np.sqrt(mean(n_tasks) @ gram @ mean(n_tasks))
        slope = gram @ mean(n_tasks) + radius * gram @ w / np.sqrt(w @ gram @ w)
        assert w.min() >= -1e-12
        assert slope @ w - slope.min() <= 1e-9 * np.abs(slope).max()
        away = weights - mean(n_tasks)
        assert np.sqrt(away @ gram @ away) == pytest.approx(radius, rel=1e-10)


def test_dual_proj_solves_its_program():
    """v >= u, Av >= 0, and one of both is an equality for every task."""
    for gram in grams(5):
        least = mean(len(gram))
        weights = kernels.dual_proj(gram, least)
        rates = gram @ weights
        assert (weights - least).min() >= 0.0
        assert rates.min() >= -1e-14 * np.trace(gram)
        assert np.abs((weights - least) * rates).max() <= 1e-14 * np.trace(gram)


def test_upgrad_is_the_sum_of_the_projections_of_the_preferred_gradients():
    for gram in grams(5):
        preference = np.random.default_rng(0).uniform(0.0, 1.0, len(gram))
        parts = [kernels.dual_proj(gram, own) for own in np.diag(preference)]
        np.testing.assert_allclose(kernels.upgrad(gram, preference), np.sum(parts, axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", ["mgda", "nash_mtl", "fairgrad", "dual_proj", "upgrad"])
def test_no_task_gets_worse(name):
    for gram in grams(5):
        weights = SOLVERS[name](kernels, gram)
        assert (gram @ weights).min() >= -1e-14 * np.trace(gram) * weights.max()


@BACKENDS
def test_pcgrad_of_hand_worked_numbers(backend):
    """Each of them conflicts: g_1 + g_2 / 2 + g_3 / 2, then g_2 + g_1 / 4 + g_3 / 8, and g_3 + g_1 / 4 + g_2 / 8."""
    gram = np.array([[4.0, -1.0, -1.0], [-1.0, 2.0, 0.0], [-1.0, 0.0, 2.0]])
    first = backend.pcgrad(gram, np.array([[0, 1, 2], [0, 1, 2], [0, 1, 2]]))
    np.testing.assert_array_equal(first, [1.5, 1.625, 1.625])
    coupled = np.array([[4.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]])
    one, other = (backend.pcgrad(coupled, np.array([order] * 3)) for order in ([0, 1, 2], [0, 2, 1]))
    assert np.abs(one - other).max() > 0.1


def test_pcgrad_leaves_gradients_that_agree():
    gram = np.array([[2.0, 1.0], [1.0, 3.0]])
    np.testing.assert_array_equal(kernels.pcgrad(gram, ORDER), [1.0, 1.0])


# --- Units and order of the tasks


@ALL
@pytest.mark.parametrize("scale", SCALES)
def test_scale_of_all_gradients(name, scale):
    """Only Nash-MTL's and FairGrad's weights have a unit."""
    gradients = np.random.default_rng(0).standard_normal((5, 9))
    gram = gradients @ gradients.T
    power = {"nash_mtl": -1.0, "fairgrad": -4.0 / 3.0}.get(name, 0.0)
    expected = SOLVERS[name](kernels, gram) * scale**power
    np.testing.assert_allclose(SOLVERS[name](kernels, gram * scale**2), expected, rtol=1e-10)


@pytest.mark.parametrize("name", ["imtl_g", "nash_mtl"])
def test_direction_does_not_depend_on_the_tasks_units(name):
    gradients, units = np.random.default_rng(1).standard_normal((4, 9)), np.array([1e-6, 1.0, 1e3, 1e9])
    one = SOLVERS[name](kernels, gradients @ gradients.T)
    other = SOLVERS[name](kernels, np.outer(units, units) * (gradients @ gradients.T)) * units
    np.testing.assert_allclose(other / other[0], one / one[0], rtol=1e-9)


@pytest.mark.parametrize("name", sorted(set(SOLVERS) - {"pcgrad"}))
def test_permuted_tasks_have_permuted_weights(name):
    for gram in grams(3):
        order = np.random.default_rng(2).permutation(len(gram))
        permuted = SOLVERS[name](kernels, gram[np.ix_(order, order)])
        np.testing.assert_allclose(permuted, SOLVERS[name](kernels, gram)[order], rtol=1e-8, atol=1e-12)


# --- Where there is no ordinary solution


@ALL
@BACKENDS
def test_one_task(backend, name):
    expected = {"nash_mtl": 0.5, "fairgrad": 4.0 ** (-2.0 / 3.0), "cagrad": 1.5}.get(name, 1.0)
    np.testing.assert_allclose(SOLVERS[name](backend, np.array([[4.0]])), [expected], rtol=1e-12)


ZEROS = {"imtl_g": (0.0, 0.0), "config": (0.0, 0.0), "nash_mtl": (0.0, 0.0), "fairgrad": (0.0, 0.0), "pcgrad": (1.0, 1.0)}


@ALL
@BACKENDS
def test_no_gradients_at_all(backend, name):
    np.testing.assert_array_equal(SOLVERS[name](backend, np.zeros((2, 2))), ZEROS.get(name, (0.5, 0.5)))


@ALL
@BACKENDS
def test_a_task_without_a_gradient(backend, name):
    expected = {
        "mgda": (0.0, 1.0),
        "imtl_g": (1.0, 0.0),
        "config": (1.0, 0.0),
        "pcgrad": (1.0, 1.0),
        "cagrad": (0.75, 0.5),
        "aligned_mtl": (0.5, 0.0),
        "nash_mtl": (0.5, 0.0),
        "fairgrad": (4.0 ** (-2.0 / 3.0), 0.0),
    }
    gram = np.array([[4.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(SOLVERS[name](backend, gram), expected.get(name, (0.5, 0.5)), rtol=1e-12)


# Two gradients on one line: (1, -1), (1, -2) and (1, 1) times a unit vector. The weights are worked out by hand. Opposed gradients
# have no solution of Nash-MTL's and FairGrad's equations: there it is the ratio of the weights that lets the gradients cancel.
LINES = [(1.0, -1.0), (1.0, -2.0), (1.0, 1.0)]
ON_LINES = {
    "mgda": [(1 / 2, 1 / 2), (2 / 3, 1 / 3), (1.0, 0.0)],
    "imtl_g": [(0.0, 0.0), (0.0, 0.0), (1 / 2, 1 / 2)],
    "config": [(0.0, 0.0), (0.0, 0.0), (1.0, 1.0)],
    "pcgrad": [(2.0, 2.0), (3.0, 3 / 2), (1.0, 1.0)],
    "cagrad": [(1 / 2, 1 / 2), (3 / 4, 1 / 2), (1.0, 1 / 2)],
    "aligned_mtl": [(0.0, 0.0), (-1 / 10, 1 / 5), (1 / 2, 1 / 2)],
    "nash_mtl": [(1 / 2, 1 / 2), (2 / 3, 1 / 3), (2 ** (-1 / 2), 2 ** (-1 / 2))],
    "fairgrad": [(1 / 2, 1 / 2), (2 / 3, 1 / 3), (2 ** (-2 / 3), 2 ** (-2 / 3))],
    "dual_proj": [(1 / 2, 1 / 2), (1.0, 1 / 2), (1 / 2, 1 / 2)],
    "upgrad": [(1.0, 1.0), (3 / 2, 3 / 4), (1 / 2, 1 / 2)],
}


@ALL
@BACKENDS
@pytest.mark.parametrize("line", range(3), ids=["opposed", "opposed and longer", "equal"])
def test_gradients_of_one_line(backend, name, line):
    gradients = np.array(LINES[line])
    power = {"nash_mtl": -1.0, "fairgrad": -4.0 / 3.0}.get(name, 0.0)
    for scale in SCALES:
        weights = SOLVERS[name](backend, np.outer(gradients, gradients) * scale**2) / scale**power
        if power and line < 2:
            assert weights.min() > 1e6
            weights = weights / weights.sum()
        np.testing.assert_allclose(weights, ON_LINES[name][line], rtol=1e-9, atol=1e-12)


@ALL
def test_more_tasks_than_weights(name):
    """G is singular, and nearly always the hull contains the origin."""
    for seed in range(20):
        gradients = np.random.default_rng(seed).standard_normal((16, 3))
        gram = gradients @ gradients.T
        weights = SOLVERS[name](kernels, gram)
        assert np.isfinite(weights).all()
        if name == "mgda":
            assert weights @ gram @ weights - (gram @ weights).min() <= 1e-12


@ALL
def test_an_indefinite_gram_matrix_is_replaced(name):
    for seed in range(20):
        noise = np.random.default_rng(seed).standard_normal((6, 6))
        indefinite = noise + noise.T + 3.0 * np.diag(np.random.default_rng(seed).uniform(-0.5, 2.0, 6))
        weights = SOLVERS[name](kernels, indefinite)
        assert np.isfinite(weights).all()
        if name in ("mgda", "dual_proj", "upgrad"):  # the others may have no bound on a singular matrix
            expected = SOLVERS[name](kernels, kernels.positive_gram(indefinite))
            np.testing.assert_allclose(weights, expected, atol=1e-9)


def test_tasks_of_very_different_size():
    """Norms from 1e-10 to 1e15 in one matrix: nothing is lost of the small ones."""
    gradients = np.random.default_rng(3).standard_normal((3, 9)) * np.array([[1e-10], [1.0], [1e15]])
    gram = gradients @ gradients.T
    for solve in SOLVERS.values():
        assert np.isfinite(solve(kernels, gram)).all()
    nash = kernels.nash_mtl(gram)
    assert np.abs(nash * (gram @ nash) - 1.0).max() <= 1e-10
    np.testing.assert_allclose(kernels.mgda(gram)[0], 1.0, rtol=1e-9)

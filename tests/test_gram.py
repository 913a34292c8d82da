"""Gram matrices, norms, the debiased Gram matrix, and a positive one in place of an indefinite one."""

import numpy as np
import pytest

from fastars import kernels, reference

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])


@BACKENDS
def test_gram_of_hand_worked_numbers(backend):
    gradients = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
    np.testing.assert_array_equal(backend.gram(gradients), [[18.0, -22.0], [-22.0, 38.0]])
    np.testing.assert_array_equal(backend.gram(np.array([[3.0, 4.0]])), [[25.0]])


@pytest.mark.parametrize("n_tasks", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("n_weights", [1, 7, 8, 127, 128, 129, 1_000])
def test_gram_counts_each_product_once(n_tasks, n_weights):
    """Of small integers every sum is exact."""
    gradients = np.random.default_rng(n_weights).integers(-9, 10, (n_tasks, n_weights)).astype(np.float64)
    np.testing.assert_array_equal(kernels.gram(gradients), gradients @ gradients.T)


def test_gram_of_float32_is_summed_in_float64():
    gradients = np.random.default_rng(0).standard_normal((3, 20_000)).astype(np.float32)
    gradients[2] *= np.float32(1e-4)
    exact = gradients.astype(np.float64) @ gradients.astype(np.float64).T
    actual = kernels.gram(gradients)
    np.testing.assert_allclose(actual, exact, rtol=1e-12, atol=1e-12 * exact[0, 0])
    np.testing.assert_allclose(actual[2, 2], exact[2, 2], rtol=1e-13)


def test_gram_is_symmetric_to_the_bit():
    actual = kernels.gram(np.random.default_rng(1).standard_normal((6, 999)))
    np.testing.assert_array_equal(actual, actual.T)


def test_a_gradient_that_is_not_finite_spoils_its_own_products_only():
    gradients = np.ones((3, 10))
    gradients[1, 3] = np.nan
    products = kernels.gram(gradients)
    assert np.isnan(products[1]).all()
    np.testing.assert_array_equal(products[np.ix_([0, 2], [0, 2])], np.full((2, 2), 10.0))


@BACKENDS
@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_gradient_norms_survive_extreme_entries(backend, scale):
    gradients = np.array([[3.0, 4.0], [0.0, 0.0], [5.0, 12.0]]) * scale
    np.testing.assert_allclose(backend.gradient_norms(gradients), np.array([5.0, 0.0, 13.0]) * scale, rtol=1e-14)


@BACKENDS
def test_debiased_gram_of_hand_worked_numbers(backend):
    """Two directions in one dimension: g = (1 * 1 + 3 * 2) / 2 = 3.5; (4 * 12.25 - (1 * 1 + 9 * 4)) / 2 = 6 = (1 * 1) (3 * 2)."""
    debiased = backend.debiased_gram(np.array([[12.25]]), np.array([[1.0], [3.0]]), np.array([1.0, 4.0]))
    np.testing.assert_array_equal(debiased, [[6.0]])


@BACKENDS
def test_debiased_gram_is_the_mean_over_pairs_of_directions(backend):
    draw = np.random.default_rng(3)
    noise, differences = draw.standard_normal((7, 5)), draw.standard_normal((7, 3))
    gradients = differences.T @ noise / 7
    pairs = [
        np.outer(differences[k], differences[m]) * (noise[k] @ noise[m]) for k in range(7) for m in range(7) if k != m
    ]  # no direction meets itself
    actual = backend.debiased_gram(gradients @ gradients.T, differences, (noise * noise).sum(axis=1))
    np.testing.assert_allclose(actual, np.mean(pairs, axis=0), rtol=1e-12, atol=1e-12)


@BACKENDS
def test_debiased_gram_of_one_direction_is_undefined(backend):
    assert np.isnan(backend.debiased_gram(np.eye(2), np.ones((1, 2)), np.ones(1))).all()


def test_random_directions_inflate_the_gram_matrix_and_debiasing_takes_that_away():
    """1 + (d + 1) / N = 6.05 for linear returns, and cosines stay; with directions of their own they shrink by that."""
    n_reps, n, d = 4_000, 20, 100
    draw = np.random.default_rng(4)
    true = np.zeros((2, d))
    true[0, 0], true[1, :2] = 1.0, (0.5, np.sqrt(0.75))
    raw, debiased, own = np.zeros((2, 2)), np.zeros((2, 2)), 0.0
    for _ in range(n_reps):
        noise = draw.standard_normal((n, d))
        differences = noise @ true.T
        gradients = differences.T @ noise / n
        products = kernels.gram(gradients)
        raw += products / n_reps
        debiased += kernels.debiased_gram(products, differences, (noise * noise).sum(axis=1)) / n_reps
        other = draw.standard_normal((n, d))
        second = (other @ true[1]) @ other / n
        own += gradients[0] @ second / np.sqrt(products[0, 0] * (second @ second)) / n_reps
    np.testing.assert_allclose(np.diag(raw), 6.05, rtol=0.03)
    np.testing.assert_allclose(np.diag(debiased), 1.0, rtol=0.03)
    np.testing.assert_allclose(raw[0, 1] / np.sqrt(raw[0, 0] * raw[1, 1]), 0.5, atol=0.03)
    np.testing.assert_allclose(debiased[0, 1], 0.5, atol=0.03)
    np.testing.assert_allclose(own / 0.5, 0.165, atol=0.03)


def test_noise_of_a_tasks_returns_inflates_its_norm():
    """1 + (d + 1) / N + d tau^2 / (2 nu^2 N |g|^2), tau = 2, nu = 0.05."""
    n_reps, n, d, tau, nu = 1_000, 20, 100, 2.0, 0.05
    draw = np.random.default_rng(5)
    raw = 0.0
    for _ in range(n_reps):
        noise = draw.standard_normal((n, d))
        differences = noise[:, 0] + tau / (2.0 * nu) * (draw.standard_normal(n) - draw.standard_normal(n))
        raw += kernels.gram((differences @ noise / n)[np.newaxis])[0, 0] / n_reps
    np.testing.assert_allclose(raw, 1.0 + (d + 1) / n + d * tau**2 / (2.0 * nu**2 * n), rtol=0.03)


@BACKENDS
def test_positive_gram_leaves_a_gram_matrix_as_it_is(backend):
    gradients = np.random.default_rng(6).standard_normal((5, 3)) * np.array([[1e-6], [1.0], [1e6], [1.0], [1.0]])  # of rank 3
    gram = reference.gram(gradients)
    np.testing.assert_array_equal(backend.positive_gram(gram), gram)


@BACKENDS
def test_positive_gram_of_hand_worked_numbers(backend):
    """The cosine of 1.5 shrinks to 1, norms stay, and a task whose squared norm is estimated as negative has no gradient."""
    indefinite = np.array([[1.0, 3.0, 0.2], [3.0, 4.0, 0.2], [0.2, 0.2, -0.5]])
    expected = [[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(backend.positive_gram(indefinite), expected, rtol=1e-14)


@BACKENDS
def test_positive_gram_keeps_norms_and_has_no_negative_eigenvalue(backend):
    draw = np.random.default_rng(7)
    for _ in range(20):
        noise = draw.standard_normal((6, 6))
        indefinite = noise + noise.T + 3.0 * np.eye(6)
        positive = backend.positive_gram(indefinite)
        np.testing.assert_allclose(np.diag(positive), np.maximum(np.diag(indefinite), 0.0), rtol=1e-12)
        assert np.linalg.eigvalsh(positive).min() > -1e-12
        np.testing.assert_allclose(backend.positive_gram(positive), positive, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 16])
def test_eigen_gives_orthonormal_rows_that_rebuild_the_matrix(n):
    from fastars.kernels.symmetric import eigen

    noise = np.random.default_rng(n).standard_normal((n, n))
    matrix = noise + noise.T
    values, vectors = eigen(matrix)
    np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(matrix), atol=1e-13 * n)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(n), atol=1e-14 * n)
    np.testing.assert_allclose(vectors.T @ (values[:, np.newaxis] * vectors), matrix, atol=1e-13 * n)

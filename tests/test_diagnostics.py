"""Diagnostics of an iteration: the figures, their rows in the log, and their statistical properties."""

import importlib
import itertools
import math
import re
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastars import ARS, kernels, reference
from fastars.training.diagnostics import diagnose_tasks, estimate_gradients, gradient_rows, spread_rows
from fastars.training.diagnostics import task_rows as rows_of_tasks

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])
compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="minutes without compilation")
NONE = np.zeros(0, np.int64)
PAGE = (Path(__file__).parent.parent / "docs" / "diagnostics.md").read_text(encoding="utf-8")
TASKS = ("speed", "energy", "comfort")


def estimated(backend, returns, deltas, sigma):
    """`estimate_gradients` from returns (N, 2) or (N, 2, T) and directions (N, d)."""
    n, d = deltas.shape
    returns = returns if returns.ndim == 3 else returns[:, :, np.newaxis]
    noise = deltas.astype(np.float32).ravel()
    return estimate_gradients(backend, returns, noise, backend.square_sums(noise), np.arange(n) * d, sigma, d)


def diagnosed(backend, returns, deltas, sigma, selected=NONE, previous=None):
    estimate = estimated(backend, returns, deltas, sigma)
    (gradient,) = estimate.gradients
    previous = np.zeros_like(gradient) if previous is None else previous
    return backend.diagnostics(returns, estimate.kept, estimate.squares, gradient, previous, sigma, selected)


def task_rows(names, backend, estimate, returns, weights):
    return rows_of_tasks(names, diagnose_tasks(backend, estimate, returns, weights).found, weights)


def linear_returns(deltas, slopes, sigma, level=3.0):
    """Returns (N, 2, T) of tasks that are linear around theta."""
    change = sigma * deltas.astype(np.float64) @ np.asarray(slopes, np.float64).T
    return level + np.stack([change, -change], axis=1)


def draw_deltas(seed, n, d):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


# --- Gradients


@BACKENDS
def test_task_differences_of_hand_worked_numbers(backend):
    returns = np.array([[[5.0, 1.0], [1.0, 0.0]], [[9.0, np.nan], [9.0, 9.0]], [[2.0, 3.0], [4.0, 4.0]]])
    kept, differences = backend.task_differences(returns, 0.5)
    np.testing.assert_array_equal(kept, [0, 2])  # of direction 1 one task has no return, so none of it counts
    np.testing.assert_array_equal(differences, [[4.0, 1.0], [-2.0, -1.0]])


@BACKENDS
def test_task_gradients_and_squares_of_hand_worked_numbers(backend):
    # Directions (1, 0) and (0, 2), N = 2.
    noise, indices, gradients = np.array([1, 0, 0, 2], np.float32), np.array([0, 2]), np.full((2, 2), 9.0)
    backend.task_gradients(np.array([[4.0, 1.0], [-2.0, 3.0]]), noise, indices, gradients)
    np.testing.assert_array_equal(gradients, [[2.0, -2.0], [0.5, 3.0]])
    np.testing.assert_array_equal(backend.direction_squares(noise, backend.square_sums(noise), indices, 2), [1.0, 4.0])


@BACKENDS
@pytest.mark.parametrize("n_weights", [1, 511, 512, 513, 1_024, 1_500, 3_000])
def test_direction_squares_are_those_of_the_entries(backend, n_weights):
    noise, indices = (
        np.random.default_rng(1).standard_normal(4_097).astype(np.float32),
        np.array([0, 1, 511, 512, 513, 1_024, 1_097]),
    )
    squares = backend.direction_squares(noise, backend.square_sums(noise), indices, n_weights)
    expected = [np.sum(noise[i : i + n_weights].astype(np.float64) ** 2) for i in indices]
    np.testing.assert_allclose(squares, expected, rtol=1e-12)


@BACKENDS
def test_task_gradients_without_directions_are_zero(backend):
    gradients = np.full((3, 2), 9.0)
    backend.task_gradients(np.zeros((0, 3)), np.ones(4, np.float32), NONE, gradients)
    np.testing.assert_array_equal(gradients, np.zeros((3, 2)))


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("n", [1, 7, 8, 19])
def test_task_gradients_are_weighted_sums_to_the_bit(n, n_tasks):
    draw = np.random.default_rng(n)
    noise, indices = draw.standard_normal(5_000).astype(np.float32), draw.integers(0, 3_900, n)
    differences, gradients, alone = draw.standard_normal((n, n_tasks)), np.empty((n_tasks, 1_100)), np.empty(1_100)
    kernels.task_gradients(differences, noise, indices, gradients)
    for i in range(n_tasks):
        kernels.weighted_sum(differences[:, i].copy(), noise, indices, alone)
        np.testing.assert_array_equal(gradients[i], alone / n)


def test_estimate_has_the_same_bits_on_any_number_of_threads():
    draw = np.random.default_rng(4)
    noise, indices = draw.standard_normal(200_000).astype(np.float32), draw.integers(0, 150_000, 23)
    returns = draw.standard_normal((23, 2, 3))
    returns[5] = np.nan
    sums = kernels.square_sums(noise)
    one, three = (estimate_gradients(kernels, returns, noise, sums, indices, 0.05, 50_000, n) for n in (1, 3))
    assert len(one.kept) == 22
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)


# --- The gradient of the reward


@BACKENDS
def test_diagnostics_of_hand_worked_numbers(backend):
    # Two directions (1, 0) and (0, 2), sigma 0.5: d = (4, -2), g = (4, 0)/2 + (0, -4)/2 = (2, -2), S2 = 16 * 1 + 4 * 4 = 32.
    returns, deltas = np.array([[5.0, 1.0], [2.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 2.0]])
    result = diagnosed(backend, returns, deltas, 0.5, np.array([0, 1]), np.array([3.0, 0.0]))
    assert result.grad_norm == pytest.approx(math.sqrt(8))
    assert result.grad_norm_sq == pytest.approx(8)
    assert result.grad_norm_debiased == pytest.approx(0.0, abs=1e-7)  # (4 * 8 - 32) / 2
    assert result.noise_trace == pytest.approx((32 - 2 * 8) / 2)
    assert result.n_eff_dirs == pytest.approx(36 / 20)
    assert result.parity_ratio == 0.0  # both sums are 6
    assert result.topb_cut == pytest.approx(4 / 5)
    assert result.cos_prev == pytest.approx(math.sqrt(0.5))


@BACKENDS
def test_diagnostics_have_the_published_formulas(backend):
    draw = np.random.default_rng(1)
    n, d, sigma = 40, 30, 0.05
    deltas, previous = draw_deltas(1, n, d), draw.standard_normal(d)
    returns = draw.normal(10, 3, (n, 2))
    selected = np.array([3, 5, 8])
    result = diagnosed(backend, returns, deltas, sigma, selected, previous)
    d_k, q_k = (returns[:, 0] - returns[:, 1]) / (2 * sigma), (deltas.astype(np.float64) ** 2).sum(axis=1)
    gradient = d_k @ deltas / n
    s2, g2 = (d_k**2 * q_k).sum(), gradient @ gradient
    debiased = math.sqrt(max(0, (n**2 * g2 - s2) / (n * (n - 1))))
    trace = (s2 - n * g2) / (n * (n - 1))
    assert debiased > 0
    expected = {
        "grad_norm": math.sqrt(g2),
        "grad_norm_sq": g2,
        "grad_norm_debiased": debiased,
        "noise_trace": trace,
        "snr": debiased / math.sqrt(trace),
        "efficiency": debiased**2 / trace * (d + 1) / n,
        "n_eff_dirs": np.abs(d_k).sum() ** 2 / (d_k**2).sum(),
        "parity_ratio": np.var(returns.sum(axis=1)) / np.var(returns[:, 0] - returns[:, 1]),
        "sigma_ratio": np.std(returns) / (sigma * debiased),
        "topb_cut": returns[selected].max(axis=1).min() / returns.max(),
        "cos_prev": gradient @ previous / math.sqrt(g2 * (previous @ previous)),
    }
    assert result._asdict() == pytest.approx(expected, rel=1e-11)


@BACKENDS
def test_diagnostics_of_a_linear_return_without_noise(backend):
    """Averages that follow from the formulas: efficiency 1, n_eff_dirs 0.64 N, parity_ratio 0, sigma_ratio 1."""
    draw = np.random.default_rng(2)
    n, d, sigma = 200, 50, 0.1
    results = []
    for seed in range(20):
        deltas, slope = draw_deltas(seed, n, d), draw.standard_normal(d)
        returns = linear_returns(deltas, [slope], sigma)[:, :, 0]
        others = draw_deltas(seed + 99, n, d)
        before = estimated(backend, linear_returns(others, [slope], sigma), others, sigma).gradients[0]
        results.append(diagnosed(backend, returns, deltas, sigma, np.arange(n), before))
    mean = {name: np.mean([getattr(result, name) for result in results]) for name in kernels.Diagnostics._fields}
    assert 0.8 < mean["efficiency"] < 1.2
    assert mean["snr"] == pytest.approx(math.sqrt(n / (d + 1)), rel=0.05)
    assert mean["n_eff_dirs"] == pytest.approx(2 / math.pi * n, rel=0.05)
    assert mean["parity_ratio"] == pytest.approx(0.0, abs=1e-20)
    assert mean["sigma_ratio"] == pytest.approx(1.0, abs=0.1)
    assert mean["cos_prev"] == pytest.approx(1 / (1 + (d + 1) / n), abs=0.03)


@BACKENDS
def test_noise_of_returns_shows_in_parity_sigma_ratio_and_efficiency(backend):
    draw = np.random.default_rng(3)
    n, d, sigma, tau = 400, 10, 0.05, 0.5
    deltas, slope = draw_deltas(3, n, d), draw.standard_normal(d)
    returns = linear_returns(deltas, [slope], sigma)[:, :, 0] + draw.normal(0, tau, (n, 2))
    result = diagnosed(backend, returns, deltas, sigma)
    expected = tau**2 / (2 * sigma**2 * (slope @ slope) + tau**2)
    assert result.parity_ratio == pytest.approx(expected, abs=0.15)
    assert result.sigma_ratio > 1.5
    assert result.efficiency < 0.5


@BACKENDS
def test_curvature_shows_as_a_parity_ratio_above_one(backend):
    deltas = draw_deltas(5, 60, 4)
    steep = linear_returns(deltas, [[0.1, 0, 0, 0]], 0.5)[:, :, 0] - 0.5 * ((0.5 * deltas) ** 2).sum(axis=1, keepdims=True)
    assert diagnosed(backend, steep, deltas, 0.5).parity_ratio > 1


@BACKENDS
def test_diagnostics_leave_out_pairs_that_are_not_finite(backend):
    deltas = np.array([[1.0, 0.0], [3.0, 3.0], [0.0, 2.0]])
    with_gap = np.array([[5.0, 1.0], [np.nan, 99.0], [2.0, 4.0]])
    result = diagnosed(backend, with_gap, deltas, 0.5, np.array([0, 2]))
    expected = diagnosed(backend, with_gap[[0, 2]], deltas[[0, 2]], 0.5, np.array([0, 1]))
    np.testing.assert_array_equal(result, expected)


@BACKENDS
def test_diagnostics_of_one_direction_know_no_variance(backend):
    result = diagnosed(backend, np.array([[3.0, 1.0]]), np.ones((1, 2)), 0.5, np.array([0]), np.array([-1.0, -1.0]))
    assert result.n_eff_dirs == result.topb_cut == 1.0
    assert result.cos_prev == pytest.approx(-1.0)
    for name in ("grad_norm_debiased", "noise_trace", "snr", "efficiency", "parity_ratio", "sigma_ratio"):
        assert math.isnan(getattr(result, name))


@BACKENDS
def test_diagnostics_of_equal_returns_are_undefined_but_raise_nothing(backend):
    result = diagnosed(backend, np.full((3, 2), 0.0), np.ones((3, 2)), 0.5, np.arange(3), np.ones(2))
    assert (result.grad_norm, result.grad_norm_debiased, result.noise_trace) == (0.0, 0.0, 0.0)
    assert all(math.isnan(value) for value in result[4:])


@BACKENDS
def test_diagnostics_without_a_finite_pair_are_undefined(backend):
    result = diagnosed(backend, np.full((2, 2), np.nan), np.ones((2, 2)), 0.5, NONE, np.ones(2))
    assert (result.grad_norm, result.grad_norm_sq) == (0.0, 0.0)
    assert all(math.isnan(value) for value in result[2:])


@BACKENDS
@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_ratios_among_the_diagnostics_survive_extreme_returns(backend, scale):
    draw = np.random.default_rng(3)
    deltas, previous = draw_deltas(3, 9, 5), draw.standard_normal(5)
    returns = 2.0 + np.stack([deltas.sum(axis=1), -deltas.sum(axis=1)], axis=1) + draw.normal(0.0, 0.1, (9, 2))
    plain = diagnosed(backend, returns, deltas, 0.5, np.arange(4), previous)
    scaled = diagnosed(backend, returns * scale, deltas, 0.5, np.arange(4), previous * scale)
    assert plain.snr > 0.5
    for name in ("snr", "efficiency", "n_eff_dirs", "parity_ratio", "sigma_ratio", "topb_cut", "cos_prev"):
        assert getattr(scaled, name) == pytest.approx(getattr(plain, name), rel=1e-11)
    assert scaled.grad_norm == pytest.approx(plain.grad_norm * scale, rel=1e-14)


# --- Statistics of random directions (4000 iterations of N = 20 directions in d = 100 dimensions)

N, D, SIGMA, REPEATS = 20, 100, 0.05, 4_000


def slopes_with_cosine_half():
    slopes = np.random.default_rng(11).standard_normal((2, D))
    slopes /= np.linalg.norm(slopes, axis=1, keepdims=True)
    slopes[1] -= (slopes[0] @ slopes[1]) * slopes[0]
    slopes[1] = 0.5 * slopes[0] + math.sqrt(0.75) * slopes[1] / np.linalg.norm(slopes[1])
    return slopes * [[1.0], [20.0]]


def gram_matrices(tau, seed):
    """Mean raw and debiased Gram matrix of two linear tasks, the second with return noise tau; and the mean of sigma_R."""
    slopes, draw = slopes_with_cosine_half(), np.random.default_rng(seed)
    raw, debiased, std = np.zeros((2, 2)), np.zeros((2, 2)), 0.0
    noise = draw.standard_normal((REPEATS, N, D)).astype(np.float32)
    returns = np.stack([SIGMA * noise @ slopes.T, -SIGMA * noise @ slopes.T], axis=2)
    returns[..., 1] += tau * draw.standard_normal(returns.shape[:-1])
    for k in range(REPEATS):
        estimate = estimated(kernels, returns[k], noise[k], SIGMA)
        gram = kernels.gram(estimate.gradients)
        raw += gram / REPEATS
        debiased += kernels.debiased_gram(gram, estimate.differences, estimate.squares) / REPEATS
        std += returns[k, :, :, 0].std() / REPEATS
    return raw, debiased, std


@compiled
def test_raw_gram_is_inflated_and_debiased_gram_is_not():
    slopes = slopes_with_cosine_half()
    raw, debiased, std = gram_matrices(0.0, 12)
    np.testing.assert_allclose(np.diag(raw) / np.diag(slopes @ slopes.T), 1 + (D + 1) / N, rtol=0.03)
    np.testing.assert_allclose(debiased / (slopes @ slopes.T), 1.0, atol=0.06)  # 3 of its standard errors
    assert std / SIGMA == pytest.approx(0.985, abs=0.02)  # of a linear return: sigma |g| sqrt(chi^2_N / N)


@compiled
def test_noise_of_returns_inflates_the_raw_norm_alone():
    tau, norm_sq = 2.0, 400.0
    raw, debiased, _ = gram_matrices(tau, 13)
    assert raw[1, 1] / norm_sq == pytest.approx(1 + (D + 1) / N + D * tau**2 / (2 * SIGMA**2 * N * norm_sq), rel=0.03)
    assert debiased[1, 1] / norm_sq == pytest.approx(1.0, abs=0.2)


def test_directions_of_their_own_shrink_the_cosines_of_tasks():
    slopes, draw = slopes_with_cosine_half(), np.random.default_rng(14)
    products = np.zeros((2, 2))
    for _ in range(REPEATS):
        gradients = [deltas.T @ (deltas @ slope) / N for slope in slopes for deltas in [draw.standard_normal((N, D))]]
        products += np.array(gradients) @ np.array(gradients).T
    cosine = products[0, 1] / math.sqrt(products[0, 0] * products[1, 1])
    assert cosine / 0.5 == pytest.approx(1 / (1 + (D + 1) / N), abs=0.03)


# --- Tasks


@BACKENDS
def test_task_diagnostics_of_hand_worked_numbers(backend):
    # Norms 3, 4 and 0 (a debiased square of -1 is none); G - M = (16, 9, 2) on the diagonal, so snr = 3/4, 4/3 and 0.
    debiased = np.array([[9.0, -6.0, 1.0], [-6.0, 16.0, 1.0], [1.0, 1.0, -1.0]])
    gram = debiased + np.diag([16.0, 9.0, 2.0])
    returns = np.array([[[1.0, 0.0, 5.0], [3.0, 4.0, 5.0]], [[1.0, 0.0, 5.0], [3.0, 4.0, 5.0]]])
    result = backend.task_diagnostics(returns, np.array([2.0, 0.5, 1.0]), gram, debiased)
    np.testing.assert_array_equal(result.returns, [2.0, 2.0, 5.0])
    np.testing.assert_array_equal(result.stds, [1.0, 2.0, 0.0])
    np.testing.assert_array_equal(result.norms, [3.0, 4.0, 0.0])
    np.testing.assert_array_equal(result.weighted_norms, [6.0, 2.0, 0.0])
    np.testing.assert_allclose(result.snr, [3 / 4, 4 / 3, 0.0])
    np.testing.assert_allclose(result.cosines, [[1.0, -0.5, np.nan], [-0.5, 1.0, np.nan], [np.nan] * 3])
    np.testing.assert_allclose(result.similarities, [[1.0, 24 / 25, np.nan], [24 / 25, 1.0, np.nan], [np.nan] * 3])
    assert (result.conflicts, result.min_cos) == (1.0, pytest.approx(-0.5))
    assert result.min_similarity == pytest.approx(24 / 25)
    assert math.isnan(result.var_ratio)  # a task that never varies has no scale


@BACKENDS
def test_pareto_gap_and_smallest_cosine_of_hand_worked_numbers(backend):
    returns, weights = np.random.default_rng(0).standard_normal((5, 2, 2)), np.ones(2)
    excess = backend.task_diagnostics(returns, weights, np.eye(2), np.array([[1.0, -5.0], [-5.0, 1.0]]))
    assert excess.min_cos == -1.0  # an unbiased estimate may be beyond
    opposite, right = np.array([[4.0, -4.0], [-4.0, 4.0]]), np.array([[4.0, 0.0], [0.0, 4.0]])
    assert backend.task_diagnostics(returns, weights, opposite, opposite).pareto_gap == pytest.approx(0.0, abs=1e-7)
    assert backend.task_diagnostics(returns, weights, right, right).pareto_gap == pytest.approx(math.sqrt(0.5))
    raw, debiased = np.diag([2.0, 6.0]), np.diag([1.0, 4.0])  # mgda(raw) is (3/4, 1/4), of mean norm 3/2; mgda(debiased) (4/5, 1/5)
    assert backend.task_diagnostics(returns, weights, raw, debiased).pareto_gap == pytest.approx(math.sqrt(13 / 16) / 1.5)
    one = backend.task_diagnostics(returns[:, :, :1], weights[:1], right[:1, :1], right[:1, :1])
    assert (one.pareto_gap, one.var_ratio, one.conflicts) == (1.0, 1.0, 0.0)
    assert math.isnan(one.min_cos)


@BACKENDS
def test_task_diagnostics_of_one_direction_or_none_are_undefined(backend):
    for n in (0, 1):
        undefined = np.full((2, 2), np.nan)
        result = backend.task_diagnostics(np.ones((n, 2, 2)), np.ones(2), np.ones((2, 2)), undefined)
        np.testing.assert_array_equal(result.returns, [1.0, 1.0] if n else [np.nan] * 2)
        for name in ("norms", "snr", "cosines", "conflicts", "min_cos", "min_similarity", "pareto_gap", "var_ratio"):
            assert np.isnan(getattr(result, name)).all()


@settings(max_examples=60)
@given(seed=st.integers(0, 999), n=st.integers(1, 9), n_tasks=st.integers(1, 4), power=st.integers(-100, 100), gap=st.booleans())
def test_figures_are_finite_or_nan_and_keep_their_scale(seed, n, n_tasks, power, gap):
    draw = np.random.default_rng(seed)
    deltas, returns = draw_deltas(seed, n, 6), np.round(draw.normal(0, 3, (n, 2, n_tasks)))
    if gap:
        returns[draw.integers(n), 1, 0] = np.nan
    rows = []
    for scale in (1.0, 2.0**power):
        names = TASKS[:n_tasks] if n_tasks < 4 else (*TASKS, "safety")
        estimate = estimated(kernels, returns * scale, deltas, 0.5)
        weighted, weights = returns.sum(axis=2) * scale, np.ones(n_tasks)
        row = gradient_rows(kernels, estimate, estimate.gradients.sum(axis=0), None, weighted, 0.5, estimate.kept)
        rows.append(row | task_rows(names, kernels, estimate, returns * scale, weights))
    for key, value in rows[0].items():
        assert not math.isinf(value), key
        power_of_scale = 2 if key in ("gradient/norm_sq", "gradient/noise_trace") else 1 if key.endswith(("norm", "return")) else 0
        power_of_scale = 1 if key == "gradient/norm_debiased" else power_of_scale
        expected = value * 2.0 ** (power * power_of_scale)
        assert rows[1][key] == pytest.approx(expected, rel=1e-6, abs=1e-7 * abs(expected), nan_ok=True), key


# --- The noise of returns


@BACKENDS
@pytest.mark.parametrize(("n", "m"), [(1, 3), (4, 3), (8, 4), (5, 10), (128, 5)])
def test_brown_forsythe_is_scipys(backend, n, m):
    for seed in range(5):
        draw = np.random.default_rng(seed)
        returns = draw.normal(3.0, draw.uniform(1, 1 + seed, (n, 2, 1)), (n, 2, m))
        expected = stats.levene(*returns.reshape(-1, m), center="median")
        np.testing.assert_allclose(backend.brown_forsythe(returns), expected, rtol=1e-10)


@BACKENDS
def test_brown_forsythe_has_the_tail_of_f_far_out_and_close_in(backend):
    part = importlib.import_module(f"{backend.__name__}.heteroscedasticity")
    near, far = [(1e-9, 3, 8), (0.5, 1, 4), (1.0, 511, 2_048), (0.97, 9_999, 90_000)], [(3.0, 15, 64), (60.0, 7, 40), (1e6, 15, 32)]
    for statistic, d1, d2 in near + far:
        assert part._f_tail(statistic, d1, d2) == pytest.approx(stats.f.sf(statistic, d1, d2), rel=1e-10)


@BACKENDS
def test_brown_forsythe_is_undefined_where_it_says_nothing(backend):
    draw = np.random.default_rng(0)
    for returns in (draw.normal(0, 1, (6, 2, 2)), draw.normal(0, 1, (6, 2, 1)), np.ones((6, 2, 5)), np.full((6, 2, 5), np.nan)):
        assert np.isnan(backend.brown_forsythe(returns)).all()


@BACKENDS
def test_brown_forsythe_leaves_out_candidates_that_are_not_finite(backend):
    returns = np.random.default_rng(0).normal(0, 1, (6, 2, 4))
    expected = stats.levene(*np.delete(returns.reshape(-1, 4), 3, axis=0), center="median")
    returns[1, 1, 2] = np.inf
    np.testing.assert_allclose(backend.brown_forsythe(returns), expected, rtol=1e-10)


def breusch_pagan(returns, lengths):
    """statsmodels' het_breuschpagan: of squared residuals on regressors with a constant, (N R^2, its p)."""
    mean, length = returns.mean(axis=2), lengths.mean(axis=(1, 2))
    u = mean.mean(axis=1) - mean.mean()
    regressors = np.stack([np.abs(mean[:, 0] - mean[:, 1]), length])
    regressors = regressors[np.ptp(regressors, axis=1) > 0]
    x = np.vstack([np.ones(len(u)), regressors]).T
    left = u**2 - x @ np.linalg.lstsq(x, u**2, rcond=None)[0]
    statistic = len(u) * (1 - left @ left / np.sum((u**2 - np.mean(u**2)) ** 2))
    return statistic, stats.chi2.sf(statistic, len(regressors))


@BACKENDS
@pytest.mark.parametrize("m", [1, 2])
def test_koenker_is_breusch_and_pagans_lagrange_multiplier(backend, m):
    for seed in range(5):
        draw = np.random.default_rng(seed)
        returns, lengths = draw.normal(300.0, 5.0, (20, 2, m)), draw.integers(10, 500, (20, 2, m))
        np.testing.assert_allclose(backend.koenker(returns, lengths), breusch_pagan(returns, lengths), rtol=1e-9)
        constant = np.full_like(lengths, 500)  # of one length, which leaves one regressor
        np.testing.assert_allclose(backend.koenker(returns, constant), breusch_pagan(returns, constant), rtol=1e-9)


@BACKENDS
def test_koenker_counts_no_regressor_that_does_not_vary(backend):
    """Not even one whose sum is rounded: pairs of 32 / 3 steps in the mean."""
    draw = np.random.default_rng(1)
    returns, constant = draw.normal(300.0, 5.0, (20, 2, 3)), np.full((20, 2, 3), 500)
    assert backend.koenker(returns, np.tile([10, 11, 11], (20, 2, 1))) == backend.koenker(returns, constant)


@BACKENDS
def test_koenker_is_undefined_where_it_says_nothing(backend):
    draw = np.random.default_rng(0)
    many, lengths = draw.integers(10, 500, (49, 2, 1)), draw.integers(10, 500, (9, 2, 1))
    assert np.isnan(backend.koenker(np.full((49, 2, 1), 0.1), many)).all()  # whose mean is not 0.1 to the last bit
    linear = 3.0 + np.stack([np.arange(9.0), -np.arange(9.0)], axis=1)[:, :, np.newaxis]
    for returns in (np.full((9, 2, 1), 0.3), linear, np.full((9, 2, 1), np.nan)):
        assert np.isnan(backend.koenker(returns, lengths)).all()
    assert np.isnan(backend.koenker(draw.normal(0, 1, (3, 2, 1)), lengths[:3])).all()
    gap = draw.normal(0, 1, (9, 2, 1))
    expected = backend.koenker(gap[1:], lengths[1:])
    gap[0, 1, 0] = np.nan
    assert backend.koenker(gap, lengths) == expected


def test_noise_tests_see_noise_that_differs_and_no_other():
    """At p < 0.01, of 300: noise that grows with the slope is found often, noise that does not seldom."""
    draw = np.random.default_rng(6)
    found = {(name, differs): 0 for name in ("bf", "bp") for differs in (False, True)}
    for _ in range(300):
        slope = draw.standard_normal((32, 1, 1)) * np.array([[[1.0], [-1.0]]])
        for differs in (False, True):
            noise = draw.normal(0, 1, (32, 2, 4)) * (0.2 + 2 * np.abs(slope) if differs else 1.0)
            returns = slope + noise
            found["bf", differs] += kernels.brown_forsythe(returns)[1] < 0.01
            found["bp", differs] += kernels.koenker(returns, np.full((32, 2, 4), 200))[1] < 0.01
    assert found["bf", True] > 250
    assert found["bp", True] > 60
    assert found["bf", False] <= 9
    assert found["bp", False] <= 9


# --- Rows of the log


@BACKENDS
def test_rows_have_the_figures_by_their_names(backend):
    deltas = draw_deltas(8, 12, 5)
    returns = linear_returns(deltas, np.random.default_rng(8).standard_normal((3, 5)), 0.1)
    weights = np.array([1.0, 0.5, 2.0])
    estimate = estimated(backend, returns, deltas, 0.1)
    gradient, weighted = weights @ estimate.gradients, np.einsum("t,nst->ns", weights, returns)
    rows = gradient_rows(backend, estimate, gradient, None, weighted, 0.1, np.arange(4))
    assert rows["gradient/norm"] == pytest.approx(np.linalg.norm(gradient))
    assert rows["gradient/norm"] ** 2 == pytest.approx(rows["gradient/norm_sq"])
    assert rows["gradient/norm_debiased"] / math.sqrt(rows["gradient/noise_trace"]) == pytest.approx(rows["gradient/snr"])
    assert rows["gradient/efficiency"] == pytest.approx(rows["gradient/snr"] ** 2 * 6 / 12)
    assert math.isnan(rows["gradient/cos_prev"])
    again = gradient_rows(backend, estimate, 2.0 * gradient, gradient, weighted, 0.1, np.arange(4))
    assert again["gradient/cos_prev"] == pytest.approx(1.0)
    tasks = task_rows(TASKS, backend, estimate, returns, weights)
    assert tasks["tasks/energy/return"] == pytest.approx(3.0)
    assert tasks["tasks/energy/weighted_grad_norm"] == pytest.approx(0.5 * tasks["tasks/energy/grad_norm"])
    assert tasks["tasks/comfort/weight"] == 2.0
    pairs = [tasks[f"tasks/cos/{a}/{b}"] for a, b in [("speed", "energy"), ("speed", "comfort"), ("energy", "comfort")]]
    assert tasks["tasks/min_cos"] == min(pairs)
    norms = [tasks[f"tasks/{name}/grad_norm"] for name in TASKS]
    similarities = [2 * a * b / (a**2 + b**2) for a, b in itertools.combinations(norms, 2)]
    assert tasks["tasks/min_similarity"] == pytest.approx(min(similarities))
    assert tasks["tasks/conflicts"] == sum(cos < 0 for cos in pairs)
    assert all(isinstance(value, float) for value in (rows | tasks).values())


@BACKENDS
@pytest.mark.parametrize("failed", [np.nan, np.inf])
def test_task_rows_leave_out_directions_that_are_not_finite(backend, failed):
    deltas, kept, weights = draw_deltas(6, 7, 4), [0, 1, 3, 4, 6], np.array([1.0, 2.0])
    returns = np.random.default_rng(6).standard_normal((7, 2, 2))
    whole = task_rows("ab", backend, estimated(backend, returns[kept], deltas[kept], 0.1), returns[kept], weights)
    returns[2, 0, 1] = returns[5, 1, 0] = failed
    rows = task_rows("ab", backend, estimated(backend, returns, deltas, 0.1), returns, weights)
    assert math.isfinite(rows["tasks/a/return"])
    assert rows == pytest.approx(whole, rel=1e-9, nan_ok=True)


def test_rows_of_many_tasks_leave_out_the_cosines_of_pairs():
    returns, names = np.random.default_rng(1).standard_normal((9, 2, 5)), list("abcde")
    rows = task_rows(names, kernels, estimated(kernels, returns, draw_deltas(1, 9, 4), 0.1), returns, np.ones(5))
    assert not any(key.startswith("tasks/cos/") for key in rows)
    assert -1 <= rows["tasks/min_cos"] <= 1


@BACKENDS
def test_an_iteration_without_a_finite_pair_is_not_compared_with(backend):
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=6, seed=0, backend="numba" if backend is kernels else "numpy")
    draw, gradients = np.random.default_rng(2), []
    for has_returns in (True, False, True):
        model.ask()
        model.tell(draw.standard_normal(12) if has_returns else np.full(12, np.nan))
        gradients.append(model.state.gradient)
    first, kept, last = gradients
    assert kept is first
    cosine = first @ last / np.linalg.norm(first) / np.linalg.norm(last)
    assert model.record["gradient/cos_prev"] == pytest.approx(cosine)


@BACKENDS
def test_spread_rows_take_the_test_that_the_episodes_allow(backend):
    draw = np.random.default_rng(3)
    for m, key in ((1, "returns/het_bp_p"), (3, "returns/het_bp_p"), (4, "returns/het_bf_p")):
        rows = spread_rows(backend, draw.standard_normal((9, 2, m)), draw.integers(10, 99, (9, 2, m)))
        assert list(rows) == [key]
        assert 0 < rows[key] < 1


# --- The page


@compiled
def test_the_program_on_the_page_prints_what_is_below_it(capsys):
    program, printed = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL).groups()
    exec(compile(program, "diagnostics.md", "exec"), {})
    assert capsys.readouterr().out == printed


def test_every_row_is_on_the_page():
    deltas, returns = draw_deltas(0, 6, 4), np.random.default_rng(0).standard_normal((6, 2, 3))
    estimate = estimated(kernels, returns, deltas, 0.1)
    rows = gradient_rows(kernels, estimate, estimate.gradients[0], None, returns[:, :, 0], 0.1, estimate.kept)
    rows |= task_rows(TASKS, kernels, estimate, returns, np.ones(3))
    assert len(rows) > 30
    for key in rows:
        assert f"{key.split('/')[-1]}`" in PAGE or "/cos/" in key, key

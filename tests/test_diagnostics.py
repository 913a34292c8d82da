"""What an iteration says about itself: the figures, their rows in the log, and the statistics that they promise."""

import math

import numpy as np
import pytest
from scipy import stats

from fastars import kernels, reference
from fastars.diagnostics import Diagnosis, estimate_gradients

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])
NONE = np.zeros(0, np.int64)
TASKS = ("speed", "energy", "comfort")


def estimated(backend, returns, deltas, sigma):
    """`estimate_gradients` from returns (N, 2) or (N, 2, T) and directions (N, d)."""
    n, d = deltas.shape
    returns = returns if returns.ndim == 3 else returns[:, :, np.newaxis]
    return estimate_gradients(backend, returns, deltas.astype(np.float32).ravel(), np.arange(n) * d, sigma, d)


def diagnosed(backend, returns, deltas, sigma, selected=NONE, previous=None):
    estimate = estimated(backend, returns, deltas, sigma)
    (gradient,) = estimate.gradients
    previous = np.zeros_like(gradient) if previous is None else previous
    return backend.diagnostics(returns, estimate.kept, estimate.squares, gradient, previous, sigma, selected)


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
    np.testing.assert_array_equal(backend.direction_squares(noise, indices, 2), [1.0, 4.0])


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
    one, three = (estimate_gradients(kernels, returns, noise, indices, 0.05, 50_000, n) for n in (1, 3))
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
    """What the formulas promise there, on average: efficiency 1, n_eff_dirs 0.64 N, parity_ratio 0, sigma_ratio 1."""
    draw = np.random.default_rng(2)
    n, d, sigma = 200, 50, 0.1
    results = []
    for seed in range(20):
        deltas, slope = draw_deltas(seed, n, d), draw.standard_normal(d)
        returns = linear_returns(deltas, [slope], sigma)[:, :, 0]
        before = estimated(
            backend, linear_returns(draw_deltas(seed + 99, n, d), [slope], sigma), draw_deltas(seed + 99, n, d), sigma
        )
        results.append(diagnosed(backend, gradients, deltas, sigma, np.arange(n), before.gradients[0]))
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

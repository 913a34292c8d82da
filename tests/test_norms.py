"""Norms, `info` and the diagnostics."""

import math

import numpy as np
import pytest

from fastars import kernels, reference

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])
NONE = np.zeros(0, np.int64)


@BACKENDS
def test_norm_sq_and_norm_of_hand_worked_numbers(backend):
    assert backend.norm_sq(np.array([3.0, 4.0])) == 25.0
    assert backend.norm(np.array([3.0, 4.0])) == 5.0
    assert backend.norm(np.zeros(3)) == 0.0
    assert backend.norm_sq(np.zeros(0)) == backend.norm(np.zeros(0)) == 0.0


@BACKENDS
@pytest.mark.parametrize("n", [1, 63, 64, 65, 4_095, 4_096, 4_097, 10_000])
def test_norm_sq_counts_each_entry_once(backend, n):
    x = np.arange(n, dtype=np.float64)
    assert backend.norm_sq(x) == (n - 1) * n * (2 * n - 1) / 6


@BACKENDS
def test_norm_sq_adds_entries_of_a_block_in_64_sums(backend):
    for seed in range(8):  # one vector alone may give the same bits in another order
        x = np.random.default_rng(seed).standard_normal(10_001)
        total = 0.0
        for begin in range(0, len(x), 4096):
            sums = [0.0] * 64
            for k, value in enumerate(x[begin : begin + 4096].tolist()):
                sums[k % 64] += value * value
            part = 0.0
            for value in sums:
                part += value
            total += part
        assert backend.norm_sq(x) == total


@BACKENDS
def test_norm_sq_of_float32_is_summed_in_float64(backend):
    assert backend.norm_sq(np.full(3, 0.1, np.float32)) == 3 * float(np.float32(0.1)) ** 2


@BACKENDS
@pytest.mark.parametrize("scale", [1e300, 1e200, 1e-200, 1e-300, 5e-324])
def test_norm_survives_extreme_entries(backend, scale):
    assert backend.norm(np.array([3.0, 0.0, -4.0]) * scale) == pytest.approx(5 * scale, rel=1e-15)


@BACKENDS
def test_norm_of_what_is_not_finite(backend):
    assert math.isnan(backend.norm(np.array([1.0, np.nan])))
    assert math.isnan(backend.norm(np.array([np.nan])))
    assert backend.norm(np.array([1.0, -np.inf])) == np.inf


@BACKENDS
def test_info_of_hand_worked_numbers(backend):
    info = backend.info(np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([0.0, 5.0]))
    assert info.weights_norm == pytest.approx(math.sqrt(50))
    assert info.weights_norm_sq == pytest.approx(50)
    assert info.weights_std == 3.0
    assert (info.grad_norm, info.grad_norm_sq, info.step_norm) == (5.0, 25.0, 5.0)
    assert info.update_ratio == pytest.approx(5 / math.sqrt(5))


@BACKENDS
def test_info_at_theta_zero_has_no_update_ratio(backend):
    info = backend.info(np.zeros(3), np.ones(3), np.ones(3))
    assert info.weights_std == 0.0
    assert info.weights_norm == pytest.approx(math.sqrt(3))
    assert math.isnan(info.update_ratio)


def gradient_over_all(returns, deltas, sigma):
    d = (returns[:, 0] - returns[:, 1]) / (2 * sigma)
    return d @ deltas / len(d)


@BACKENDS
def test_diagnostics_of_hand_worked_numbers(backend):
    # Two directions (1, 0) and (0, 2), sigma 0.5: d = (4, -2), g = (4, 0)/2 + (0, -4)/2 = (2, -2), S2 = 16 * 1 + 4 * 4 = 32.
    noise, indices = np.array([1, 0, 0, 2], np.float32), np.array([0, 2])
    returns = np.array([[5.0, 1.0], [2.0, 4.0]])
    result = backend.diagnostics(returns, noise, indices, np.array([2.0, -2.0]), 0.5, 3.0, np.array([0, 1]))
    assert result.grad_norm == pytest.approx(math.sqrt(8))
    assert result.grad_norm_sq == pytest.approx(8)
    assert result.grad_norm_debiased == pytest.approx(0.0, abs=1e-7)  # (4 * 8 - 32) / 2
    assert result.noise_trace == pytest.approx((32 - 2 * 8) / 2)
    assert result.n_eff_dirs == pytest.approx(36 / 20)
    assert result.parity_ratio == 0.0  # both sums are 6
    assert result.topb_cut == pytest.approx(4 / 5)


@BACKENDS
def test_diagnostics_have_the_published_formulas(backend):
    draw = np.random.default_rng(1)
    n, d, sigma = 40, 30, 0.05
    deltas = draw.standard_normal((n, d)).astype(np.float32)
    returns = draw.normal(10, 3, (n, 2))
    gradient = gradient_over_all(returns, deltas.astype(np.float64), sigma)
    selected = np.array([3, 5, 8])
    result = backend.diagnostics(returns, deltas.ravel(), np.arange(n) * d, gradient, sigma, 2.5, selected)
    d_k, q_k = (returns[:, 0] - returns[:, 1]) / (2 * sigma), (deltas.astype(np.float64) ** 2).sum(axis=1)
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
        "sigma_ratio": 2.5 / (sigma * debiased),
        "topb_cut": returns[selected].max(axis=1).min() / returns.max(),
    }
    assert result._asdict() == pytest.approx(expected, rel=1e-11)


@BACKENDS
def test_diagnostics_of_a_linear_return_without_noise(backend):
    """What the formulas promise there, on average: efficiency 1, n_eff_dirs 0.64 N, parity_ratio 0, sigma_ratio 1."""
    draw = np.random.default_rng(2)
    n, d, sigma = 200, 50, 0.1
    results = []
    for _ in range(20):
        deltas, slope = draw.standard_normal((n, d)).astype(np.float32), draw.standard_normal(d)
        returns = 3.0 + sigma * np.stack([deltas @ slope, -deltas @ slope], axis=1)
        gradient, selected = gradient_over_all(returns, deltas.astype(np.float64), sigma), np.arange(n)
        std = backend.return_std(returns, selected, 0)
        results.append(backend.diagnostics(returns, deltas.ravel(), np.arange(n) * d, gradient, sigma, std, selected))
    mean = {name: np.mean([getattr(result, name) for result in results]) for name in kernels.Diagnostics._fields}
    assert 0.8 < mean["efficiency"] < 1.2
    assert mean["n_eff_dirs"] == pytest.approx(2 / math.pi * n, rel=0.05)
    assert mean["parity_ratio"] == pytest.approx(0.0, abs=1e-20)
    assert mean["sigma_ratio"] == pytest.approx(1.0, abs=0.1)


@BACKENDS
def test_diagnostics_leave_out_pairs_that_are_not_finite(backend):
    noise, indices = np.array([1, 0, 0, 2], np.float32), np.array([0, 0, 2])
    with_gap = np.array([[5.0, 1.0], [np.nan, 99.0], [2.0, 4.0]])
    gradient = np.array([2.0, -2.0])
    result = backend.diagnostics(with_gap, noise, indices, gradient, 0.5, 3.0, np.array([0, 2]))
    expected = backend.diagnostics(with_gap[[0, 2]], noise, indices[[0, 2]], gradient, 0.5, 3.0, np.array([0, 1]))
    np.testing.assert_array_equal(result, expected)


@BACKENDS
def test_diagnostics_of_one_direction_know_no_variance(backend):
    result = backend.diagnostics(np.array([[3.0, 1.0]]), np.ones(2, np.float32), np.array([0]), np.ones(2), 0.5, 1.0, np.array([0]))
    assert result.n_eff_dirs == result.topb_cut == 1.0
    for name in ("grad_norm_debiased", "noise_trace", "snr", "efficiency", "parity_ratio", "sigma_ratio"):
        assert math.isnan(getattr(result, name))


@BACKENDS
def test_diagnostics_of_equal_returns_are_undefined_but_raise_nothing(backend):
    result = backend.diagnostics(np.full((3, 2), 0.0), np.ones(4, np.float32), np.arange(3), np.zeros(2), 0.5, 0.0, np.arange(3))
    assert (result.grad_norm, result.grad_norm_debiased, result.noise_trace) == (0.0, 0.0, 0.0)
    assert all(math.isnan(value) for value in result[4:])


@BACKENDS
def test_diagnostics_without_a_finite_pair_are_undefined(backend):
    result = backend.diagnostics(np.full((2, 2), np.nan), np.ones(4, np.float32), np.arange(2), np.zeros(2), 0.5, 0.0, NONE)
    assert (result.grad_norm, result.grad_norm_sq) == (0.0, 0.0)
    assert all(math.isnan(value) for value in result[2:])


@BACKENDS
@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_ratios_among_the_diagnostics_survive_extreme_returns(backend, scale):
    draw = np.random.default_rng(3)
    deltas = draw.standard_normal((9, 5)).astype(np.float32)
    returns = 2.0 + np.stack([deltas.sum(axis=1), -deltas.sum(axis=1)], axis=1) + draw.normal(0.0, 0.1, (9, 2))
    gradient, args = gradient_over_all(returns, deltas.astype(np.float64), 0.5), (deltas.ravel(), np.arange(9) * 5)
    plain = backend.diagnostics(returns, *args, gradient, 0.5, 1.5, np.arange(4))
    scaled = backend.diagnostics(returns * scale, *args, gradient * scale, 0.5, 1.5 * scale, np.arange(4))
    assert plain.snr > 0.5
    for name in ("snr", "efficiency", "n_eff_dirs", "parity_ratio", "sigma_ratio", "topb_cut"):
        assert getattr(scaled, name) == pytest.approx(getattr(plain, name), rel=1e-11)
    assert scaled.grad_norm == pytest.approx(plain.grad_norm * scale, rel=1e-14)

"""Norms and `info`."""

import math

import numpy as np
import pytest

from fastars import kernels, reference

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])


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

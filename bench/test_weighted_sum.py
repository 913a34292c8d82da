"""The weighted sum of directions against plain reading and against stacking, and the noise table it reads."""

import numba
import numpy as np
import pytest
from numba import njit

from bench.machine import THREADS
from fastars import kernels, reference
from fastars._runtime.threads import for_blocks
from fastars.training.update import SUM_COLUMNS

N_NOISE = 25_000_000
SEED = np.uint64(1)
SHAPES = {"large": (256, 500_000), "small": (16, 8)}


@njit(nogil=True, fastmath={"reassoc"})  # a sum in any order vectorises
def read_slices(noise, indices, n_weights):
    """Read every number of the slices, and add them up so that LLVM can't remove the loop."""
    total = np.float32(0.0)
    for index in indices:
        delta = noise[index : index + n_weights]
        for k in range(n_weights):
            total += delta[k]
    return total


def stack_and_dot(weights, noise, indices, n_weights, batch_size=500):
    """Compute the sum like RLlib's ARS: slices in groups, each stacked by np.asarray, then one product in float32."""
    total = np.zeros(n_weights, np.float32)
    for start in range(0, len(indices), batch_size):
        group = [noise[index : index + n_weights] for index in indices[start : start + batch_size]]
        total += np.dot(np.asarray(weights[start : start + batch_size], np.float32), np.asarray(group, np.float32))
    return total


@pytest.fixture(scope="module")
def noise():
    return kernels.noise_table(SEED, N_NOISE)


@pytest.mark.parametrize("shape", SHAPES)
def test_weighted_sum(shape, race, record, quick, noise):
    n, n_weights = (64, 50_000) if quick and shape == "large" else SHAPES[shape]
    draw = np.random.default_rng(0)
    weights, indices = draw.standard_normal(n), draw.integers(0, N_NOISE - n_weights + 1, n)
    stacked, single = np.array([noise[i : i + n_weights] for i in indices]), weights.astype(np.float32)
    out = np.empty(n_weights)

    def serial():
        kernels.weighted_sum(weights, noise, indices, out)

    def on_threads():
        """Compute the sum like the trainer: a serial kernel on pieces of the columns, on Python threads."""
        n_pieces = -(-n_weights // SUM_COLUMNS)
        edges = [k * n_weights // n_pieces for k in range(n_pieces + 1)]
        for_blocks(
            lambda k: kernels.weighted_sum(weights, noise, indices + edges[k], out[edges[k] : edges[k + 1]]), n_pieces, THREADS
        )

    def read(n_threads):
        edges = [k * n // (4 * THREADS) for k in range(4 * THREADS + 1)]
        for_blocks(lambda k: read_slices(noise, indices[edges[k] : edges[k + 1]], n_weights), 4 * THREADS, n_threads)

    assert numba.get_num_threads() == THREADS
    expected = np.zeros(n_weights)
    reference.weighted_sum(weights, noise, indices, expected)
    for compute in (serial, on_threads):
        out[:] = np.nan
        compute()
        np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(kernels.weighted_sums(weights, noise, indices, n_weights), expected)
    np.testing.assert_allclose(stack_and_dot(weights, noise, indices, n_weights), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(single @ stacked, expected, rtol=1e-3, atol=1e-3)

    competitors = {"1 thread": serial}
    if shape == "large":
        competitors |= {
            f"{THREADS} threads": on_threads,
            f"{THREADS} threads of a prange": lambda: kernels.weighted_sums(weights, noise, indices, n_weights),
            "read, 1 thread": lambda: read(1),
            f"read, {THREADS} threads": lambda: read(THREADS),
        }
    competitors |= {
        "stack, then np.dot": lambda: stack_and_dot(weights, noise, indices, n_weights),
        "np.dot, already stacked": lambda: single @ stacked,
    }
    seconds = race(competitors, budget=8.0)
    record(kind="sum", shape=shape, n=n, n_weights=n_weights, bytes=4 * n * n_weights, seconds=seconds)


def test_noise_table(race, record, quick):
    size = 1_000_000 if quick else N_NOISE
    assert numba.get_num_threads() == THREADS
    np.testing.assert_array_equal(kernels.noise_table(SEED, 1_000_000), reference.noise_table(SEED, 1_000_000))
    out = np.empty(size, np.float32)
    seconds = race(
        {
            f"{THREADS} threads": lambda: kernels.noise_table(SEED, size),
            "1 thread": lambda: kernels.fill_noise(SEED, 0, out),
            "RandomState.randn(...).astype(float32)": lambda: np.random.RandomState(1).randn(size).astype(np.float32),
            "default_rng().standard_normal(float32)": lambda: np.random.default_rng(1).standard_normal(size, np.float32),
        },
        budget=8.0,
    )
    record(kind="noise", size=size, seconds=seconds)

"""Noise table, indices, episode seeds and candidates."""

import numba
import numpy as np
import pytest
from numpy.random import PCG64, Generator, SeedSequence

from fastars import kernels, reference
from fastars.kernels import NOISE_BLOCK

BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])
SEED = np.uint64(42)
slow_without_compilation = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="200,000 draws")


@slow_without_compilation
@BACKENDS
def test_each_block_has_numpys_generator_of_its_own(backend):
    table = backend.noise_table(SEED, 2 * NOISE_BLOCK + 100)
    assert table.dtype == np.float32
    for block in range(3):
        content = table[block * NOISE_BLOCK : (block + 1) * NOISE_BLOCK]
        normals = Generator(PCG64(SeedSequence(42, spawn_key=(0, block)))).standard_normal(NOISE_BLOCK).astype(np.float32)
        np.testing.assert_array_equal(content, normals[: len(content)])


@slow_without_compilation
@pytest.mark.parametrize("n_threads", [1, 2, 3, 4])
def test_noise_table_has_equal_content_for_any_number_of_threads(n_threads):
    if n_threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("fewer threads than that")
    before = numba.get_num_threads()
    numba.set_num_threads(n_threads)
    try:
        table = kernels.noise_table(SEED, 5 * NOISE_BLOCK + 7)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(table, reference.noise_table(SEED, 5 * NOISE_BLOCK + 7))


@slow_without_compilation
@BACKENDS
def test_a_table_filled_in_parts_is_the_whole_table(backend):
    whole = backend.noise_table(SEED, 3 * NOISE_BLOCK)
    parts = np.zeros_like(whole)
    backend.fill_noise(SEED, 0, parts[:NOISE_BLOCK])
    backend.fill_noise(SEED, 1, parts[NOISE_BLOCK:])
    np.testing.assert_array_equal(parts, whole)


@BACKENDS
def test_a_longer_table_begins_with_the_shorter_one(backend):
    np.testing.assert_array_equal(backend.noise_table(SEED, 300)[:200], backend.noise_table(SEED, 200))


@BACKENDS
def test_an_empty_table_is_empty(backend):
    assert backend.noise_table(SEED, 0).shape == (0,)


@BACKENDS
def test_sample_indices_scales_each_word_to_the_range(backend):
    indices = backend.sample_indices(SEED, 9, 1_000, 250, 100)
    words = PCG64(SeedSequence(42, spawn_key=(1, 9))).random_raw(1_000)
    assert indices.tolist() == [int(word) * 151 >> 64 for word in words]
    assert (indices.min(), indices.max()) == (0, 150)  # both ends of the table are used, and nothing beyond them


@BACKENDS
def test_sample_indices_in_a_table_of_one_direction_are_zero(backend):
    assert backend.sample_indices(SEED, 0, 5, 100, 100).tolist() == [0] * 5


@BACKENDS
def test_sample_indices_differ_between_iterations_and_seeds(backend):
    first = backend.sample_indices(SEED, 0, 8, 10**6, 10).tolist()
    assert first != backend.sample_indices(SEED, 1, 8, 10**6, 10).tolist()
    assert first != backend.sample_indices(np.uint64(43), 0, 8, 10**6, 10).tolist()
    assert first == backend.sample_indices(SEED, 0, 8, 10**6, 10).tolist()


@BACKENDS
def test_episode_seeds_are_the_upper_halves_of_the_words(backend):
    seeds = backend.episode_seeds(SEED, 4, 3, 5, False)
    words = PCG64(SeedSequence(42, spawn_key=(2, 4))).random_raw(30)
    assert seeds.dtype == np.uint64
    np.testing.assert_array_equal(seeds, (words >> np.uint64(32)).reshape(3, 2, 5))
    assert len(np.unique(seeds)) == 30


@BACKENDS
def test_common_episode_seeds_are_shared_by_the_signs_of_a_direction(backend):
    seeds = backend.episode_seeds(SEED, 4, 3, 5, True)
    words = PCG64(SeedSequence(42, spawn_key=(2, 4))).random_raw(15)
    np.testing.assert_array_equal(seeds[:, 0], (words >> np.uint64(32)).reshape(3, 5))
    np.testing.assert_array_equal(seeds[:, 1], seeds[:, 0])
    assert len(np.unique(seeds)) == 15


@BACKENDS
def test_noise_slices_are_the_directions(backend):
    noise = np.arange(10, dtype=np.float32)
    slices = backend.noise_slices(noise, np.array([7, 0]), 3)
    assert slices.dtype == np.float32
    assert slices.tolist() == [[7, 8, 9], [0, 1, 2]]


@BACKENDS
def test_noise_slices_are_copies(backend):
    noise = np.zeros(5, np.float32)
    backend.noise_slices(noise, np.array([1]), 3)[:] = 1.0
    assert not noise.any()


@BACKENDS
def test_perturb_alternates_plus_and_minus(backend):
    noise = np.array([1, 2, 3, 4], np.float32)
    candidates = backend.perturb(np.array([10.0, 20.0]), 0.5, noise, np.array([2, 0]))
    assert candidates.tolist() == [[11.5, 22.0], [8.5, 18.0], [10.5, 21.0], [9.5, 19.0]]


@BACKENDS
def test_perturb_computes_in_float64(backend):
    candidates = backend.perturb(np.array([0.0]), 0.05, np.array([0.1], np.float32), np.array([0]))
    assert candidates[0, 0] == 0.05 * float(np.float32(0.1))

"""The noise table of a run: filled as far as its directions reach, with the numbers that the whole table has there."""

import numpy as np
import pytest
from numpy.random import PCG64, Generator, SeedSequence

from fastars import ARS, kernels, reference
from fastars.kernels import NOISE_BLOCK
from fastars.samplers.noise_table import NoiseTable
from fastars.training.run import default_noise_size

SEED, SIZE = 42, 4 * NOISE_BLOCK + 100
BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])


@pytest.fixture(scope="module")
def whole():
    streams = (Generator(PCG64(SeedSequence(SEED, spawn_key=(0, block)))) for block in range(5))
    return np.concatenate([stream.standard_normal(NOISE_BLOCK) for stream in streams])[:SIZE].astype(np.float32)


def filled(table):
    """The blocks that there are."""
    return np.flatnonzero(table._is_filled).tolist()


@BACKENDS
def test_directions_are_slices_of_the_whole_table(backend, whole):
    table = NoiseTable(backend, SEED, SIZE)
    for start in (0, 700, NOISE_BLOCK - 3, 5, 2 * NOISE_BLOCK + 1, SIZE - 50, 300):
        values = table.at(np.array([start, 11]), 50)
        np.testing.assert_array_equal(values[start : start + 50], whole[start : start + 50])
    np.testing.assert_array_equal(table.whole(), whole)


@BACKENDS
def test_the_blocks_that_directions_reach_into_are_filled(backend):
    table = NoiseTable(backend, SEED, SIZE)
    table.at(np.array([NOISE_BLOCK, 2 * NOISE_BLOCK - 10]), 10)  # from its first number to its last
    assert filled(table) == [1]
    table.at(np.array([3 * NOISE_BLOCK - 9, 4 * NOISE_BLOCK + 90]), 10)
    assert filled(table) == [1, 2, 3, 4]
    table.whole()
    assert filled(table) == [0, 1, 2, 3, 4]


@BACKENDS
def test_a_direction_may_have_several_blocks(backend, whole):
    table = NoiseTable(backend, SEED, SIZE)
    n_weights = 2 * NOISE_BLOCK
    values = table.at(np.array([NOISE_BLOCK - 1]), n_weights)
    np.testing.assert_array_equal(values[NOISE_BLOCK - 1 :][:n_weights], whole[NOISE_BLOCK - 1 :][:n_weights])
    assert filled(table) == [0, 1, 2]


@BACKENDS
def test_missing_blocks_are_listed_once_in_the_order_of_the_directions(backend):
    is_filled = np.array([False, True, False, False, False])
    starts = np.array([3, 1, 3, 0, 1]) * NOISE_BLOCK
    assert backend.missing_blocks(starts, NOISE_BLOCK + 1, is_filled).tolist() == [3, 4, 2, 0]
    assert backend.missing_blocks(starts, NOISE_BLOCK, is_filled).tolist() == [3, 0]
    assert is_filled.sum() == 1


@BACKENDS
def test_blocks_are_filled_where_they_belong(backend, whole):
    table = np.zeros(SIZE, np.float32)
    backend.fill_blocks(np.uint64(SEED), np.array([4, 1]), table)
    for block in range(5):
        place = slice(block * NOISE_BLOCK, (block + 1) * NOISE_BLOCK)
        np.testing.assert_array_equal(table[place], whole[place] if block in (1, 4) else 0.0)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_the_numbers_are_the_same_for_any_number_of_threads(n_threads):
    table = NoiseTable(kernels, SEED, 1_000 * NOISE_BLOCK, n_threads)  # eight pieces
    some = np.arange(0, table.size - 9, 1_000)
    whole = kernels.noise_table(np.uint64(SEED), table.size)
    np.testing.assert_array_equal(table.at(some, 9)[some], whole[some])
    np.testing.assert_array_equal(table.whole(), whole)


def test_sums_of_squares_are_of_the_whole_table_where_directions_hold_blocks_of_them(whole):
    table = NoiseTable(kernels, SEED, SIZE)
    short = table.square_sums(511)
    assert filled(table) == []
    sums, indices = table.square_sums(512), np.arange(0, SIZE - 511, 97)
    np.testing.assert_array_equal(sums, kernels.square_sums(whole))
    both = (kernels.direction_squares(whole, each, indices, 511) for each in (short, sums))
    np.testing.assert_array_equal(*both)


def test_a_short_run_fills_no_more_than_it_needs():
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=4, seed=0)
    model.learn(1)
    indices = kernels.sample_indices(np.uint64(0), 0, 4, model.run.noise.size, model.n_weights)
    blocks = {int(place) // NOISE_BLOCK for index in indices for place in (index, index + model.n_weights - 1)}
    assert filled(model.run.noise) == sorted(blocks)


@pytest.mark.parametrize(
    ("n_weights", "size"),
    [(10, 2**22), (2**16, 2**22), (2**17, 2**23), (2**22, 2**28), (2**23, 2**28), (134_000_000, 2**28), (2**28, 2**29)],
)
def test_default_size_grows_with_the_policy_up_to_a_gibibyte(n_weights, size):
    """Red before: a network of 134 million weights, which has 0.5 GiB, asked for 32 GiB of noise."""
    assert default_noise_size(n_weights) == size

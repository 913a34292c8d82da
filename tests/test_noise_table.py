"""The noise table of a run: filled as far as its directions reach, with the numbers that the whole table has there."""

import numpy as np
import pytest
from numpy.random import PCG64, Generator, SeedSequence

from fastars import ARS, kernels, reference
from fastars.kernels import NOISE_BLOCK
from fastars.samplers.noise_table import NoiseTable

SEED, SIZE = 42, 3 * NOISE_BLOCK + 1_000
BACKENDS = pytest.mark.parametrize("backend", [kernels, reference], ids=["kernels", "reference"])


@pytest.fixture(scope="module")
def whole():
    streams = (Generator(PCG64(SeedSequence(SEED, spawn_key=(0, block)))) for block in range(4))
    return np.concatenate([stream.standard_normal(NOISE_BLOCK) for stream in streams])[:SIZE].astype(np.float32)


def drawn(table):
    """Numbers of each block that there are."""
    return table._blocks[:, 4].tolist()


@BACKENDS
def test_directions_are_slices_of_the_whole_table(backend, whole):
    table = NoiseTable(backend, SEED, SIZE)
    for start in (0, 700, NOISE_BLOCK - 3, 5, 2 * NOISE_BLOCK + 1, SIZE - 50, 300):
        values = table.at(np.array([start, 11]), 50)
        np.testing.assert_array_equal(values[start : start + 50], whole[start : start + 50])
    np.testing.assert_array_equal(table.whole(), whole)


@BACKENDS
def test_a_block_is_filled_up_to_the_last_number_that_a_direction_has_there(backend):
    table = NoiseTable(backend, SEED, SIZE)
    table.at(np.array([100, 30, 2 * NOISE_BLOCK - 4]), 10)
    assert drawn(table) == [110, NOISE_BLOCK, 6, 0]
    table.at(np.array([90]), 10)
    assert drawn(table) == [110, NOISE_BLOCK, 6, 0]
    table.whole()
    assert drawn(table) == [NOISE_BLOCK] * 3 + [1_000]


@BACKENDS
def test_a_direction_may_have_several_blocks(backend, whole):
    table = NoiseTable(backend, SEED, SIZE)
    n_weights = 2 * NOISE_BLOCK
    values = table.at(np.array([NOISE_BLOCK - 1]), n_weights)
    np.testing.assert_array_equal(values[NOISE_BLOCK - 1 :][:n_weights], whole[NOISE_BLOCK - 1 :][:n_weights])
    assert drawn(table) == [NOISE_BLOCK, NOISE_BLOCK, NOISE_BLOCK - 1, 0]


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_the_numbers_are_the_same_for_any_number_of_threads(n_threads, whole):
    table = NoiseTable(kernels, SEED, SIZE, n_threads)
    table.at(np.arange(0, SIZE - 9, 1_000), 9)
    np.testing.assert_array_equal(table.whole(), whole)


@BACKENDS
def test_a_block_goes_on_where_numpys_generator_would(backend):
    stream = PCG64(SeedSequence(SEED, spawn_key=(0, 0)))
    generator = backend.noise_generator(np.uint64(SEED), 0)
    for n in (1, 0, 899, NOISE_BLOCK - 900):
        out = np.empty(n, np.float32)
        backend.extend_noise(generator, out)
        np.testing.assert_array_equal(out, Generator(stream).standard_normal(n).astype(np.float32))
        state, increment = (int(high) << 64 | int(low) for high, low in generator.reshape(2, 2))
        assert {"state": state, "inc": increment} == stream.state["state"]


def test_sums_of_squares_are_of_the_whole_table_where_directions_hold_blocks_of_them(whole):
    table = NoiseTable(kernels, SEED, SIZE)
    short = table.square_sums(511)
    assert drawn(table) == [0, 0, 0, 0]
    sums, indices = table.square_sums(512), np.arange(0, SIZE - 511, 97)
    np.testing.assert_array_equal(sums, kernels.square_sums(whole))
    both = (kernels.direction_squares(whole, each, indices, 511) for each in (short, sums))
    np.testing.assert_array_equal(*both)


def test_a_short_run_fills_no_more_than_it_needs():
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=4, seed=0)
    model.learn(1)
    indices = kernels.sample_indices(np.uint64(0), 0, 4, model._noise_size, model.n_weights)
    assert (
        sum(drawn(model._noise_table)) == kernels.noise_reach(indices, model.n_weights, model._noise_size).sum() < 4 * NOISE_BLOCK
    )


def test_ask_and_tell_may_have_another_seed_between_them():
    """The directions that were asked for are then read from another table."""
    told = []
    for fill in (False, True):
        model = ARS("LinearPolicy", "CartPole-v1", n_delta=4, seed=0)
        model.ask()
        model.set_random_seed(1)
        if fill:
            model.noise  # noqa: B018
        model.tell(np.arange(8.0))
        told.append(model.theta)
    np.testing.assert_array_equal(*told)

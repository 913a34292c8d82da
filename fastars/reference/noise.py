"""Noise table, its indices, and the candidates made of it.

Paper symbols: delta_i is a slice of the table, sigma (the paper's nu) the deviation of the noise, theta (the paper's M) the
weights.
All that is random is a pure function of its key: `PCG64(SeedSequence(seed, spawn_key=(stream, index)))`.
"""

import itertools

import numpy as np

NOISE_BLOCK = 512
STREAM_NOISE, STREAM_INDICES, STREAM_EPISODES = 0, 1, 2


def _bits(seed, stream, index):
    return np.random.PCG64(np.random.SeedSequence(int(seed), spawn_key=(stream, int(index))))


def fill_noise(seed, first_block, out):
    """Blocks of N(0, 1) numbers, each from its own generator, written to `out`, a float32 array that starts at `first_block`."""
    for start in range(0, len(out), NOISE_BLOCK):
        block = out[start : start + NOISE_BLOCK]
        generator = np.random.Generator(_bits(seed, STREAM_NOISE, first_block + start // NOISE_BLOCK))
        block[:] = generator.standard_normal(len(block)).astype(np.float32)


def noise_table(seed, size):
    """The table: `size` float32 numbers."""
    table = np.empty(size, np.float32)
    fill_noise(seed, 0, table)
    return table


def missing_blocks(indices, n_weights, is_filled):
    """Blocks that the directions reach into and that are not filled, each once, in the order of the directions: (n,) int64."""
    reached = (range(i // NOISE_BLOCK, (i + n_weights - 1) // NOISE_BLOCK + 1) for i in indices.tolist())
    return np.array([block for block in dict.fromkeys(itertools.chain(*reached)) if not is_filled[block]], np.int64)


def fill_blocks(seed, blocks, table):
    """Some blocks, by their numbers (n,), written to their places in `table`."""
    for block in blocks.tolist():
        fill_noise(seed, block, table[block * NOISE_BLOCK : (block + 1) * NOISE_BLOCK])


def sample_indices(seed, iteration, n_delta, n_noise, n_weights):
    """Where the iteration's directions start in the table: uniform in 0 .. n_noise - n_weights, by multiplication (Lemire 2019)."""
    words = _bits(seed, STREAM_INDICES, iteration).random_raw(n_delta)
    return np.array([int(word) * (n_noise - n_weights + 1) >> 64 for word in words], np.int64)


def episode_seeds(seed, iteration, n_delta, n_episodes, common):
    """Seeds below 2**32 of the iteration's episodes, (n_delta, 2, n_episodes); `common`: both signs of a direction share them."""
    signs = 1 if common else 2
    words = _bits(seed, STREAM_EPISODES, iteration).random_raw(n_delta * signs * n_episodes)
    seeds = (words >> np.uint64(32)).reshape(n_delta, signs, n_episodes)
    return np.repeat(seeds, 2, axis=1) if common else seeds


def noise_slices(noise, indices, n_weights):
    """The directions, a row each: (n, n_weights)."""
    return np.array([noise[i : i + n_weights] for i in indices], np.float32).reshape(len(indices), n_weights)


def perturb(theta, sigma, noise, indices):
    """The candidates theta + sigma delta_i (row 2i) and theta - sigma delta_i (row 2i + 1)."""
    scaled = sigma * noise_slices(noise, indices, len(theta)).astype(np.float64)
    return np.stack([theta + scaled, theta - scaled], axis=1).reshape(-1, len(theta))

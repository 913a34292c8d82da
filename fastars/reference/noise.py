"""The noise table, indices into it, seeds of episodes, and the candidates.

Symbols: delta_i is a slice of the table, sigma (nu in the paper) the deviation of the noise, theta (M in the paper) the weights.
Every random number is a pure function of its key: `PCG64(SeedSequence(seed, spawn_key=(stream, index)))`.
"""

import itertools

import numpy as np

NOISE_BLOCK, NOISE_VERSION = 512, 1
STREAM_NOISE, STREAM_INDICES, STREAM_EPISODES = 0, 1, 2


def _bits(seed, stream, index):
    return np.random.PCG64(np.random.SeedSequence(int(seed), spawn_key=(stream, int(index))))


def fill_noise(seed, first_block, out):
    """Write blocks of N(0, 1) numbers, each from its own generator, to `out`, float32; `out` begins at block `first_block`."""
    for start in range(0, len(out), NOISE_BLOCK):
        block = out[start : start + NOISE_BLOCK]
        generator = np.random.Generator(_bits(seed, STREAM_NOISE, first_block + start // NOISE_BLOCK))
        block[:] = generator.standard_normal(len(block)).astype(np.float32)


def noise_table(seed, size):
    """Make the noise table: `size` float32 numbers."""
    table = np.empty(size, np.float32)
    fill_noise(seed, 0, table)
    return table


def noise(seed, index, n):
    """Make the numbers `index` to `index + n - 1` of the noise table without the table."""
    first = index // NOISE_BLOCK
    blocks = np.empty(index + n - first * NOISE_BLOCK, np.float32)
    fill_noise(seed, first, blocks)
    return blocks[len(blocks) - n :].copy()


def missing_blocks(indices, n_weights, is_filled):
    """List the blocks that directions need and that are not filled, each once, in the order of the directions: (n,) int64."""
    reached = (range(i // NOISE_BLOCK, (i + n_weights - 1) // NOISE_BLOCK + 1) for i in indices.tolist())
    return np.array([block for block in dict.fromkeys(itertools.chain(*reached)) if not is_filled[block]], np.int64)


def fill_blocks(seed, blocks, table):
    """Fill the blocks with these numbers (n,) in `table`."""
    for block in blocks.tolist():
        fill_noise(seed, block, table[block * NOISE_BLOCK : (block + 1) * NOISE_BLOCK])


def sample_indices(seed, iteration, n_delta, n_noise, n_weights):
    """Draw the indices at which directions start in the table: 0 .. n_noise - n_weights, by multiplication (Lemire 2019)."""
    words = _bits(seed, STREAM_INDICES, iteration).random_raw(n_delta)
    return np.array([int(word) * (n_noise - n_weights + 1) >> 64 for word in words], np.int64)


def episode_seeds(seed, iteration, n_delta, n_episodes, common):
    """Draw seeds of episodes below 2**32, (n_delta, 2, n_episodes). If `common`, both candidates of a direction share them."""
    signs = 1 if common else 2
    words = _bits(seed, STREAM_EPISODES, iteration).random_raw(n_delta * signs * n_episodes)
    seeds = (words >> np.uint64(32)).reshape(n_delta, signs, n_episodes)
    return np.repeat(seeds, 2, axis=1) if common else seeds


def noise_slices(noise, indices, n_weights):
    """Copy directions from the table, a row each: (n, n_weights)."""
    return np.array([noise[i : i + n_weights] for i in indices], np.float32).reshape(len(indices), n_weights)


def perturb(theta, sigma, noise, indices):
    """Make the candidates theta + sigma delta_i (row 2i) and theta - sigma delta_i (row 2i + 1)."""
    scaled = sigma * noise_slices(noise, indices, len(theta)).astype(np.float64)
    return np.stack([theta + scaled, theta - scaled], axis=1).reshape(-1, len(theta))


def write_candidates(theta, sigma, noise, indices, first, out):
    """Write the candidates `first`, `first + 1`, ... of `perturb` to `out` (m, n_weights), float64 or float32."""
    begin, end = first // 2, -(-(first + len(out)) // 2)
    out[:] = perturb(theta, sigma, noise, indices[begin:end])[first - 2 * begin :][: len(out)]

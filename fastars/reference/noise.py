"""Noise table, its indices, and the candidates made of it.

Paper symbols: delta_i is a slice of the table, sigma (the paper's nu) the deviation of the noise, theta (the paper's M) the
weights.
All that is random is a pure function of its key: `PCG64(SeedSequence(seed, spawn_key=(stream, index)))`.
"""

import numpy as np

NOISE_BLOCK = 65536
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


def noise_reach(indices, n_weights, n_noise):
    """How many numbers of each block of the table it takes to hold the directions: (n_blocks,) uint64."""
    reach = np.zeros(-(-n_noise // NOISE_BLOCK), np.uint64)
    for begin in indices.tolist():
        for block in range(begin // NOISE_BLOCK, (begin + n_weights - 1) // NOISE_BLOCK + 1):
            reach[block] = max(reach[block], min(begin + n_weights - block * NOISE_BLOCK, NOISE_BLOCK))
    return reach


def noise_generator(seed, block):
    """A block's PCG64 before its first number: the halves of its state and of its increment, (4,) uint64."""
    return _words(_bits(seed, STREAM_NOISE, block))


def extend_noise(generator, out):
    """Fill `out` with the next numbers of the block whose `generator` (4,) it is, which goes on."""
    bits, words = np.random.PCG64(), [int(word) for word in generator]
    bits.state = bits.state | {"state": {"state": words[0] << 64 | words[1], "inc": words[2] << 64 | words[3]}}
    out[:] = np.random.Generator(bits).standard_normal(len(out)).astype(np.float32)
    generator[:] = _words(bits)


def _words(bits):
    state = bits.state["state"]
    return np.array([state[name] >> shift & (1 << 64) - 1 for name in ("state", "inc") for shift in (64, 0)], np.uint64)


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

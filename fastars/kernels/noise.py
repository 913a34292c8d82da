"""The noise table, indices into it, seeds of episodes, and the candidates.

Symbols: delta_i is a slice of the table, sigma (nu in the paper) the deviation of the noise, theta (M in the paper) the weights.
Every random number is a pure function of its key: `PCG64(SeedSequence(seed, spawn_key=(stream, index)))`.
"""

import numpy as np
from numba import prange

from fastars._compiled.huge_pages import on_huge_pages
from fastars._compiled.jit import kernel, parallel
from fastars._compiled.rng import (
    STREAM_EPISODES,
    STREAM_INDICES,
    STREAM_NOISE,
    multiply_high,
    next_uint64,
    seed_stream,
    standard_normals,
)

# Numbers per generator. To seed a generator takes as long as to draw 40 numbers: with blocks of 65,536, a whole table took 12 %
# less time. But a short direction needs only one or two blocks: with blocks of 512, 100,000 steps on CartPole take 5 ms instead of
# 20.
NOISE_BLOCK = 512
NOISE_VERSION = 1  # of the numbers of the table, the indices and the seeds of episodes: docs/noise.md is the contract


@kernel
def fill_noise(seed, first_block, out):
    """Fill blocks of the noise table, each from its own generator.

    Parameters
    ----------
    seed : uint64
        Seed of the run.
    first_block : int
        Number of the block at which `out` starts.
    out : ndarray of float32, shape (n,)
        Written: blocks of `NOISE_BLOCK` numbers from N(0, 1), the last one shorter unless n is a multiple.
    """
    rng = np.zeros(4, np.uint64)
    for start in range(0, out.shape[0], NOISE_BLOCK):
        seed_stream(rng, np.uint64(seed), np.uint64(STREAM_NOISE), first_block + start // NOISE_BLOCK)
        standard_normals(rng, out[start : start + NOISE_BLOCK])


@parallel
def noise_table(seed, size):
    """Make the noise table, in parallel over blocks.

    Parameters
    ----------
    seed : uint64
        Seed of the run.
    size : int
        Numbers in the table; 25 million take 100 MB.

    Returns
    -------
    ndarray of float32, shape (size,)
        Numbers from N(0, 1), the same for any number of threads.
    """
    table = on_huge_pages(np.empty(size, np.float32))
    for block in prange(-(-size // NOISE_BLOCK)):
        fill_noise(seed, block, table[block * NOISE_BLOCK : (block + 1) * NOISE_BLOCK])
    return table


@kernel
def noise(seed, index, n):
    """Make numbers of the noise table without the table: `noise_table(seed, size)[index : index + n]` of any larger size.

    Parameters
    ----------
    seed : uint64
        Seed of the run.
    index : int
        Where the numbers start in the table, from 0 to 2**41 - n.
    n : int
        How many.

    Returns
    -------
    ndarray of float32, shape (n,)
        Numbers from N(0, 1).
    """
    out = on_huge_pages(np.empty(n, np.float32))
    block, first = index // NOISE_BLOCK, index % NOISE_BLOCK
    n_first = 0
    if first > 0:  # a block is drawn from its beginning
        whole = np.empty(NOISE_BLOCK, np.float32)
        n_first = min(NOISE_BLOCK - first, n)
        fill_noise(seed, block, whole[: first + n_first])
        out[:n_first] = whole[first : first + n_first]
        block += 1
    fill_noise(seed, block, out[n_first:])
    return out


@kernel
def missing_blocks(indices, n_weights, is_filled):
    """List the blocks of the noise table that directions need and that are not filled.

    Parameters
    ----------
    indices : ndarray of int64, shape (n,)
        Where each direction starts, at most n_noise - n_weights.
    n_weights : int
        Numbers in a direction.
    is_filled : ndarray of bool, shape (n_blocks,)
        True for each block of the table that is filled.

    Returns
    -------
    ndarray of int64, shape (n_missing,)
        Numbers of the blocks, each once, in the order of the directions.
    """
    missing = np.empty(indices.shape[0] * (n_weights // NOISE_BLOCK + 2), np.int64)
    n_missing = 0
    is_listed = is_filled.copy()
    for begin in indices:
        for block in range(begin // NOISE_BLOCK, (begin + n_weights - 1) // NOISE_BLOCK + 1):
            if not is_listed[block]:
                is_listed[block] = True
                missing[n_missing] = block
                n_missing += 1
    return missing[:n_missing]


@kernel
def fill_blocks(seed, blocks, table):
    """Fill some blocks of the noise table.

    Parameters
    ----------
    seed : uint64
        Seed of the run.
    blocks : ndarray of int64, shape (n,)
        Numbers of the blocks.
    table : ndarray of float32, shape (n_noise,)
        Written in these blocks.
    """
    for block in blocks:
        fill_noise(seed, block, table[block * NOISE_BLOCK : (block + 1) * NOISE_BLOCK])


@kernel
def sample_indices(seed, iteration, n_delta, n_noise, n_weights):
    """Draw the indices at which the directions of an iteration start in the noise table.

    Parameters
    ----------
    seed : uint64
        Seed of the run.
    iteration : int
        Below 2**32.
    n_delta : int
        Number of directions.
    n_noise, n_weights : int
        Numbers in the table and in a direction, n_weights <= n_noise.

    Returns
    -------
    ndarray of int64, shape (n_delta,)
        Uniform in 0 .. n_noise - n_weights, by multiplication (Lemire 2019, "Fast random integer generation in an interval",
        without his rejection: the bias is below n_noise / 2**64).
    """
    rng = np.zeros(4, np.uint64)
    seed_stream(rng, np.uint64(seed), np.uint64(STREAM_INDICES), iteration)
    places = np.uint64(n_noise - n_weights + 1)
    indices = np.empty(n_delta, np.int64)
    for i in range(n_delta):
        indices[i] = np.int64(multiply_high(next_uint64(rng), places))
    return indices


@kernel
def episode_seeds(seed, iteration, n_delta, n_episodes, common):
    """Draw the seeds of the episodes of an iteration.

    Parameters
    ----------
    seed : uint64
        Seed of the run.
    iteration : int
        Below 2**32.
    n_delta, n_episodes : int
        Directions, and episodes per candidate.
    common : bool
        True if the two candidates of a direction share their seeds.

    Returns
    -------
    ndarray of uint64, shape (n_delta, 2, n_episodes)
        Seeds below 2**32, drawn in the order of the array.
    """
    rng = np.zeros(4, np.uint64)
    seed_stream(rng, np.uint64(seed), np.uint64(STREAM_EPISODES), iteration)
    seeds = np.empty((n_delta, 2, n_episodes), np.uint64)
    for i in range(n_delta):
        for sign in range(2):
            for e in range(n_episodes):
                shared = common and sign == 1
                seeds[i, sign, e] = seeds[i, 0, e] if shared else next_uint64(rng) >> np.uint64(32)
    return seeds


@kernel
def noise_slices(noise, indices, n_weights):
    """Copy directions from the noise table.

    Parameters
    ----------
    noise : ndarray of float32, shape (n_noise,)
        The table.
    indices : ndarray of int64, shape (n,)
        Where each direction starts, at most n_noise - n_weights.
    n_weights : int
        Numbers in a direction.

    Returns
    -------
    ndarray of float32, shape (n, n_weights)
        A direction per row.
    """
    slices = on_huge_pages(np.empty((indices.shape[0], n_weights), np.float32))
    for i in range(indices.shape[0]):
        delta = noise[indices[i] :]
        for k in range(n_weights):
            slices[i, k] = delta[k]
    return slices


@kernel
def perturb(theta, sigma, noise, indices):
    """Make the antithetic candidates theta + sigma delta_i and theta - sigma delta_i.

    Parameters
    ----------
    theta : ndarray of float64, shape (n_weights,)
        Weights of the policy.
    sigma : float
        Deviation of the noise (`delta_std`).
    noise : ndarray of float32, shape (n_noise,)
        The table.
    indices : ndarray of int64, shape (n,)
        Where each direction starts.

    Returns
    -------
    ndarray of float64, shape (2 n, n_weights)
        Row 2 i is theta + sigma delta_i, row 2 i + 1 is theta - sigma delta_i.
    """
    candidates = on_huge_pages(np.empty((2 * indices.shape[0], theta.shape[0])))
    write_candidates(theta, sigma, noise, indices, 0, candidates)
    return candidates


@kernel
def write_candidates(theta, sigma, noise, indices, first, out):
    """Write some of the candidates of `perturb` to an array, which may be used again and again.

    Parameters
    ----------
    theta : ndarray of float64, shape (n_weights,)
        Weights of the policy.
    sigma : float
        Deviation of the noise (`delta_std`).
    noise : ndarray of float32, shape (n_noise,)
        The table.
    indices : ndarray of int64, shape (n,)
        Where each direction starts.
    first : int
        Number of the first candidate, a row of `perturb`.
    out : ndarray of float64 or float32, shape (m, n_weights)
        Written: the candidates `first` to `first + m - 1`. They are computed in float64, and rounded once for float32.
    """
    row = 0
    while row < out.shape[0]:
        i, sign = (first + row) // 2, (first + row) % 2
        delta, one = noise[indices[i] :], out[row]
        if sign == 0 and row + 1 < out.shape[0]:  # both candidates of a direction: theta and delta are read once
            other = out[row + 1]
            for k in range(theta.shape[0]):
                scaled = sigma * np.float64(delta[k])
                one[k] = theta[k] + scaled
                other[k] = theta[k] - scaled
            row += 2
        else:
            signed = -sigma if sign == 1 else sigma  # theta - s d and theta + (-s) d round alike
            for k in range(theta.shape[0]):
                one[k] = theta[k] + signed * np.float64(delta[k])
            row += 1

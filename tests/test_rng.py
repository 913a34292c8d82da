"""The generators inside kernels against NumPy's own, bit for bit."""

import numba
import numpy as np
import pytest
from numpy.random import PCG64, Generator, SeedSequence

from fastars._compiled import rng as _rng
from fastars._compiled.jit import kernel

SEEDS = [0, 1, 2**32 - 1, 2**32, 2**64 - 1]
KEYS = [(0, 0), (1, 0), (0, 1), (2, 123_456), (3, 2**32 - 1)]
MANY = 1_000 if numba.config.DISABLE_JIT else 1_000_000


@kernel
def draw_words(rng, n):
    words = np.empty(n, np.uint64)
    for i in range(n):
        words[i] = _rng.next_uint64(rng)
    return words


@kernel
def draw_doubles(rng, n):
    doubles = np.empty(n)
    for i in range(n):
        doubles[i] = _rng.next_double(rng)
    return doubles


@kernel
def draw_uniforms(rng, low, high, n):
    uniforms = np.empty(n)
    for i in range(n):
        uniforms[i] = _rng.uniform(rng, low, high)
    return uniforms


@kernel
def draw_normals(rng, n):
    normals = np.empty(n)
    for i in range(n):
        normals[i] = _rng.standard_normal(rng)
    return normals


@kernel
def draw_product(a, b):
    return _rng.multiply_high(a, b)


def generator(seed):
    rng = np.zeros(4, np.uint64)
    _rng.seed_generator(rng, np.uint64(seed))
    return rng


def stream(seed, key):
    rng = np.zeros(4, np.uint64)
    _rng.seed_stream(rng, np.uint64(seed), np.uint64(key[0]), key[1])
    return rng


def state_of(rng):
    state_high, state_low, increment_high, increment_low = (int(word) for word in rng)
    return {"state": state_high << 64 | state_low, "inc": increment_high << 64 | increment_low}


@pytest.mark.parametrize("seed", SEEDS)
def test_seed_generator_has_the_state_of_numpy(seed):
    assert state_of(generator(seed)) == PCG64(SeedSequence(seed)).state["state"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("seed", SEEDS)
def test_seed_stream_has_the_state_of_numpys_spawn_key(seed, key):
    assert state_of(stream(seed, key)) == PCG64(SeedSequence(seed, spawn_key=key)).state["state"]


def test_seed_generator_has_the_state_of_numpy_for_a_thousand_seeds():
    seeds = np.random.default_rng(0).integers(0, 2**64, 200 if numba.config.DISABLE_JIT else 1_000, np.uint64)
    for seed in np.concatenate([seeds[::2], seeds[1::2] >> np.uint64(32)]).tolist():
        assert state_of(generator(seed)) == PCG64(SeedSequence(seed)).state["state"]


@pytest.mark.parametrize("seed", SEEDS)
def test_words_are_numpys(seed):
    np.testing.assert_array_equal(draw_words(generator(seed), 1_000), PCG64(SeedSequence(seed)).random_raw(1_000))


def test_state_after_draws_is_numpys():
    rng, bits = generator(5), PCG64(SeedSequence(5))
    draw_words(rng, 100)
    bits.random_raw(100)
    assert state_of(rng) == bits.state["state"]


def test_doubles_are_numpys():
    np.testing.assert_array_equal(draw_doubles(generator(3), 10_000), Generator(PCG64(3)).random(10_000))


def test_uniforms_are_numpys():
    np.testing.assert_array_equal(draw_uniforms(generator(3), -0.6, -0.4, 10_000), Generator(PCG64(3)).uniform(-0.6, -0.4, 10_000))


def test_normals_are_numpys():
    np.testing.assert_array_equal(draw_normals(generator(11), MANY), Generator(PCG64(SeedSequence(11))).standard_normal(MANY))


@pytest.mark.parametrize("sizes", [(MANY,), (0, 1, 2, 997)], ids=str)
def test_many_normals_are_those_of_one_after_the_other_as_float32(sizes):
    rng, numpys = generator(11), PCG64(SeedSequence(11))
    for size in sizes:
        normals = np.empty(size, np.float32)
        _rng.standard_normals(rng, normals)
        np.testing.assert_array_equal(normals, Generator(numpys).standard_normal(size).astype(np.float32))
        assert state_of(rng) == numpys.state["state"]


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="a million draws")
def test_normals_reach_the_tail_of_the_ziggurat():
    """So that the test above has seen every branch: beyond 3.654 on both sides."""
    normals = draw_normals(generator(11), MANY)
    assert (normals > 3.6541528853610088).sum() > 50
    assert (normals < -3.6541528853610088).sum() > 50


def test_multiply_high_is_the_upper_half_of_the_product():
    words = [0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 0x123456789ABCDEF0]
    for a in words:
        for b in words:
            assert int(draw_product(np.uint64(a), np.uint64(b))) == a * b >> 64

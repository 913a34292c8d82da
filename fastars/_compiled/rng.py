"""Random numbers in kernels with the bits of NumPy: `SeedSequence`, PCG64, uniforms and normals.

`env.reset(seed=s)` of Gymnasium draws from `Generator(PCG64(SeedSequence(s)))`. Kernels draw the same numbers, so every episode
that fastars runs can be replayed in plain Gymnasium from its seed. All other random numbers of fastars (noise, indices, episode
seeds) come from `SeedSequence(seed, spawn_key=(stream, index))`: a pure function of its key, with no hidden state.

A generator is a `uint64[4]` array, `(state_high, state_low, increment_high, increment_low)`, changed in place.

Sources: M. E. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number Generation"
(2014), XSL-RR 128/64; "Developing a seed_seq Alternative" (2015); J. A. Doornik, "An Improved Ziggurat Method to Generate Normal
Random Samples" (2005). `tests/test_rng.py` compares all of it with NumPy.
"""

import math

import numpy as np

from fastars._compiled.jit import inline, kernel
from fastars._compiled.ziggurat import EDGE, WIDTHS

# The streams of a run: the second word of a spawn key.
STREAM_NOISE, STREAM_INDICES, STREAM_EPISODES, STREAM_WEIGHTS, STREAM_EVALUATION = 0, 1, 2, 3, 4

_U = np.uint64
_WORD = _U(0xFFFFFFFF)
_32, _16, _11, _9, _8, _1, _0 = _U(32), _U(16), _U(11), _U(9), _U(8), _U(1), _U(0)
_LAYER, _MAGNITUDE = _U(0xFF), _U(0x000FFFFFFFFFFFFF)
_MULTIPLIER_HIGH, _MULTIPLIER_LOW = _U(2549297995355413924), _U(4865540595714422341)
_INIT_A, _MULT_A, _INIT_B, _MULT_B = _U(0x43B0D7E5), _U(0x931E8875), _U(0x8B51F9DD), _U(0x58F38DED)
_MIX_LEFT, _MIX_RIGHT = _U(0xCA01F9DD), _U(0x4973F715)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2**-53


@inline
def multiply_high(a, b):
    """Return the upper 64 bits of the 128-bit product of two uint64."""
    a_high, a_low, b_high, b_low = a >> _32, a & _WORD, b >> _32, b & _WORD
    middle = a_high * b_low + ((a_low * b_low) >> _32)
    cross = a_low * b_high + (middle & _WORD)
    return a_high * b_high + (middle >> _32) + (cross >> _32)


@inline
def _hashmix(value, constant):
    """Run one round of SeedSequence's hash on a 32-bit word: (hashed value, next constant)."""
    following = (constant * _MULT_A) & _WORD
    value = ((value ^ constant) * following) & _WORD
    return value ^ (value >> _16), following


@inline
def _mix(x, y):
    """Mix two 32-bit words as SeedSequence does."""
    result = (_MIX_LEFT * x - _MIX_RIGHT * y) & _WORD
    return result ^ (result >> _16)


@inline
def _mixed(target, source, constant):
    """Mix the hash of one word into another: (the other word, next constant)."""
    value, constant = _hashmix(source, constant)
    return _mix(target, value), constant


@inline
def _pool_of(low, high):
    """Compute SeedSequence's pool of 4 words for an entropy of the words (low, high, 0, 0): (pool, next constant)."""
    a, constant = _hashmix(low, _INIT_A)
    b, constant = _hashmix(high, constant)
    c, constant = _hashmix(_0, constant)
    d, constant = _hashmix(_0, constant)
    b, constant = _mixed(b, a, constant)
    c, constant = _mixed(c, a, constant)
    d, constant = _mixed(d, a, constant)
    a, constant = _mixed(a, b, constant)
    c, constant = _mixed(c, b, constant)
    d, constant = _mixed(d, b, constant)
    a, constant = _mixed(a, c, constant)
    b, constant = _mixed(b, c, constant)
    d, constant = _mixed(d, c, constant)
    a, constant = _mixed(a, d, constant)
    b, constant = _mixed(b, d, constant)
    c, constant = _mixed(c, d, constant)
    return (a, b, c, d), constant


@inline
def _with_word(pool, word, constant):
    """Mix a further word of the entropy into a pool: (pool, next constant)."""
    a, b, c, d = pool
    a, constant = _mixed(a, word, constant)
    b, constant = _mixed(b, word, constant)
    c, constant = _mixed(c, word, constant)
    d, constant = _mixed(d, word, constant)
    return (a, b, c, d), constant


@inline
def _drawn(word, constant):
    """Draw a word from a word of the pool: (drawn word, next constant)."""
    following = (constant * _MULT_B) & _WORD
    value = ((word ^ constant) * following) & _WORD
    return value ^ (value >> _16), following


@inline
def _generator_from(pool):
    """Compute the state of PCG64 that a pool seeds."""
    a, b, c, d = pool
    s0, constant = _drawn(a, _INIT_B)
    s1, constant = _drawn(b, constant)
    s2, constant = _drawn(c, constant)
    s3, constant = _drawn(d, constant)
    i0, constant = _drawn(a, constant)
    i1, constant = _drawn(b, constant)
    i2, constant = _drawn(c, constant)
    i3, constant = _drawn(d, constant)
    increment_high = (i0 | (i1 << _32)) << _1 | (i2 | (i3 << _32)) >> _U(63)
    increment_low = (i2 | (i3 << _32)) << _1 | _1
    # PCG's seeding: from state 0, take one step (the state is then the increment), add the seed, take another step.
    low = increment_low + (s2 | (s3 << _32))
    high = increment_high + (s0 | (s1 << _32)) + (_1 if low < increment_low else _0)
    high, low = _next_state(high, low, increment_high, increment_low)
    return high, low, increment_high, increment_low


@inline
def _next_state(state_high, state_low, increment_high, increment_low):
    """Compute the next state: state * multiplier + increment (mod 2**128)."""
    product = state_low * _MULTIPLIER_LOW
    high = multiply_high(state_low, _MULTIPLIER_LOW) + state_high * _MULTIPLIER_LOW + state_low * _MULTIPLIER_HIGH
    low = product + increment_low
    return high + increment_high + (_1 if low < product else _0), low


@inline
def _advance(rng):
    """Advance the generator by one step."""
    rng[0], rng[1] = _next_state(rng[0], rng[1], rng[2], rng[3])


@inline
def seeded(seed):
    """Compute the state of `PCG64(SeedSequence(seed))`, a tuple of 4, for a uint64. It uses no memory, so it vectorises."""
    pool, _ = _pool_of(seed & _WORD, seed >> _32)
    return _generator_from(pool)


@kernel
def seed_generator(rng, seed):
    """Set `rng` to the state of `PCG64(SeedSequence(seed))`; `seed` is a uint64."""
    rng[0], rng[1], rng[2], rng[3] = seeded(seed)


@kernel
def seed_stream(rng, seed, stream, index):
    """Set `rng` to `PCG64(SeedSequence(seed, spawn_key=(stream, index)))`; seed is a uint64, the key below 2**32."""
    pool, constant = _pool_of(seed & _WORD, seed >> _32)
    pool, constant = _with_word(pool, _U(stream), constant)
    pool, _ = _with_word(pool, _U(index), constant)
    rng[0], rng[1], rng[2], rng[3] = _generator_from(pool)


@inline
def _output(high, low):
    """Compute the 64 random bits of a state (XSL-RR)."""
    value, rotation = high ^ low, high >> _U(58)
    return (value >> rotation) | (value << ((_U(64) - rotation) & _U(63)))


@inline
def next_uint64(rng):
    """Draw 64 random bits."""
    _advance(rng)
    return _output(rng[0], rng[1])


@inline
def next_double(rng):
    """Draw a float64 in [0, 1) with 53 random bits."""
    return np.float64(next_uint64(rng) >> _11) * _TO_UNIT


@inline
def uniform(rng, low, high):
    """Draw a float64 in [low, high), as `Generator.uniform` does."""
    return low + (high - low) * next_double(rng)


# Inner integer bound and density of each layer. NumPy's tables may differ in the last of 52 bits, which would change one draw in
# 10**15.
_INSIDE = np.array([WIDTHS[255] / WIDTHS[0], 0.0, *(WIDTHS[1:255] / WIDTHS[2:256])])
_INSIDE = (_INSIDE * 2.0**52).astype(np.uint64)
_DENSITY = np.exp(-0.5 * (WIDTHS * 2.0**52) ** 2)
_DENSITY[0] = 1.0
_INVERSE_EDGE = 1.0 / EDGE
_SIGNED_WIDTHS, _SIGNED_LAYER = np.concatenate((WIDTHS, -WIDTHS)), _U(0x1FF)  # by layer and sign


@inline
def standard_normal(rng):
    """Draw a float64 from N(0, 1), as `Generator.standard_normal` does: 256 layers, 52 random bits."""
    while True:
        bits = next_uint64(rng)
        layer = np.intp(bits & _LAYER)
        negative = (bits >> _8) & _1
        magnitude = (bits >> _9) & _MAGNITUDE
        x = np.float64(magnitude) * WIDTHS[layer]
        if negative:
            x = -x
        if magnitude < _INSIDE[layer]:  # 98.5 % of draws
            return x
        if layer == 0:
            return _tail(rng, magnitude)
        if (_DENSITY[layer - 1] - _DENSITY[layer]) * next_double(rng) + _DENSITY[layer] < math.exp(-0.5 * x * x):
            return x


@inline  # as a kernel, it made every draw count references to `rng`: up to 23 ns instead of 3.5
def _tail(rng, magnitude):
    """Draw a number beyond the edge of the ziggurat (Marsaglia's method); its sign is a bit of `magnitude`."""
    while True:
        x = -_INVERSE_EDGE * math.log1p(-next_double(rng))
        y = -math.log1p(-next_double(rng))
        if y + y > x * x:
            return -(EDGE + x) if (magnitude >> _8) & _1 else EDGE + x


@kernel
def standard_normals(rng, out):
    """Fill `out` (float32) with draws from N(0, 1): the numbers of repeated `standard_normal`, in two thirds of the time.

    The state stays in registers. The sign is not a branch, as half of the branches would be mispredicted.
    """
    high, low, increment_high, increment_low = rng[0], rng[1], rng[2], rng[3]
    for k in range(out.shape[0]):
        high, low = _next_state(high, low, increment_high, increment_low)
        bits = _output(high, low)
        layer, magnitude = np.intp(bits & _LAYER), (bits >> _9) & _MAGNITUDE
        x = np.float64(np.int64(magnitude)) * _SIGNED_WIDTHS[np.intp(bits & _SIGNED_LAYER)]
        if magnitude >= _INSIDE[layer]:
            rng[0], rng[1] = high, low
            if layer == 0:
                x = _tail(rng, magnitude)
            elif (_DENSITY[layer - 1] - _DENSITY[layer]) * next_double(rng) + _DENSITY[layer] >= math.exp(-0.5 * x * x):
                x = standard_normal(rng)
            high, low = rng[0], rng[1]
        out[k] = np.float32(x)
    rng[0], rng[1] = high, low

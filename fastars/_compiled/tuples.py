"""Small tuples inside lane loops: states, observations, scores, actions.

An index into a tuple in a loop becomes a switch, which does not vectorise (54 M against 160 M CartPole steps/s). Recursion over the
tail of a tuple is unrolled at compile time. So each function is defined twice: as plain Python, which is easy to read and runs
under `NUMBA_DISABLE_JIT=1`, and as the `overload` that Numba compiles into the caller. Sums run from the first entry to the last.
"""

import numpy as np
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import overload

from fastars._compiled.blas import fma
from fastars._compiled.jit import INLINE, inline
from fastars._compiled.trig import tanh


def entries(array, start, like):
    """Return entries `array[start:]` as a tuple as long as `like`."""
    return tuple(array[start + k] for k in range(len(like)))


@overload(entries, jit_options=INLINE)
def _entries(array, start, like):
    if len(like) == 0:
        return lambda array, start, like: ()
    return lambda array, start, like: (array[start], *entries(array, start + 1, like[1:]))


def leading(values, like):
    """Return the first `len(like)` values."""
    return tuple(values[: len(like)])


@overload(leading, jit_options=INLINE)
def _leading(values, like):
    if len(like) == 0:
        return lambda values, like: ()
    return lambda values, like: (values[0], *leading(values[1:], like[1:]))


def are_finite(observation):
    """Return True if no float32 of an observation is NaN or infinite: their sum in float64 is neither, then."""
    total = sum(float(value) for value in observation)
    return total - total == 0.0


@overload(are_finite, jit_options=INLINE)
def _are_finite(observation):
    def check(observation):
        total = _sum(0.0, observation)
        return total - total == 0.0

    return check


def _sum(total, values):
    """Return the total plus all values, in float64."""


@overload(_sum, jit_options=INLINE)
def _sum_unrolled(total, values):
    if len(values) == 0:
        return lambda total, values: total
    return lambda total, values: _sum(total + np.float64(values[0]), values[1:])


def weigh(reward, weights, is_fused):
    """Return a reward that is a number; for a tuple of rewards, their product with the weights, with the bits of `np.dot`.

    `is_fused` is True if `np.dot` rounds a * b + c once (`blas_is_fused`).
    """
    return _product(0.0, reward, weights, is_fused) if isinstance(reward, tuple) else reward


@overload(weigh, jit_options=INLINE)
def _weigh(reward, weights, is_fused):
    n_rewards = len(reward) if isinstance(reward, types.BaseTuple) else 0
    if n_rewards != len(weights):
        raise TypingError(f"a step gives {n_rewards or 'a number and no'} rewards, and there are {len(weights)} weights of rewards")
    if isinstance(reward, types.BaseTuple):
        return lambda reward, weights, is_fused: _product(0.0, reward, weights, is_fused)
    return lambda reward, weights, is_fused: reward


def _product(total, values, weights, is_fused):
    for value, weight in zip(values, weights, strict=True):
        total = fma(np.float64(value), weight, total) if is_fused else total + np.float64(value) * weight
    return total


@overload(_product, jit_options=INLINE)
def _product_of(total, values, weights, is_fused):
    if len(values) == 0:
        return lambda total, values, weights, is_fused: total

    def unrolled(total, values, weights, is_fused):
        value = np.float64(values[0])
        total = fma(value, weights[0], total) if is_fused else total + value * weights[0]
        return _product(total, values[1:], weights[1:], is_fused)

    return unrolled


def rewards_of(reward):
    """Return the rewards of a step as a tuple, which has one entry for a number."""
    return reward if isinstance(reward, tuple) else (reward,)


@overload(rewards_of, jit_options=INLINE)
def _rewards_of(reward):
    if isinstance(reward, types.BaseTuple):
        return lambda reward: reward
    return lambda reward: (reward,)


def rewards64(reward):
    """Return a reward as float64: a number, or a tuple of numbers."""
    return to_float64(reward) if isinstance(reward, tuple) else np.float64(reward)


@overload(rewards64, jit_options=INLINE)
def _rewards64(reward):
    if isinstance(reward, types.BaseTuple):
        return lambda reward: to_float64(reward)
    return lambda reward: np.float64(reward)


def zeros(like):
    """Return a tuple of 0.0, as long as `like`."""
    return (0.0,) * len(like)


@overload(zeros, jit_options=INLINE)
def _zeros(like):
    if len(like) == 0:
        return lambda like: ()
    return lambda like: (0.0, *zeros(like[1:]))


def plus(totals, reward):
    """Add a tuple of rewards to their totals; return () if the reward is a number."""
    return tuple(total + value for total, value in zip(totals, reward, strict=True)) if isinstance(reward, tuple) else ()


@overload(plus, jit_options=INLINE)
def _plus(totals, reward):
    if len(totals) == 0:
        return lambda totals, reward: ()
    return lambda totals, reward: (totals[0] + reward[0], *plus(totals[1:], reward[1:]))


def normalize(observation, mean, scale, clip):
    """Return clip((observation - mean) * scale, -clip, clip), entry by entry, in float64."""
    return tuple(min(max((o - m) * s, -clip), clip) for o, m, s in zip(observation, mean, scale, strict=True))


@overload(normalize, jit_options=INLINE)
def _normalize(observation, mean, scale, clip):
    if len(observation) == 0:
        return lambda observation, mean, scale, clip: ()

    def unrolled(observation, mean, scale, clip):
        x = (observation[0] - mean[0]) * scale[0]
        x = -clip if x < -clip else x
        x = clip if x > clip else x
        return (x, *normalize(observation[1:], mean[1:], scale[1:], clip))

    return unrolled


def argmax(scores):
    """Return the index of the largest score; among equals, of the first."""
    return max(range(len(scores)), key=lambda k: scores[k])


@overload(argmax, jit_options=INLINE)
def _argmax(scores):
    return lambda scores: _argmax_from(scores[0], 0, 1, scores[1:])


def _argmax_from(best, index, position, scores):
    """Return the index of the largest score, given the `best` score before `position`."""


@overload(_argmax_from, jit_options=INLINE)
def _argmax_from_unrolled(best, index, position, scores):
    if len(scores) == 0:
        return lambda best, index, position, scores: index

    def unrolled(best, index, position, scores):
        better = scores[0] > best
        return _argmax_from(scores[0] if better else best, position if better else index, position + 1, scores[1:])

    return unrolled


def to_float32(scores):
    """Return the scores as float32, the dtype of the actions of a Box space."""
    return tuple(np.float32(score) for score in scores)


@overload(to_float32, jit_options=INLINE)
def _to_float32(scores):
    if len(scores) == 0:
        return lambda scores: ()
    return lambda scores: (np.float32(scores[0]), *to_float32(scores[1:]))


def to_float64(values):
    """Return numbers of any kind as float64."""
    return tuple(float(value) for value in values)


@overload(to_float64, jit_options=INLINE)
def _to_float64(values):
    if len(values) == 0:
        return lambda values: ()
    return lambda values: (np.float64(values[0]), *to_float64(values[1:]))


def clip32(scores, low, high):
    """Return the scores as float32, clipped to [low, high] as `np.clip` does (NaN stays NaN)."""
    return tuple(np.clip(np.float32(s), a, b) for s, a, b in zip(scores, low, high, strict=True))


@overload(clip32, jit_options=INLINE)
def _clip32(scores, low, high):
    if len(scores) == 0:
        return lambda scores, low, high: ()

    def unrolled(scores, low, high):
        x = np.float32(scores[0])
        x = low[0] if x < low[0] else x
        x = high[0] if x > high[0] else x
        return (x, *clip32(scores[1:], low[1:], high[1:]))

    return unrolled


def put(array, start, values):
    """Write a tuple to `array[start:]`."""
    for k, value in enumerate(values):
        array[start + k] = value


@overload(put, jit_options=INLINE)
def _put(array, start, values):
    if len(values) == 0:
        return lambda array, start, values: None

    def unrolled(array, start, values):
        array[start] = values[0]
        put(array, start + 1, values[1:])

    return unrolled


def squash(scores, low, high):
    """Return low + (tanh(score) + 1) / 2 * (high - low), entry by entry, in float64."""
    return tuple(unit_to_box(tanh(s), np.float64(a), np.float64(b)) for s, a, b in zip(scores, low, high, strict=True))


@overload(squash, jit_options=INLINE)
def _squash(scores, low, high):
    if len(scores) == 0:
        return lambda scores, low, high: ()

    def unrolled(scores, low, high):
        x = unit_to_box(tanh(scores[0]), np.float64(low[0]), np.float64(high[0]))
        return (x, *squash(scores[1:], low[1:], high[1:]))

    return unrolled


@inline
def unit_to_box(x, low, high):
    """Map x from [-1, 1] to [low, high]."""
    return low + 0.5 * (x + 1.0) * (high - low)

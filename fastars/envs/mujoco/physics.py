"""Constants, resets and sums of MuJoCo environments, in the order of operations of NumPy and its BLAS.

Gymnasium computes rewards with NumPy, which does not add from the first entry to the last, and with a BLAS that may round once
where two operations round twice. The functions here do the same, so rewards have Gymnasium's bits.
"""

from typing import NamedTuple

import numpy as np

from fastars._compiled.blas import fma
from fastars._compiled.jit import inline, kernel
from fastars._compiled.rng import standard_normal, uniform
from fastars._compiled.structs import FloatArray


class Physics(NamedTuple):
    """Constants of the model and of its steps."""

    init_qpos: FloatArray  # (nq,)
    init_qvel: FloatArray  # (nv,)
    body_mass: FloatArray  # (nbody,), kg
    total_mass: float  # kg, summed by NumPy
    timestep: float  # s
    frame_skip: int  # MuJoCo's steps in one of the environment's
    dt: float  # s, timestep * frame_skip
    version: int  # of the environment: 4 or 5
    is_fused: bool  # True: NumPy's BLAS rounds a * b + c once


@inline
def state_entry(sim, k):
    """Return entry k of Gymnasium's `state_vector()`: the positions, followed by the velocities."""
    nq = sim.qpos.shape[0]
    return sim.qpos[k] if k < nq else sim.qvel[k - nq]


@inline
def norm(x, y, z, is_fused):
    """Return the Euclidean norm of a vector in the order of `np.linalg.norm`: the root of a BLAS product."""
    if is_fused:
        return np.sqrt(fma(z, z, fma(y, y, x * x)))
    return np.sqrt(x * x + y * y + z * z)


@inline
def distance(sim, body, other, physics):
    """Return the distance of two bodies, m."""
    a, b = sim.xpos[body], sim.xpos[other]
    return norm(a[0] - b[0], a[1] - b[1], a[2] - b[2], physics.is_fused)


@kernel
def square_sum(values):
    """Return the sum of the squares of `values` (n,), in their type and in the order of `np.sum(np.square(values))`.

    NumPy adds pairwise: up to 128 numbers as `_block_square_sum` does, more in two halves of which the first is a multiple of 8.
    """
    first, n, depth = 0, values.shape[0], 0
    firsts, sizes, sums = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, values.dtype)
    while True:
        while n > 128:  # down to the first block; right halves wait, with size 0 once `sums` has the left half
            half = n // 2 - n // 2 % 8
            firsts[depth], sizes[depth] = first + half, n - half
            depth, n = depth + 1, half
        total = _block_square_sum(values, first, n)
        while depth > 0 and sizes[depth - 1] == 0:
            depth -= 1
            total = sums[depth] + total
        if depth == 0:
            return total
        first, n, sums[depth - 1] = firsts[depth - 1], sizes[depth - 1], total
        sizes[depth - 1] = 0


@kernel
def _block_square_sum(values, first, n):
    """Add up to 128 squares: fewer than 8 one after the other, more in 8 interleaved sums."""
    if n < 8:
        total = values[first] * values[first]
        for k in range(first + 1, first + n):
            total += values[k] * values[k]
        return total
    sums = np.empty(8, values.dtype)
    for k in range(8):
        sums[k] = values[first + k] * values[first + k]
    whole = n - n % 8
    for k in range(8, whole):
        sums[k % 8] += values[first + k] * values[first + k]
    total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    for k in range(first + whole, first + n):
        total += values[k] * values[k]
    return total


@inline
def draw_uniform(physics, sim, rng, scale):
    """Draw positions and velocities from U(-scale, scale) around the model's own."""
    for k in range(sim.qpos.shape[0]):
        sim.qpos[k] = physics.init_qpos[k] + uniform(rng, -scale, scale)
    for k in range(sim.qvel.shape[0]):
        sim.qvel[k] = physics.init_qvel[k] + uniform(rng, -scale, scale)


@inline
def draw_normal(physics, sim, rng, scale):
    """Draw positions from U(-scale, scale), velocities from scale * N(0, 1), around the model's own."""
    for k in range(sim.qpos.shape[0]):
        sim.qpos[k] = physics.init_qpos[k] + uniform(rng, -scale, scale)
    for k in range(sim.qvel.shape[0]):
        sim.qvel[k] = physics.init_qvel[k] + scale * standard_normal(rng)


@inline
def survival_reward(env, healthy):
    """Return the reward for being healthy; version 4 also gives it in the unhealthy last step."""
    is_paid = healthy or (env.physics.version == 4 and env.terminate_when_unhealthy)
    return env.healthy_reward * is_paid


@inline
def between(x, low, high):
    """Return `x` clipped to [low, high]; NaN stays NaN."""
    x = low if x < low else x
    return high if x > high else x


@inline
def put(out, start, values, low, high):
    """Write `values`, clipped to [low, high], to `out` from `start` on; return the index after them."""
    for k in range(values.shape[0]):
        out[start + k] = between(values[k], low, high)
    return start + values.shape[0]


@inline
def clipped(values, low, high):
    """Return a copy of `values`, clipped to [low, high]."""
    out = np.empty(values.shape[0])
    put(out, 0, values, low, high)
    return out

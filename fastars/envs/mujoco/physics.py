"""What MuJoCo environments share: constants, resets, and sums in the order of operations of NumPy and its BLAS.

Gymnasium computes rewards with NumPy, whose sums are not from the first entry to the last, and with a BLAS that may round once
where two operations round twice. Rewards have Gymnasium's bits only if the same is done here.
"""

from typing import NamedTuple

import numpy as np

from fastars._compiled.blas import fma
from fastars._compiled.jit import inline, kernel
from fastars._compiled.rng import standard_normal, uniform
from fastars._compiled.structs import FloatArray
from fastars.envs.mujoco.capi import forward, reset_data


class Physics(NamedTuple):
    """Constants of the model and of how it is stepped."""

    init_qpos: FloatArray  # (nq,)
    init_qvel: FloatArray  # (nv,)
    body_mass: FloatArray  # (nbody,), kg
    total_mass: float  # kg, summed by NumPy
    timestep: float  # s
    frame_skip: int  # MuJoCo's steps in one of the environment's
    dt: float  # s, timestep * frame_skip
    version: int  # of the environment: 4 or 5
    is_fused: bool  # whether NumPy's BLAS rounds a * b + c once


@inline
def norm(x, y, z, is_fused):
    """Euclidean norm of a vector in the order of `np.linalg.norm`: the root of a BLAS product."""
    if is_fused:
        return np.sqrt(fma(z, z, fma(y, y, x * x)))
    return np.sqrt(x * x + y * y + z * z)


@inline
def distance(sim, body, other, physics):
    """How far two bodies are from each other, m."""
    a, b = sim.xpos[body], sim.xpos[other]
    return norm(a[0] - b[0], a[1] - b[1], a[2] - b[2], physics.is_fused)


@kernel
def square_sum(values):
    """The sum of the squares of `values` (n,), in their type and in the order of `np.sum(np.square(values))`.

    NumPy adds pairwise: up to 128 numbers as `_block_square_sum` does, more in two halves of which the first is a multiple of 8.
    """
    first, n, depth = 0, values.shape[0], 0
    firsts, sizes, sums = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, values.dtype)
    while True:
        while n > 128:  # down to the first block; what is right of it waits, with size 0 once its sum is that of the left half
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
    """Up to 128 squares: less than 8 one after the other, more in 8 interleaved sums."""
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
def reset_uniform(physics, sim, rng, scale):
    """Positions and velocities from U(-scale, scale) around the model's own."""
    reset_data(sim)
    for k in range(sim.qpos.shape[0]):
        sim.qpos[k] = physics.init_qpos[k] + uniform(rng, -scale, scale)
    for k in range(sim.qvel.shape[0]):
        sim.qvel[k] = physics.init_qvel[k] + uniform(rng, -scale, scale)
    forward(sim)


@inline
def reset_normal(physics, sim, rng, scale):
    """Positions from U(-scale, scale), velocities from scale * N(0, 1), around the model's own."""
    reset_data(sim)
    for k in range(sim.qpos.shape[0]):
        sim.qpos[k] = physics.init_qpos[k] + uniform(rng, -scale, scale)
    for k in range(sim.qvel.shape[0]):
        sim.qvel[k] = physics.init_qvel[k] + scale * standard_normal(rng)
    forward(sim)


@inline
def survival_reward(env, healthy):
    """What is paid for being healthy; version 4 pays for the unhealthy last step, too."""
    is_paid = healthy or (env.physics.version == 4 and env.terminate_when_unhealthy)
    return env.healthy_reward * is_paid


@inline
def between(x, low, high):
    """`x` clipped to [low, high]; NaN stays NaN."""
    x = low if x < low else x
    return high if x > high else x


@inline
def put(out, start, values, low, high):
    """Write `values`, clipped to [low, high], to `out` from `start` on; where the next ones go."""
    for k in range(values.shape[0]):
        out[start + k] = between(values[k], low, high)
    return start + values.shape[0]


@inline
def clipped(values, low, high):
    """A copy of `values`, clipped to [low, high]."""
    out = np.empty(values.shape[0])
    put(out, 0, values, low, high)
    return out

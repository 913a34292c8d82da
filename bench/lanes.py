"""Upper limits of this machine: loops over lanes that contain the physics and the policy, and nothing else.

`cartpole_returns` is written for its one task by hand. `bare_steps` runs the environment's own `step` and `observe`, so its figure
is the limit of that arithmetic: what the rollout kernel loses against it, it loses to seeds, refilled lanes, filter and status.
Neither refills a lane: an episode that has ended leaves it idle until the block is done.
"""

import math

import numpy as np
from numba import njit

from fastars._compiled.actions import choose
from fastars._compiled.flat_arrays import lane_numbers
from fastars._compiled.lane_rows import LANES, at, load, store, zero_rows
from fastars._compiled.protocol import observe, reset, step
from fastars._compiled.rng import seed_generator
from fastars.kernels.policy import scores

_INLINE = {"error_model": "numpy", "forceinline": True}
_KERNEL = {"error_model": "numpy", "nogil": True}
_GRAVITY, _POLE, _TOTAL, _HALF_LENGTH, _FORCE, _TAU = 9.8, 0.1, 1.1, 0.5, 10.0, 0.02
_X_LIMIT, _THETA_LIMIT = 2.4, 12 * math.pi / 180


@njit(**_INLINE)
def _turn(theta):
    """Return sine and cosine to an ulp or two, for any angle that a CartPole reaches in 500 steps."""
    k = np.rint(theta * (2 / math.pi))
    r = (theta - k * 1.5707963267341256) - k * 6.077100506506192e-11
    z = r * r
    sine = 1.0 / 6227020800.0
    for divisor in (-39916800.0, 362880.0, -5040.0, 120.0, -6.0, 1.0):
        sine = sine * z + 1.0 / divisor
    sine = sine * r
    cosine = -1.0 / 87178291200.0
    for divisor in (479001600.0, -3628800.0, 40320.0, -720.0, 24.0, -2.0, 1.0):
        cosine = cosine * z + 1.0 / divisor
    quadrant = k - 4.0 * np.floor(k * 0.25)
    odd = (quadrant == 1.0) | (quadrant == 3.0)
    s, c = (cosine if odd else sine), (sine if odd else cosine)
    return (-s if quadrant >= 2.0 else s), (-c if (quadrant == 1.0) | (quadrant == 2.0) else c)


@njit(**_KERNEL)
def _cartpole_step(weights, state, returns, alive):
    for k in range(LANES):
        x, v, theta, omega = state[0, k], state[1, k], state[2, k], state[3, k]
        a, b, c, d = np.float32(x), np.float32(v), np.float32(theta), np.float32(omega)
        left = weights[0, k] * a + weights[1, k] * b + weights[2, k] * c + weights[3, k] * d
        right = weights[4, k] * a + weights[5, k] * b + weights[6, k] * c + weights[7, k] * d
        push = _FORCE if right > left else -_FORCE
        sine, cosine = _turn(theta)
        drive = (push + _POLE * _HALF_LENGTH * (omega * omega) * sine) / _TOTAL
        alpha = (_GRAVITY * sine - cosine * drive) / (_HALF_LENGTH * (4.0 / 3.0 - _POLE * (cosine * cosine) / _TOTAL))
        x, v = x + _TAU * v, v + _TAU * (drive - _POLE * _HALF_LENGTH * alpha * cosine / _TOTAL)
        theta, omega = theta + _TAU * omega, omega + _TAU * alpha
        state[0, k], state[1, k], state[2, k], state[3, k] = x, v, theta, omega
        returns[k] += alive[k]
        fallen = (x < -_X_LIMIT) | (x > _X_LIMIT) | (theta < -_THETA_LIMIT) | (theta > _THETA_LIMIT)
        alive[k] = 0.0 if fallen else alive[k]


@njit(**_KERNEL)
def _any(alive):
    for k in range(LANES):  # noqa: SIM110 - Numba compiles no generator expression
        if alive[k] > 0.0:
            return True
    return False


@njit(**_KERNEL)
def cartpole_returns(weights, initial_states, n_steps, returns):
    """Run a block of CartPole episodes. weights is (8, LANES), initial states (4, LANES); gives returns (LANES,)."""
    state, alive = initial_states.copy(), np.ones(LANES)
    returns[:] = 0.0
    for _ in range(n_steps):
        _cartpole_step(weights, state, returns, alive)
        if not _any(alive):
            break


@njit(**_KERNEL)
def _bare_step(task, lanes, like_state):
    for lane in range(LANES):
        state = load(lanes, lane, 0, like_state)
        action_scores = scores(task.policy, lanes, lane, len(like_state) + 1, observe(task.env, state), task.low)
        state, reward, _ = step(task.env, state, choose(task.actions, action_scores, task.low, task.high))
        store(lanes, lane, 0, state)
        lanes[at(len(like_state), lane)] += reward


@njit(**_KERNEL)
def bare_steps(task, weights, seeds, n_steps):
    """Step `LANES` lanes n_steps times, whatever happens to their episodes; returns the sums of their rewards.

    Weights (LANES, n_weights) have a bias block, seeds (LANES,) give the initial states.
    """
    rng = np.zeros(4, np.uint64)
    like_state = reset(task.env, rng)  # this and the observation are there for their lengths
    n_state = len(like_state)
    rows = zero_rows(n_state + 1 + weights.shape[1])
    for lane in range(LANES):
        seed_generator(rng, seeds[lane])
        store(rows, lane, 0, reset(task.env, rng))
        for k in range(weights.shape[1]):
            rows[at(n_state + 1 + k, lane)] = weights[lane, k]
    for _ in range(n_steps):
        _bare_step(task, rows, like_state)
    return rows[n_state * LANES : (n_state + 1) * LANES]


PEAK_FLOPS = 2 * 8  # of `multiply_and_add`, per number and pass


@njit(**_KERNEL)
def multiply_and_add(numbers, factor, summand, n_passes):
    """Products and sums of float64 as fast as they go without fused operations: numbers that stay in the nearest cache, long chains
    in registers, and enough numbers to work on the next vectors meanwhile. The vectors are explicit: the width that LLVM picks
    halves the rate on some CPUs. `numbers` is flat, of a multiple of 8, and starts a cache line."""
    vectors = lane_numbers(numbers)
    for _ in range(n_passes):
        for k in range(numbers.shape[0] // 8):
            x = vectors[k]
            x = x * factor + summand
            x = x * factor + summand
            x = x * factor + summand
            x = x * factor + summand
            x = x * factor + summand
            x = x * factor + summand
            x = x * factor + summand
            vectors[k] = x * factor + summand

"""Pendulum-v1, exact to Gymnasium's `PendulumEnv`."""

import math
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._compiled.rng import uniform
from fastars._compiled.trig import sincos

MAX_SPEED = 8.0  # rad/s
MAX_TORQUE = np.float32(2.0)  # N m
DT = 0.05  # s

_TURN = 2 * math.pi
# The turn in two parts: a head of 43 bits, so that (number of turns) * head is exact for up to 1024 turns, and the rest.
_TURN_HEAD = math.floor(_TURN * 2.0**40) / 2.0**40
_TURN_TAIL = _TURN - _TURN_HEAD


class Pendulum(NamedTuple):
    """Constants of Pendulum: unit mass and length."""

    g: float = 10.0  # m/s^2

    def gymnasium(self) -> tuple[str, dict[str, Any]]:
        """Return the id and keyword arguments that make the same environment in Gymnasium."""
        return "Pendulum-v1", {"g": self.g}


@inline
def angle_normalize(theta):
    """Return ((theta + pi) % (2 pi)) - pi with Python's modulo, exactly: `fmod` is exact, and so is this for up to 1024 turns."""
    shifted = theta + math.pi
    size = abs(shifted)
    turns = np.floor(size / _TURN)
    rest = (size - turns * _TURN_HEAD) - turns * _TURN_TAIL
    rest = rest + _TURN if rest < 0.0 else rest  # the division rounded up to a whole turn
    rest = rest - _TURN if rest >= _TURN else rest
    rest = (_TURN - rest if rest > 0.0 else rest) if shifted < 0.0 else rest
    return rest - math.pi


@inline
def reset(env, rng):
    return uniform(rng, -math.pi, math.pi), uniform(rng, -1.0, 1.0)


@inline
def observe(env, state):
    theta, theta_dot = state
    sine, cosine = sincos(theta)
    return np.float32(cosine), np.float32(sine), np.float32(theta_dot)


@inline
def swing(env, state, action):
    """Take a step, without its reward: (angle before it, in [-pi, pi), torque as float32, next state)."""
    theta, theta_dot = state
    torque = action[0]
    torque = -MAX_TORQUE if torque < -MAX_TORQUE else torque
    torque = MAX_TORQUE if torque > MAX_TORQUE else torque
    sine, _ = sincos(theta)
    # Gymnasium's torque stays float32: 3 times it is rounded to float32 before it meets float64.
    acceleration = 3.0 * env.g / 2.0 * sine + np.float64(np.float32(3.0) * torque)
    theta_dot = theta_dot + acceleration * DT
    theta_dot = -MAX_SPEED if theta_dot < -MAX_SPEED else theta_dot
    theta_dot = MAX_SPEED if theta_dot > MAX_SPEED else theta_dot
    return angle_normalize(theta), torque, (theta + theta_dot * DT, theta_dot)


@inline
def step(env, state, action):
    angle, torque, after = swing(env, state, action)
    # The square of the torque, and 0.001 of that, are rounded to float32, too.
    # Differs from Gymnasium: its square is a powf of the C library, one float32 ulp off the product for 7 in 10,000 torques.
    effort = np.float64(np.float32(0.001) * (torque * torque))
    return after, -(angle * angle + 0.1 * (state[1] * state[1]) + effort), False


register_functions(Pendulum, reset, observe, step)

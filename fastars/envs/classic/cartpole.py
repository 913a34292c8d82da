"""CartPole-v1 and -v0, exact to Gymnasium's `CartPoleEnv` (Barto, Sutton & Anderson 1983)."""

import math
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._compiled.rng import uniform
from fastars._compiled.trig import sincos

X_LIMIT = 2.4  # m
THETA_LIMIT = 12 * 2 * math.pi / 360  # rad


class CartPole(NamedTuple):
    """Constants of CartPole; `sutton_barto_reward` is Gymnasium's switch from 1 per step to -1 at the fall."""

    sutton_barto_reward: bool = False
    gravity: float = 9.8  # m/s^2
    masspole: float = 0.1  # kg
    total_mass: float = 0.1 + 1.0  # kg
    length: float = 0.5  # m, half the pole
    force: float = 10.0  # N
    tau: float = 0.02  # s

    def gymnasium(self) -> tuple[str, dict[str, Any]]:
        """Return the id and keyword arguments that make the same environment in Gymnasium."""
        return "CartPole-v1", {"sutton_barto_reward": self.sutton_barto_reward}


@inline
def reset(env, rng):
    return uniform(rng, -0.05, 0.05), uniform(rng, -0.05, 0.05), uniform(rng, -0.05, 0.05), uniform(rng, -0.05, 0.05)


@inline
def observe(env, state):
    x, x_dot, theta, theta_dot = state
    return np.float32(x), np.float32(x_dot), np.float32(theta), np.float32(theta_dot)


@inline
def step(env, state, action):
    x, x_dot, theta, theta_dot = state
    force = env.force if action == 1 else -env.force
    sine, cosine = sincos(theta)
    polemass_length = env.masspole * env.length
    temp = (force + polemass_length * (theta_dot * theta_dot) * sine) / env.total_mass
    theta_acc = (env.gravity * sine - cosine * temp) / (
        env.length * (4.0 / 3.0 - env.masspole * (cosine * cosine) / env.total_mass)
    )
    x_acc = temp - polemass_length * theta_acc * cosine / env.total_mass
    x, x_dot = x + env.tau * x_dot, x_dot + env.tau * x_acc
    theta, theta_dot = theta + env.tau * theta_dot, theta_dot + env.tau * theta_acc
    terminated = (x < -X_LIMIT) | (x > X_LIMIT) | (theta < -THETA_LIMIT) | (theta > THETA_LIMIT)
    survival = 0.0 if env.sutton_barto_reward else 1.0
    fall = -1.0 if env.sutton_barto_reward else 1.0
    return (x, x_dot, theta, theta_dot), (fall if terminated else survival), terminated


register_functions(CartPole, reset, observe, step)

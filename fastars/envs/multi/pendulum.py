"""mo-pendulum-v0: Pendulum-v1 with its cost in three parts, of very different sizes.

The reward is (-angle**2, -velocity**2, -torque**2), up to 9.9, 64 and 4 per step. Weighted by (1, 0.1, 0.001), it is Pendulum-v1's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box

from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._validate import number
from fastars.envs.classic import pendulum
from fastars.envs.multi.base import MultiEnv, box32


class MultiPendulum(NamedTuple):
    """Constants of mo-pendulum: unit mass and length."""

    g: float = 10.0  # m/s^2


class PendulumEnv(MultiEnv):
    """A pendulum to be swung up, slowly, and with little torque.

    Parameters
    ----------
    g : float
        m/s^2
    """

    def __init__(self, render_mode: str | None = None, g: float = 10.0) -> None:
        g = number("g", g)
        high = np.array([1.0, 1.0, pendulum.MAX_SPEED])
        least = [-(np.pi**2), -(pendulum.MAX_SPEED**2), -(float(pendulum.MAX_TORQUE) ** 2)]
        super().__init__(
            MultiPendulum(g),
            {"g": g},
            box32(-high, high),
            box32([-pendulum.MAX_TORQUE], [pendulum.MAX_TORQUE]),
            Box(np.array(least), np.zeros(3), dtype=np.float64),
            ("angle", "velocity", "torque"),
            render_mode=render_mode,
        )


@inline
def step(env: Any, state: Any, action: Any) -> Any:
    angle, torque, after = pendulum.swing(env, state, action)
    velocity, push = state[1], np.float64(torque)
    return after, (-(angle * angle), -(velocity * velocity), -(push * push)), False


register_functions(MultiPendulum, pendulum.reset, pendulum.observe, step)

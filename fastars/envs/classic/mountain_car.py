"""MountainCar-v0, exact to Gymnasium's `MountainCarEnv` (Moore 1990)."""

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._compiled.rng import uniform
from fastars._compiled.trig import sincos

MIN_POSITION, MAX_POSITION, GOAL_POSITION = -1.2, 0.6, 0.5
MAX_SPEED = 0.07  # per step
FORCE, GRAVITY = 0.001, 0.0025


class MountainCar(NamedTuple):
    """Constants of MountainCar."""

    goal_velocity: float = 0.0  # least speed at the goal, per step

    def gymnasium(self) -> tuple[str, dict[str, Any]]:
        """Return the id and keyword arguments that make the same environment in Gymnasium."""
        return "MountainCar-v0", {"goal_velocity": self.goal_velocity}


@inline
def reset(env, rng):
    return uniform(rng, -0.6, -0.4), 0.0


@inline
def observe(env, state):
    position, velocity = state
    return np.float32(position), np.float32(velocity)


@inline
def move(env, state, action):
    """Take a step, without its reward: (next state, True if the goal is reached)."""
    position, velocity = state
    _, cosine = sincos(3.0 * position)
    velocity = velocity + (np.float64(action - 1) * FORCE + cosine * -GRAVITY)
    velocity = -MAX_SPEED if velocity < -MAX_SPEED else velocity
    velocity = MAX_SPEED if velocity > MAX_SPEED else velocity
    position = position + velocity
    position = MIN_POSITION if position < MIN_POSITION else position
    position = MAX_POSITION if position > MAX_POSITION else position
    velocity = 0.0 if (position == MIN_POSITION) & (velocity < 0.0) else velocity
    return (position, velocity), (position >= GOAL_POSITION) & (velocity >= env.goal_velocity)


@inline
def step(env, state, action):
    after, terminated = move(env, state, action)
    return after, -1.0, terminated


register_functions(MountainCar, reset, observe, step)

"""MountainCarContinuous-v0, exact to Gymnasium's `Continuous_MountainCarEnv`.

Gymnasium stores its state as float32 from the first step on, and NumPy then computes in float32: a Python number beside a float32
does not widen it. Only the first step starts from a float64 position. So the state here carries a third entry that says which of
the two it is, and each operation rounds where Gymnasium's does.
"""

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._compiled.rng import uniform
from fastars._compiled.trig import sincos

_F = np.float32
MIN_POSITION, MAX_POSITION, GOAL_POSITION = -1.2, 0.6, 0.45
MAX_SPEED = 0.07  # per step
POWER, GRAVITY = 0.0015, 0.0025


class MountainCarContinuous(NamedTuple):
    """Constants of MountainCarContinuous."""

    goal_velocity: float = 0.0  # least speed at the goal, per step

    def gymnasium(self) -> tuple[str, dict[str, Any]]:
        """Return the id and keyword arguments that make the same environment in Gymnasium."""
        return "MountainCarContinuous-v0", {"goal_velocity": self.goal_velocity}


@inline
def reset(env, rng):
    return uniform(rng, -0.6, -0.4), 0.0, 1.0


@inline
def observe(env, state):
    position, velocity, _ = state
    return _F(position), _F(velocity)


@inline
def move(env, state, action):
    """Take a step, without its reward: (next state, True if the goal is reached)."""
    position, velocity, is_first = state
    fresh = is_first == 1.0
    # Gymnasium clips by Python's min and max: a clipped force is a Python float, and its sum with gravity is then rounded once.
    clipped = (action[0] < _F(-1.0)) | (action[0] > _F(1.0))
    bound = -1.0 if action[0] < _F(-1.0) else 1.0
    _, cosine = sincos(3.0 * position if fresh else np.float64(_F(3.0) * _F(position)))
    pull = GRAVITY * cosine
    change = bound * POWER - pull if clipped else np.float64(action[0] * _F(POWER) - _F(pull))
    velocity = velocity + change if fresh else np.float64(_F(velocity) + _F(change))
    # The bounds beside a float32 are float32 too.
    speed = MAX_SPEED if fresh else np.float64(_F(MAX_SPEED))
    lowest = MIN_POSITION if fresh else np.float64(_F(MIN_POSITION))
    highest = MAX_POSITION if fresh else np.float64(_F(MAX_POSITION))
    goal = GOAL_POSITION if fresh else np.float64(_F(GOAL_POSITION))
    least = env.goal_velocity if fresh else np.float64(_F(env.goal_velocity))
    velocity = speed if velocity > speed else velocity
    velocity = -speed if velocity < -speed else velocity
    position = position + velocity if fresh else np.float64(_F(position) + _F(velocity))
    position = highest if position > highest else position
    position = lowest if position < lowest else position
    velocity = 0.0 if (position == lowest) & (velocity < 0.0) else velocity
    return (np.float64(_F(position)), np.float64(_F(velocity)), 0.0), (position >= goal) & (velocity >= least)


@inline
def step(env, state, action):
    after, terminated = move(env, state, action)
    force = np.float64(action[0])
    return after, (100.0 if terminated else 0.0) - force * force * 0.1, terminated


register_functions(MountainCarContinuous, reset, observe, step)

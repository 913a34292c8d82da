"""Environments in Python that draw random numbers from other generators than their own."""

import random
import sys

import gymnasium
import numpy as np
from gymnasium import spaces


def of_numpy(env):
    return np.random.uniform(-1.0, 1.0)


def of_python(env):
    return random.uniform(-1.0, 1.0)


def of_torch(env):
    return float(sys.modules["torch"].rand(1)) if "torch" in sys.modules else 0.0


def of_actions(env):
    return float(env.action_space.sample()[0])


def of_observations(env):
    return float(env.observation_space.sample()[0])


def rarely_of_numpy(env):
    """Draw in the seventh step and later, which some episodes reach."""
    return np.random.uniform(-1.0, 1.0) if env.n_steps > 6 else 0.25


DRAWS = (of_numpy, of_python, of_torch, of_actions, of_observations, rarely_of_numpy)


class Drawing(gymnasium.Env):
    """A point that is pushed by the action and by a number that `draw` returns, until it has gone too far. Rewards are float32."""

    observation_space = spaces.Box(-9.0, 9.0, (2,))
    action_space = spaces.Box(-1.0, 1.0, (1,))

    def __init__(self, draw=of_numpy):
        self.draw = draw
        self.observation_space, self.action_space = spaces.Box(-9.0, 9.0, (2,)), spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n_steps, self.x = 0, self.np_random.uniform(-0.5, 0.5)
        return self.observation(), {}

    def step(self, action):
        self.n_steps += 1
        self.x += 0.2 * float(np.clip(action[0], -1.0, 1.0)) + 0.4 * self.draw(self)
        reward = float(np.float32(1.0 - abs(self.x)))
        return self.observation(), reward, abs(self.x) > 1.0, self.n_steps >= 20, {}

    def observation(self):
        return np.array([self.x, self.n_steps / 10.0], np.float32)


def of_numpy_with_a_failure(env):
    """Draw, and raise for one number in ten."""
    number = np.random.uniform(-1.0, 1.0)
    if number > 0.8:
        raise ArithmeticError(f"drew {number}")
    return number

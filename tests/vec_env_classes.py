"""Environments and wrappers for the tests of vector environments; processes of a `SubprocVecEnv` import this module."""

import gymnasium
import numpy as np
from gymnasium import spaces


class Walk(gymnasium.Env):
    """A walk that the action steers and ends at different times; one reward in four, so that float32 holds every sum."""

    observation_space = spaces.Box(-9.0, 9.0, (2,))
    action_space = spaces.Discrete(2)

    def __init__(self, slope=0.25, fails_at=1 << 40):
        self.slope, self.fails_at, self.n_resets = slope, fails_at, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.n_steps, self.n_resets = self.np_random.uniform(-1.0, 1.0), 0, self.n_resets + 1
        return self.observation(), {}

    def step(self, action):
        self.n_steps += 1
        if self.n_steps == self.fails_at:
            raise ArithmeticError("the walk is over")
        self.x += self.slope * (2 * int(action) - 1) + self.np_random.uniform(-0.3, 0.3)
        is_over = abs(self.x) > 2.0 or self.np_random.uniform() < 0.03
        return self.observation(), 0.25 * int(4 * self.x), is_over, self.n_steps >= 30, {"x": self.x}

    def observation(self):
        return np.array([self.x, 1.0], np.float32)


class Unrecorded(gymnasium.Wrapper):
    """A wrapper that keeps no record of its arguments."""

    def __init__(self, env, factor=1.0):
        super().__init__(env)
        self.factor = factor

    def step(self, action):
        observation, reward, *rest = self.env.step(action)
        return observation, self.factor * reward, *rest


class Lives(gymnasium.Wrapper):
    """Tells of an end after every fifth step, and goes on with the same episode after it."""

    is_over = True

    def reset(self, **kwargs):
        if self.is_over or kwargs.get("seed") is not None:
            self.seen, self.n, self.is_over = self.env.reset(**kwargs), 0, False
        return self.seen

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.seen, self.n, self.is_over = (observation, info), self.n + 1, terminated or truncated
        return observation, -3.0 * reward, terminated or self.n % 5 == 0, truncated, info


def doubling(env):
    return Unrecorded(env, 2.0)

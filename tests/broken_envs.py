"""Environments that fail in one way or another, for the tests; worker processes import this module, too."""

import gymnasium
import numpy as np


class Walk(gymnasium.Env):
    """A walk along a line towards 1, 20 steps long. `fault(steps so far, seed)` may raise or change what a step returns."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed, self.n_steps = seed, 0
        self.x = self.np_random.uniform(-1, 1)
        return np.array([self.x, 1.0]), {}

    def step(self, action):
        self.n_steps += 1
        self.x += 0.1 * float(action[0])
        ended = self.n_steps == 20
        return np.array([self.x, 1.0]), -abs(self.x - 1.0), ended, False, {}


class Raises(Walk):
    """Raises in step 7 of every episode with an odd seed."""

    def step(self, action):
        if self.n_steps == 6 and self.seed % 2:
            raise ArithmeticError(f"the floor gave way at {self.x}")
        return super().step(action)


class AlwaysRaises(Walk):
    def reset(self, *, seed=None, options=None):
        raise ConnectionError("no simulator at this address")


def raising():
    return gymnasium.wrappers.TimeLimit(Raises(), 15)


gymnasium.register("Raises-v0", entry_point=Raises, max_episode_steps=15)
gymnasium.register("Walk-v0", entry_point=Walk)

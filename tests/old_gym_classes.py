"""Classes that stand for the classes of the package gym 0.21 and 0.26, and a shimmy that adapts them: neither is installed."""

import types

import gymnasium
import numpy as np
from gymnasium import spaces


class Box:
    """As gym.spaces.Box."""

    __module__ = "gym.spaces.box"

    def __init__(self, low, high, shape):
        self.shape, self.dtype = shape, np.dtype(np.float32)
        self.low, self.high = np.full(shape, low, np.float32), np.full(shape, high, np.float32)

    def __repr__(self):
        return f"Box({self.shape})"


class OldEnv:
    """As an environment of gym 0.26; of 0.21 without the seed of `reset`."""

    __module__ = "gym.core"
    observation_space, action_space = spaces.Box(-1.0, 1.0, (3,)), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.n_steps = 0
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.n_steps += 1
        return np.zeros(3, np.float32), 1.0, self.n_steps > 4, False, {}


class OlderEnv(OldEnv):
    __module__ = "gym.core"

    def reset(self):
        return super().reset()[0]

    def step(self, action):
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, info


class _Adapted(gymnasium.Env):
    def __init__(self, env):
        self.env = env
        self.observation_space, self.action_space = env.observation_space, env.action_space


class V26(_Adapted):
    def reset(self, *, seed=None, options=None):
        return self.env.reset(seed=seed, options=options)

    def step(self, action):
        return self.env.step(action)


class V21(_Adapted):
    def reset(self, *, seed=None, options=None):
        return self.env.reset(), {}

    def step(self, action):
        observation, reward, done, info = self.env.step(action)
        return observation, reward, done, False, info


shimmy = types.ModuleType("shimmy")
shimmy.GymV26CompatibilityV0, shimmy.GymV21CompatibilityV0 = V26, V21

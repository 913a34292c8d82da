"""Steps of vector environments with ready-made random actions."""

import gymnasium
import numpy as np

from fastars.envs import compiled_env

N_ACTIONS = 8  # sets of actions, made before the clock runs and taken in turn


def many_steps(envs, actions):
    """Return a function that takes `N_ACTIONS` steps of all environments, as the caches are cold in the first of them."""
    envs.reset()

    def run():
        for chosen in actions:
            envs.step(chosen)

    return run


def stepper(envs, actions):
    """Return a function that takes one step of all environments."""
    envs.reset()
    turn = [0]

    def run():
        turn[0] = (turn[0] + 1) % N_ACTIONS
        envs.step(actions[turn[0]])

    return run


def random_actions(env_id, n):
    space = compiled_env(env_id).action_space
    draw = np.random.default_rng(0)
    if isinstance(space, gymnasium.spaces.Discrete):
        return draw.integers(space.n, size=(N_ACTIONS, n), dtype=np.int64)
    return draw.uniform(space.low, space.high, (N_ACTIONS, n, *space.shape)).astype(np.float32)

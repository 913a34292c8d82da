"""CPU time that fastars adds to a step of an environment in Python: `python -m bench.python_steps`.

It is measured in this process, on an environment whose step does nothing, and as CPU time: a busy machine changes little of it. A
tick steps all environments side by side, and has a cost that they share: the call of the kernel and the code around it.
"""

import time

import gymnasium
import numpy as np

from bench.formatting import seconds
from fastars._compiled.structs import LinearPolicy, identity_filter
from fastars.envs.gym import gym_env
from fastars.samplers.gym import GymSampler

N_STEPS, N_EPISODES, ROUNDS = 200, 16, 10
SIDE_BY_SIDE = (1, 2, 4, 8)


class Nothing(gymnasium.Env):
    """An environment whose steps do nothing."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (8,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    seen = np.zeros(8, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.seen, {}

    def step(self, action):
        return self.seen, 0.0, False, False, {}


def cpu_seconds(function):
    """Return the least CPU time of this thread in a call of a function."""
    times = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        function()
        times.append(time.thread_time() - start)
    return min(times)


def plain_loop():
    """Step an environment of `gymnasium.make` in a plain loop."""
    env = gymnasium.make("Nothing-v0")
    action = env.action_space.sample()
    for episode in range(N_EPISODES):
        env.reset(seed=episode)
        for _ in range(N_STEPS):
            env.step(action)


def main():
    gymnasium.register("Nothing-v0", entry_point=Nothing, max_episode_steps=N_STEPS, disable_env_checker=True)
    n_steps = N_EPISODES * N_STEPS
    print(f"{'a plain loop of gymnasium.make':40} {seconds(cpu_seconds(plain_loop) / n_steps)} per step")
    weights, seeds = np.zeros((N_EPISODES, 16)), np.arange(N_EPISODES, dtype=np.uint64)
    for n in SIDE_BY_SIDE:
        env = gym_env("Nothing-v0", "a benchmark")
        sampler = GymSampler(env, env.rollout_spec(LinearPolicy()), envs_per_worker=n)
        sampler.evaluate(weights, identity_filter(8), seeds, True)  # compiles
        took = cpu_seconds(lambda sampler=sampler: sampler.evaluate(weights, identity_filter(8), seeds, True))
        print(f"{f'fastars, {n} side by side':40} {seconds(took / n_steps)} per step")


if __name__ == "__main__":
    main()

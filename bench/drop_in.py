"""A script for ARS of stable-baselines3-contrib or of fastars; the imports differ: `python -m bench.drop_in fastars CartPole-v1`.

What `test_drop_in.py` times, in one process or as a process of its own.
"""

import argparse
import functools
import importlib
import sys
import time

import gymnasium

from bench.machine import THREADS, take_two_cpus

HERE, VECTOR, WORKERS = "one environment", "4 environments", f"{THREADS} workers"
VECTOR_WORKERS = f"{THREADS} workers of 4 environments"
MODES = (HERE, VECTOR, WORKERS, VECTOR_WORKERS)
HOMES_OF_ASYNC_EVAL = {"fastars": "fastars", "sb3_contrib": "sb3_contrib.common.vec_env"}
BUSY = "bench.drop_in:Busy-v0"
BUSY_SECONDS = 20e-6


class Busy(gymnasium.Env):
    """An environment with episodes of 200 steps. Each step keeps the CPU busy for 20 us."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (8,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation = self.np_random.uniform(-1.0, 1.0, 8).astype("float32")
        return self.observation, {}

    def step(self, action):
        end = time.perf_counter() + BUSY_SECONDS
        while time.perf_counter() < end:
            pass
        return self.observation, float(action[0]), False, False, {}


gymnasium.register("Busy-v0", entry_point="bench.drop_in:Busy", max_episode_steps=200)


def script(package, env_id, mode, n_delta, n_eval_episodes, seed, workers=None, physics=None):
    """Return the parts of a script before `learn`: a model, the keywords of `learn`, and the number of environments side by side.

    All of it is as stable-baselines3-contrib documents it, and the same for either package, which `ARS` and `AsyncEval` come from.
    Workers that run already may be given, and the physics of fastars, which the other package does not have.
    """
    ARS = importlib.import_module(package).ARS
    env, n_envs = env_id, 1
    if mode == VECTOR:
        from stable_baselines3.common.env_util import make_vec_env

        env, n_envs = make_vec_env(env_id, n_envs=4, seed=seed), 4
    settings = {"n_delta": n_delta, "n_eval_episodes": n_eval_episodes, "seed": seed, "device": "cpu"}
    if physics is not None:
        settings["physics"] = physics
    model = ARS("LinearPolicy", env, **settings)
    if mode not in (WORKERS, VECTOR_WORKERS):
        return model, {}, n_envs
    if workers is None:
        from stable_baselines3.common.env_util import make_vec_env

        AsyncEval = importlib.import_module(HOMES_OF_ASYNC_EVAL[package]).AsyncEval
        each = functools.partial(make_vec_env, env_id, n_envs=4 if mode == VECTOR_WORKERS else 1)
        workers = AsyncEval([each] * THREADS, model.policy, n_eval_episodes=n_eval_episodes)
    workers.seed(seed)  # waits for them
    return model, {"async_eval": workers}, n_envs


def bare_steps(env_id, n_steps):
    """Return the seconds per step of the environment alone, which gets the same action in every step."""
    env = gymnasium.make(env_id)
    action, _ = env.action_space.sample(), env.reset(seed=0)
    start = time.perf_counter()
    for _ in range(n_steps):
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return (time.perf_counter() - start) / n_steps


def one_torch_thread():
    """Let torch use one thread, on which products this small are faster."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def main():
    parser = argparse.ArgumentParser(description="Train once, as a script that imports ARS from a package.")
    parser.add_argument("package", choices=("fastars", "sb3_contrib"))
    parser.add_argument("env_id", metavar="ENV")
    parser.add_argument("--mode", choices=MODES, default=HERE)
    parser.add_argument("--n-delta", type=int, default=8)
    parser.add_argument("--n-eval-episodes", type=int, default=1)
    parser.add_argument("--total-timesteps", type=int, default=100_000)
    parser.add_argument("--physics", choices=("mujoco", "lanes"), help="of fastars in an environment of MuJoCo")
    arguments = parser.parse_args()
    take_two_cpus()
    which = arguments.env_id, arguments.mode, arguments.n_delta, arguments.n_eval_episodes
    model, keywords, _ = script(arguments.package, *which, seed=0, physics=arguments.physics)
    one_torch_thread()
    model.learn(arguments.total_timesteps, **keywords)


if __name__ == "__main__":
    main()

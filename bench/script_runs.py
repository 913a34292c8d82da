"""Runs of the script of `drop_in.py` with stable-baselines3-contrib and with fastars."""

import time
from typing import NamedTuple

from bench.drop_in import HERE, VECTOR, VECTOR_WORKERS, WORKERS, one_torch_thread, script

OURS, THEIRS = "fastars", "stable-baselines3-contrib"
PACKAGES = {OURS: "fastars", THEIRS: "sb3_contrib"}
ROUNDS = 3


class Case(NamedTuple):
    """A script. Its steps take stable-baselines3-contrib 10 to 60 s, and fastars should be `aim` times as fast."""

    env_id: str
    n_delta: int
    n_eval_episodes: int
    steps: int
    aim: float


class Lasting:
    """Worker processes of stable-baselines3-contrib, which live longer than a call of `learn`."""

    def __init__(self, workers):
        self.workers = workers

    def __getattr__(self, name):
        return getattr(self.workers, name)

    def close(self):
        pass


class Script:
    """Runs of a script with one package. stable-baselines3-contrib starts workers once, fastars with each model."""

    def __init__(self, package, env_id, mode, n_delta, n_eval_episodes, physics=None):
        self.arguments = package, env_id, mode, n_delta, n_eval_episodes
        self.physics = physics
        self.workers = None
        self.starts = []  # seconds until a model and its workers were ready
        self.runs = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.workers is not None:
            self.workers.workers.close()

    def first_iteration(self, seed):
        """Return the model, its keywords for `learn`, the count that a step adds, seconds and environment steps."""
        start = time.perf_counter()
        model, keywords, n_envs = script(*self.arguments, seed, self.workers, self.physics)
        if keywords and self.workers is None:
            self.starts.append(time.perf_counter() - start)
        if keywords and self.workers is None and self.arguments[0] == "sb3_contrib":
            self.workers = keywords["async_eval"] = Lasting(keywords["async_eval"])
        one_torch_thread()
        # Theirs counts a step of each of its environments whenever one of them takes a step: n_envs times what it did.
        counted = n_envs if self.arguments[0] == "sb3_contrib" else 1
        return model, keywords, counted, *timed(model, 1, counted, keywords)

    def run(self, seed, steps):
        """Run the first iteration, then `learn(steps)`."""
        model, keywords, counted, first_s, first_steps = self.first_iteration(seed)
        later_s, later_steps = timed(model, steps, counted, keywords)
        self.runs.append({"first_s": first_s, "first_steps": first_steps, "later_s": later_s, "later_steps": later_steps})
        getattr(model, "close", lambda: None)()


def timed(model, steps, counted, keywords):
    """Return the seconds of `learn`, and its environment steps."""
    start = time.perf_counter()
    model.learn(steps * counted, **keywords)
    return time.perf_counter() - start, model.num_timesteps // counted


def rates_by_mode(package, case):
    """Return environment steps per second of the first iteration, by mode; fastars has compiled its kernels before."""
    # One episode keeps one environment busy: where theirs has more of them, it lets the others run in vain.
    modes = (HERE, WORKERS) if case.n_eval_episodes == 1 else (HERE, VECTOR, WORKERS, VECTOR_WORKERS)
    rates = {}
    for mode in modes:
        with Script(package, case.env_id, mode, case.n_delta, case.n_eval_episodes) as script:
            if package == "fastars":
                script.first_iteration(0)[0].close()
            model, *_, seconds, steps = script.first_iteration(0)
            rates[mode] = steps / seconds
            getattr(model, "close", lambda: None)()
    return rates


def fastest(rates):
    """Return the mode with the highest rate."""
    return max(rates, key=rates.__getitem__)

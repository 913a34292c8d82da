"""The same script with stable-baselines3-contrib and with fastars: only the imports of ARS and AsyncEval differ (`drop_in.py`).

Theirs runs as it runs fastest: every way that it has is tried with one iteration, the fastest is timed against fastars in turn. The
time is that of `learn`, with kernels compiled before, and workers that are ready, as both packages start them before it; how long
that takes is kept beside it. The first iteration is timed apart, too.
"""

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.drop_in import BUSY, HERE, VECTOR, VECTOR_WORKERS, WORKERS, bare_steps, one_torch_thread, script
from bench.machine import THREADS
from bench.peers import optional

# Theirs, from any line of theirs; where warnings are errors, the import of Box2D's SWIG types crashes.
pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).parent.parent
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


# The later iterations of CartPole's have 64,000 steps: scripts that end before them, and one that goes on.
CASES = [
    Case("LunarLander-v3", 8, 1, 20_000, 5.0),
    Case(BUSY, 8, 1, 20_000, 5.0),
    Case("HalfCheetah-v5", 8, 1, 32_000, 10.0),
    Case("CartPole-v1", 64, 1, 100_000, 1000.0),
    Case("LunarLander-v3", 8, 4, 20_000, 5.0),
    Case("HalfCheetah-v5", 2, 4, 32_000, 10.0),
    Case("CartPole-v1", 64, 4, 100_000, 1000.0),
    Case("CartPole-v1", 64, 1, 500_000, 1000.0),
]
IDS = [f"{case.env_id.rpartition(':')[2]}-{case.n_eval_episodes}-{case.steps}" for case in CASES]
IN_PYTHON = ["LunarLander-v3", BUSY]
SHELL = CASES[3]


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

    def __init__(self, package, env_id, mode, n_delta, n_eval_episodes):
        self.arguments = package, env_id, mode, n_delta, n_eval_episodes
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
        model, keywords, n_envs = script(*self.arguments, seed=seed, workers=self.workers)
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


@pytest.mark.parametrize("env_id", IN_PYTHON)
def test_bare_environment(env_id, record, quick):
    """Time the steps of an environment in Python alone, in as many processes: no trainer can be faster."""
    if env_id == "LunarLander-v3":
        optional("Box2D")
    with multiprocessing.get_context("spawn").Pool(THREADS) as pool:
        pool.starmap(bare_steps, [(env_id, 100)] * THREADS, chunksize=1)
        rounds = [
            pool.starmap(bare_steps, [(env_id, 1_000 if quick else 20_000)] * THREADS, chunksize=1)
            for _ in range(1 if quick else ROUNDS)
        ]
    rates = [sum(1.0 / each for each in seconds) for seconds in rounds]
    record(kind="bare", env_id=env_id, steps_per_s=statistics.median(rates))


def test_whole_process(record, quick, tmp_path):
    """Time a whole process: imports, kernels from the cache, `learn`."""
    optional("sb3_contrib")
    case = SHELL._replace(steps=2_000) if quick else SHELL
    arguments = [case.env_id, "--n-delta", str(case.n_delta), "--total-timesteps", str(case.steps)]
    environment = {**os.environ, "FASTARS_CACHE_DIR": str(tmp_path)}

    def process_seconds(package):
        command = [sys.executable, "-m", "bench.drop_in", package, *arguments]
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        return time.perf_counter() - start

    first = process_seconds("fastars")  # compiles
    rounds = [{side: process_seconds(package) for side, package in PACKAGES.items()} for _ in range(1 if quick else ROUNDS)]
    seconds = {side: statistics.median(each[side] for each in rounds) for side in PACKAGES}
    record(kind="process", env_id=case.env_id, steps=case.steps, first_ever_s=first, seconds=seconds)


def rates_of_theirs(case):
    """Return environment steps per second of the first iteration, by mode."""
    # One episode keeps one environment busy: where theirs has more of them, it lets the others run in vain.
    modes = (HERE, WORKERS) if case.n_eval_episodes == 1 else (HERE, VECTOR, WORKERS, VECTOR_WORKERS)
    rates = {}
    for mode in modes:
        with Script("sb3_contrib", case.env_id, mode, case.n_delta, case.n_eval_episodes) as theirs:
            *_, seconds, steps = theirs.first_iteration(0)
            rates[mode] = steps / seconds
    return rates


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_same_script(case, record, quick):
    optional("sb3_contrib")
    if case.env_id == "LunarLander-v3":
        optional("Box2D")
    if quick:
        case = case._replace(n_delta=2, steps=1_000)
    trials = rates_of_theirs(case)
    best = max(trials, key=trials.__getitem__)
    settings = case.env_id, best, case.n_delta, case.n_eval_episodes
    with Script("fastars", *settings) as ours, Script("sb3_contrib", *settings) as theirs:
        scripts = {OURS: ours, THEIRS: theirs}
        ours.first_iteration(0)[0].close()  # compiles
        ours.starts.clear()
        for seed in range(1 if quick else ROUNDS):
            for each in scripts.values():
                each.run(seed, case.steps)
    record(
        kind="learn",
        **case._asdict(),
        mode=best,
        trials=trials,
        **{name: {side: getattr(each, name) for side, each in scripts.items()} for name in ("runs", "starts")},
    )

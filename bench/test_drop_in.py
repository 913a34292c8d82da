"""The same script with stable-baselines3-contrib and with fastars: only the imports of ARS and AsyncEval differ (`drop_in.py`).

Each side runs as it runs fastest: every way that the script has is tried with one iteration, and the fastest ways are timed in
turn. The time is that of `learn`, with kernels compiled before, and workers that are ready, as both packages start them before it;
how long that takes is kept beside it. The first iteration is timed apart, too.
"""

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.drop_in import BUSY, bare_steps
from bench.machine import THREADS
from bench.peers import optional
from bench.script_runs import OURS, PACKAGES, ROUNDS, THEIRS, Case, Script, fastest, rates_by_mode

# Theirs, from any line of theirs; where warnings are errors, the import of Box2D's SWIG types crashes.
pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).parent.parent

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


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_same_script(case, record, quick):
    optional("sb3_contrib")
    if case.env_id == "LunarLander-v3":
        optional("Box2D")
    if quick:
        case = case._replace(n_delta=2, steps=1_000)
    trials = {side: rates_by_mode(package, case) for side, package in PACKAGES.items()}
    modes = {side: fastest(rates) for side, rates in trials.items()}
    settings = case.n_delta, case.n_eval_episodes
    with (
        Script("fastars", case.env_id, modes[OURS], *settings) as ours,
        Script("sb3_contrib", case.env_id, modes[THEIRS], *settings) as theirs,
    ):
        scripts = {OURS: ours, THEIRS: theirs}
        ours.first_iteration(0)[0].close()  # compiles
        ours.starts.clear()
        for seed in range(1 if quick else ROUNDS):
            for each in scripts.values():
                each.run(seed, case.steps)
    record(
        kind="learn",
        **case._asdict(),
        modes=modes,
        trials=trials,
        **{name: {side: getattr(each, name) for side, each in scripts.items()} for name in ("runs", "starts")},
    )

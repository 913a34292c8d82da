"""Whole processes, from their start: imports, the first run ever, later runs, the command's help."""

import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FIRST_ITERATION = """
from fastars import ARS
ARS("LinearPolicy", "CartPole-v1", seed=0).learn(1)
print("trained", flush=True)
"""
FIRST_IN_MUJOCO = FIRST_ITERATION.replace("CartPole-v1", "HalfCheetah-v5")
FIRST_OVER_LANES = FIRST_IN_MUJOCO.replace("seed=0", "seed=0, physics='lanes'")
SECOND_OVER_LANES = FIRST_OVER_LANES.replace("HalfCheetah-v5", "Hopper-v5")
HAS_MUJOCO = importlib.util.find_spec("mujoco") is not None


def process_seconds(arguments, cache):
    """Return the seconds from the start of a Python process to its first line of output, or to its end if it prints nothing."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment["FASTARS_CACHE_DIR"] = str(cache)
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        seconds = time.perf_counter() - start
        process.stdout.read()
    assert process.returncode == 0
    return seconds


@pytest.fixture(scope="module")
def warm_cache(tmp_path_factory):
    cache = tmp_path_factory.mktemp("kernels")
    for program in (FIRST_ITERATION, FIRST_IN_MUJOCO, FIRST_OVER_LANES) if HAS_MUJOCO else (FIRST_ITERATION,):
        process_seconds(["-c", program], cache)
    return cache


FIRST_RUNS = {
    "first run ever, to the end of the first iteration (aim: 7 s)": FIRST_ITERATION,
    "first run ever on HalfCheetah-v5, to the end of the first iteration (aim: 9 s)": FIRST_IN_MUJOCO,
    "first run ever on HalfCheetah-v5 over lanes (aim: 15 s)": FIRST_OVER_LANES,
}


@pytest.mark.parametrize("what", FIRST_RUNS)
def test_first_run_ever(what, benchmark, record, quick, tmp_path_factory):
    if FIRST_RUNS[what] is not FIRST_ITERATION and not HAS_MUJOCO:
        pytest.skip("the mujoco package is not installed")
    seconds = []

    def run():
        seconds.append(process_seconds(["-c", FIRST_RUNS[what]], tmp_path_factory.mktemp("kernels")))

    benchmark.pedantic(run, rounds=1 if quick else 3)
    record(what=what, seconds=statistics.median(seconds))


@pytest.mark.skipif(not HAS_MUJOCO, reason="the mujoco package is not installed")
def test_second_planar_model(benchmark, record, quick, tmp_path_factory):
    """Time the first run of a second model of the plane, for which the physics over lanes is compiled already."""
    first = tmp_path_factory.mktemp("kernels")
    process_seconds(["-c", FIRST_OVER_LANES], first)
    seconds = []

    def run():
        cache = tmp_path_factory.mktemp("kernels") / "copy"
        shutil.copytree(first, cache)
        seconds.append(process_seconds(["-c", SECOND_OVER_LANES], cache))

    benchmark.pedantic(run, rounds=1 if quick else 3)
    record(what="first run ever on Hopper-v5 over lanes, after HalfCheetah-v5's", seconds=statistics.median(seconds))


PROCESSES = {
    "`import fastars`": ["-c", "import fastars"],
    "later runs, to the end of the first iteration": ["-c", FIRST_ITERATION],
    **({"later runs on HalfCheetah-v5 (aim: 2 s)": ["-c", FIRST_IN_MUJOCO]} if HAS_MUJOCO else {}),
    **({"later runs on HalfCheetah-v5 over lanes (aim: 2 s)": ["-c", FIRST_OVER_LANES]} if HAS_MUJOCO else {}),
    "`python -c pass`": ["-c", "pass"],
    "`import numpy`": ["-c", "import numpy"],
    "`import numba, gymnasium`": ["-c", "import numba, gymnasium"],
}


def test_processes(race, record, warm_cache):
    seconds = race({name: lambda a=a: process_seconds(a, warm_cache) for name, a in PROCESSES.items()}, budget=20.0, max_rounds=9)
    for what, value in seconds.items():
        record(what=what, seconds=value)


@pytest.mark.skipif(importlib.util.find_spec("fastars.__main__") is None, reason="no command yet")
@pytest.mark.parametrize("arguments", [["--help"], ["envs"]], ids=" ".join)
def test_command(arguments, race, record, warm_cache):
    seconds = race({"command": lambda: process_seconds(["-m", "fastars", *arguments], warm_cache)}, budget=4.0, max_rounds=9)
    record(what=f"`fastars {' '.join(arguments)}`", seconds=seconds["command"])

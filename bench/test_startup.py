"""Whole processes, from their start: imports, the first run ever, later runs, the command's help."""

import importlib.util
import os
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


def process_seconds(arguments, cache):
    """Seconds from the start of a Python process to its first line of output, or to its end if it prints nothing."""
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
    process_seconds(["-c", FIRST_ITERATION], cache)
    return cache


def test_first_run_ever(benchmark, record, quick, tmp_path_factory):
    seconds = []

    def run():
        seconds.append(process_seconds(["-c", FIRST_ITERATION], tmp_path_factory.mktemp("kernels")))

    benchmark.pedantic(run, rounds=1 if quick else 3)
    record(what="first run ever, to the end of the first iteration", seconds=statistics.median(seconds))


PROCESSES = {
    "`import fastars`": ["-c", "import fastars"],
    "later runs, to the end of the first iteration": ["-c", FIRST_ITERATION],
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

"""Fixtures of the benchmarks. `race` times competitors in turn, `record` keeps a row for a result file."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.machine import machine_info, take_two_cpus

take_two_cpus()
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the table of cases

RESULTS = Path(__file__).parent / "results"
_ROWS: pytest.StashKey[dict[str, list[dict[str, Any]]]] = pytest.StashKey()
_INCOMPLETE: pytest.StashKey[set[str]] = pytest.StashKey()
_MIN_SAMPLE = 1e-3  # s; what takes less is repeated within a sample, so that the clock's 50 ns don't count


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="small sizes, few rounds, no result files: do the benchmarks run?")


def pytest_configure(config):
    config.stash[_ROWS] = {}
    config.stash[_INCOMPLETE] = set()


def pytest_deselected(items):
    for item in items:
        item.config.stash[_INCOMPLETE].add(item.module.__name__)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        item.config.stash[_INCOMPLETE].add(item.module.__name__)


def pytest_sessionfinish(session):
    """Write a result file for every module that ran as a whole and passed; any other keeps the file it has."""
    config = session.config
    if config.getoption("quick") or any("::" in argument for argument in config.args):
        return
    for module, rows in config.stash[_ROWS].items():
        if module not in config.stash[_INCOMPLETE]:
            name = module.rpartition("test_")[2]
            result = {"table": name, "machine": machine_info(), "rows": rows}
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


@pytest.fixture(scope="session")
def quick(pytestconfig):
    return pytestconfig.getoption("quick")


@pytest.fixture
def record(request):
    """Keep a row: `record(key=value, ...)`."""
    return lambda **row: request.config.stash[_ROWS].setdefault(request.module.__name__, []).append(row)


@pytest.fixture
def race(benchmark, quick):
    """`race({name: function}, budget)` -> median seconds per name, after a warm-up, the competitors in turn: A B C A B C ..."""

    def run(competitors: dict[str, Callable[[], Any]], budget: float = 1.0, max_rounds: int = 31) -> dict[str, float]:
        first, *others = competitors
        counts = {name: _calls_per_sample(function) for name, function in competitors.items()}
        round_seconds = sum(_sample(function, counts[name]) * counts[name] for name, function in competitors.items())
        rounds = 3 if quick else int(min(max(budget / round_seconds, 3), max_rounds))
        seconds: dict[str, list[float]] = {name: [] for name in others}

        def time_others():
            for name in others:
                seconds[name].append(_sample(competitors[name], counts[name]))

        benchmark.group = f"rounds of {counts[first]} calls"  # in pytest-benchmark's own table, which knows rounds only
        # pytest-benchmark times the first competitor; the others run between its rounds.
        benchmark.pedantic(_repeat, args=(competitors[first], counts[first]), setup=time_others, rounds=rounds)
        if benchmark.stats is None:  # --benchmark-disable
            return {name: _sample(function, counts[name]) for name, function in competitors.items()}
        medians = {first: statistics.median(benchmark.stats.stats.data) / counts[first]}
        medians.update({name: statistics.median(samples) for name, samples in seconds.items()})
        benchmark.extra_info.update(seconds=medians, calls_per_round=counts[first])
        return medians

    return run


def _calls_per_sample(function):
    """Return the number of calls that take `_MIN_SAMPLE` together. This is also the warm-up: the first call compiles."""
    function()
    return max(1, int(_MIN_SAMPLE / max(_sample(function, 1), 1e-9)))


def _sample(function, n_calls):
    """Return the seconds per call."""
    start = time.perf_counter()
    _repeat(function, n_calls)
    return (time.perf_counter() - start) / n_calls


def _repeat(function, n_calls):
    for _ in range(n_calls):
        function()

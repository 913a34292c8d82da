"""Set-up of all tests: settings of Hypothesis, tests that look at a clock, and counts of injected faults."""

import gc
import json
import signal
import time
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# A shell makes a process that it starts in the background ignore Ctrl-C, and the children of that process inherit this.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Every run draws other examples. A failure is printed with the line `@reproduce_failure(...)` that draws its example again.
# No check of Hypothesis looks at a clock: a busy machine fails no test.
settings.register_profile(
    "fastars", derandomize=False, print_blob=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fastars")


def pytest_collection_modifyitems(config, items):
    """Skip tests that look at a clock in the workers of pytest-xdist: the other workers would slow them down."""
    if hasattr(config, "workerinput"):
        skip = pytest.mark.skip(reason="looks at a clock, runs alone: python -m pytest -m timing")
        for item in items:
            if item.get_closest_marker("timing"):
                item.add_marker(skip)


def slowdown(cpu_seconds=0.1):
    """Return the elapsed time of a loop divided by its CPU time: 1 on an idle machine, more where other processes run."""
    start, end = time.perf_counter(), time.thread_time() + cpu_seconds
    while time.thread_time() < end:
        pass
    return max((time.perf_counter() - start) / cpu_seconds, 1.0)


@pytest.fixture
def limit(request):
    """A function of a bound in seconds: the bound for this machine at this moment.

    A busy machine gets more time, by twice the part that it adds to a loop, before or after the measurement: what is measured waits
    for several processes one after the other. (With 8 runnable processes on 2 CPUs the loop took 3.4 times as long, and the end of
    a command with two workers 3.5 s in place of 0.7 s.) With `--full`, whose times are published, the bound stays as it is.
    """
    before = slowdown()
    return lambda seconds: seconds * (1.0 if request.config.getoption("full") else 2.0 * max(before, slowdown()) - 1.0)


@pytest.fixture(autouse=numba.config.DISABLE_JIT)
def numpys_scalars_do_not_warn():
    """Without compilation, kernels compute with NumPy's scalars, which warn where uint64 wraps around or inf - inf is NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        yield


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="inject faults as often as `make trust` does")
    parser.addoption("--tally", type=Path, metavar="FILE", help="put what the tests counted into FILE, as JSON")


class Tally:
    """Counts of a test that injects faults. The test is marked with `promise(row)`, a row of docs/promises.md."""

    def __init__(self, request):
        self._request, self._row = request, request.node.get_closest_marker("promise").args[0]
        self.is_full = request.config.getoption("full")

    def of(self, fast, full):
        """Return the number of faults to inject: `full` for the published counts, `fast` for every change."""
        return full if self.is_full else fast

    def __call__(self, what, count, of=None, unit=""):
        """Keep a count: `tally("kills survived", 50, of=50)`, `tally("slowest recovery", 0.8, unit="s")`."""
        count = {"row": self._row, "what": what, "count": count, "of": of, "unit": unit, "test": self._request.node.originalname}
        self._request.node.user_properties.append(("tally", count))


@pytest.fixture
def no_gc_callbacks():
    """Hypothesis leaves one, and Python drops what is raised in it, a KeyboardInterrupt too."""
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks.extend(callbacks)


@pytest.fixture
def tally(request):
    return Tally(request)


def added_up(counts):
    """Return the counts, those of the cases of one test added up where they are of one name: 1 of 1 for each case."""
    sums = {}
    for number, count in enumerate(counts):
        key = (count["test"], count["what"]) if count["of"] is not None else number
        before = sums.get(key, {"count": 0, "of": 0})
        sums[key] = count if count["of"] is None else {**count, **{name: before[name] + count[name] for name in ("count", "of")}}
    return list(sums.values())


def pytest_terminal_summary(terminalreporter, config):
    """Print all counts, and write them: those of tests that failed are no results."""
    if hasattr(config, "workerinput"):  # of pytest-xdist, which hands the reports to the first process
        return
    reports = [report for report in terminalreporter.stats.get("passed", ()) if report.when == "call"]
    counts = [count for report in reports for name, count in report.user_properties if name == "tally"]
    if not counts:
        return
    counts = sorted(added_up(counts), key=lambda count: count["row"])
    terminalreporter.section("counts of faults")
    for count in counts:
        of = "" if count["of"] is None else f" of {count['of']:,}"
        terminalreporter.line(f"{count['row']:2} {count['what']}: {count['count']:,}{of} {count['unit']}".rstrip())
    if path := config.getoption("tally"):
        from bench.machine import machine_info

        ran = {count["test"] for count in counts}
        before = json.loads(path.read_text())["rows"] if path.exists() else []
        counts = sorted([*(row for row in before if row["test"] not in ran), *counts], key=lambda count: count["row"])
        path.write_text(json.dumps({"table": "trust", "machine": machine_info(), "rows": counts}, indent=1) + "\n")

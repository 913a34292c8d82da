"""Set-up of the tests, and the counts of those that break things on purpose."""

import gc
import json
import signal
from pathlib import Path

import numba
import numpy as np
import pytest

# A shell that starts a process in the background has it, and all that it starts, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=numba.config.DISABLE_JIT)
def numpys_scalars_do_not_warn():
    """Without compilation, kernels compute with NumPy's scalars, which warn where uint64 wraps around or inf - inf is NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        yield


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="inject faults as often as `make trust` does")
    parser.addoption("--tally", type=Path, metavar="FILE", help="put what the tests counted into FILE, as JSON")


class Tally:
    """What a test that injects faults counted. The test is marked with `promise(row)`, a row of docs/promises.md."""

    def __init__(self, request):
        self._request, self._row = request, request.node.get_closest_marker("promise").args[0]
        self.is_full = request.config.getoption("full")

    def of(self, fast, full):
        """How often a fault is injected: `full` times for the committed counts, `fast` times for every change."""
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


def pytest_terminal_summary(terminalreporter, config):
    """Print all counts, and write them: those of tests that failed are no results."""
    if hasattr(config, "workerinput"):  # of pytest-xdist, which hands the reports to the first process
        return
    reports = [report for report in terminalreporter.stats.get("passed", ()) if report.when == "call"]
    counts = [count for report in reports for name, count in report.user_properties if name == "tally"]
    if not counts:
        return
    counts.sort(key=lambda count: count["row"])
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

"""Kernels that another process compiles: those that a run needs, for its types; and whatever happens to it, the run goes on.

Broken on purpose: no wait for the other process -> test_a_kernel_comes_from; `sys.stdin.read` in its thread, which aborts it ->
test_it_compiles_all; no patience, or a wait for a dead one -> test_the_run_goes_on; errors of its start raised ->
test_a_python_that_does_not_start; nothing read in that thread, no `atexit` -> test_nothing_is_left; no look at one of CPUs, worker,
interpreter, switch, number, cache -> test_none_is_started; other types in an order -> test_a_run_needs.
"""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fastars import ARS, kernels
from fastars._compiled import ahead, jit
from fastars.training import ahead as of_training

ROOT = Path(__file__).parent.parent
SECONDS = 120.0  # that a process is given to end
VALUES = np.arange(3.0)
START = """
import os, sys, time
import numpy as np
from fastars import kernels
from fastars._compiled import ahead

made, values = [], np.arange(3.0)

class Helper(ahead._Helper):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        made.append(self._process)

ahead._Helper, ahead.available_cpus = Helper, lambda: 2
ahead.compile_elsewhere([(kernels.info, values, values, values), (kernels.norm, values), (kernels.norm_sq, values)])
"""
CALL = "\nprint(round(kernels.info(values, values, values).grad_norm_sq, 9), sum(kernels.info.stats.cache_hits.values()))"
HERE, IN_CACHE = ["5.0", "0"], ["5.0", "1"]
pytestmark = [
    pytest.mark.skipif(jit.numba.config.DISABLE_JIT, reason="nothing is compiled"),
    pytest.mark.skipif(os.name != "posix", reason="signals of POSIX"),
]


def started(code, cache):
    environment = {**os.environ, "FASTARS_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-W", "error", "-c", code], env=environment, **pipes)


def words(code, cache):
    """The output of a process that runs this code with a cache."""
    with started(code, cache) as process:
        found = process.stdout.read().split()
    assert process.returncode == 0
    return found


def has_ended(pid):
    """True once there is no such process, or nothing of it but its exit code, which nobody takes."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_a_kernel_comes_from_the_other_process(tmp_path):
    assert words(START + CALL, tmp_path) == IN_CACHE


def test_it_compiles_all_kernels_then_ends(tmp_path):
    assert words(START + "print(made[0].wait())", tmp_path) == ["0"]
    assert {path.name.split(".")[3] for path in tmp_path.glob("*.kernel")} >= {"info", "norm", "norm_sq"}


@pytest.mark.parametrize("fault", ["kill()", "send_signal(19)"], ids=["killed", "stopped"])
def test_the_run_goes_on_without_it(fault, tmp_path):
    patience = "\nahead._PATIENCE_SECONDS = 0.5\n"
    assert words(f"{START}{patience}made[0].{fault}{CALL}", tmp_path) == HERE


@pytest.mark.parametrize("path", ["/nowhere/python", "/bin/false"])
def test_a_python_that_does_not_start(path, tmp_path):
    code = START.replace("ahead.compile", f"sys.executable = {path!r}\nahead.compile")
    assert words(code + CALL, tmp_path) == HERE


def test_other_sources_than_those_of_this_process(tmp_path):
    """Files that it would write under other names are not waited for."""
    code = START.replace("ahead.compile", "import numba\nnumba.config.OPT = 2\nahead.compile")
    assert words(f"{code}print(made[0].wait()){CALL}", tmp_path) == ["0", *HERE]
    assert len(list(tmp_path.glob("*.info.*"))) == 1


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_nothing_is_left_of_it(end, tmp_path):
    stopped = "; os.kill(made[0].pid, 19)" if end == "exit" else ""  # one that would not hear of the end of this process
    with started(f"{START}print(made[0].pid, flush=True){stopped}; sys.stdin.readline()", tmp_path) as process:
        pid = int(process.stdout.readline())
        assert pid in map(int, filter(str.isdigit, os.listdir("/proc")))
        if end == "kill":
            process.kill()
    assert has_ended(pid)
    assert not list(tmp_path.glob("*.info.*"))  # it did not end for want of work


def test_it_is_ended_when_all_is_compiled(tmp_path):
    assert words(START + "ahead.end_helpers(); print(made[0].returncode)", tmp_path) == ["-9"]


@pytest.fixture
def made(monkeypatch, tmp_path):
    """The orders for other processes, where the cache is empty and there are two CPUs. None is started."""
    orders = []

    class Recorder:
        def __init__(self, order, paths):
            orders.append(paths)

        def wait_for(self, path):
            pass

    monkeypatch.setattr(ahead, "_Helper", Recorder)
    monkeypatch.setattr(ahead, "_helpers", [])
    monkeypatch.setattr(ahead, "available_cpus", lambda: 2)
    monkeypatch.setattr("fastars._compiled.kernel_cache.cache_directory", lambda: str(tmp_path))
    return orders


CALLS = [(kernels.info, VALUES, VALUES, VALUES), (kernels.norm, VALUES)]


def test_one_is_started(made):
    ahead.compile_elsewhere(CALLS)
    assert [len(paths) for paths in made] == [2]


@pytest.mark.parametrize(
    "change",
    [
        (ahead, "available_cpus", lambda: 1),
        (multiprocessing, "parent_process", lambda: "its parent"),
        (sys, "executable", ""),
        (jit.numba.config, "DISABLE_JIT", 1),
        (ahead, "CALLS", CALLS[:1]),
    ],
    ids=lambda change: change[1],
)
def test_none_is_started(change, made, monkeypatch):
    where, name, value = change
    monkeypatch.setattr(where, name, value, raising=False)
    ahead.compile_elsewhere(getattr(ahead, "CALLS", CALLS))
    assert made == []


def test_none_is_started_where_kernels_are_in_the_cache(made, tmp_path):
    ahead.compile_elsewhere(CALLS)
    made[0][0].touch()
    ahead.compile_elsewhere(CALLS)
    assert len(made) == 1


def test_none_is_started_without_a_cache(made, monkeypatch):
    monkeypatch.setattr("fastars._compiled.kernel_cache.cache_directory", lambda: None)
    ahead.compile_elsewhere(CALLS)
    assert made == []


def test_none_is_asked_for_where_episodes_run_in_python(monkeypatch):
    """The second CPU is for worker processes."""
    calls = []
    monkeypatch.setattr(of_training, "compile_elsewhere", calls.extend)
    ARS("LinearPolicy", "CartPole-v1", compiled=False, seed=0)
    assert calls == []


def test_the_first_iteration_ends_it(monkeypatch):
    ended = []
    helper = SimpleNamespace(wait_for=lambda path: None, end=lambda: ended.append(True))
    monkeypatch.setattr(ahead, "_helpers", [helper])
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=2, seed=0)
    assert not ended
    model.learn(1)
    assert ended


@pytest.mark.parametrize(("env", "settings"), [("CartPole-v1", {}), ("HalfCheetah-v5", {"physics": "lanes"})], ids=str)
def test_a_run_needs_what_was_ordered(env, settings, monkeypatch):
    """Types that differ from those of the run would compile for nobody."""
    if settings:
        pytest.importorskip("mujoco")
    calls = []
    monkeypatch.setattr(of_training, "compile_elsewhere", calls.extend)
    ARS("LinearPolicy", env, n_delta=2, seed=0, max_episode_steps=10, **settings).learn(1)
    assert len(calls) == (12 if settings else 10)
    for kernel, *arguments in calls:
        assert tuple(map(kernel.typeof_pyval, arguments)) in kernel.overloads, kernel.py_func.__name__

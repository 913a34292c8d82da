"""Kernels that another process compiles: those that a run needs, for its types; and whatever happens to it, the run goes on.

Broken on purpose: no wait for the other process, imports before the folders are set, a relative folder of the cache, one that
is not handed on -> test_a_kernel_comes_from; no patience, or an end that kills nothing -> test_the_run_goes_on; errors of its
start raised -> test_a_python_that_does_not_start; kernels of other sources compiled -> test_other_sources; no `atexit`, or
nothing read in the other process -> test_nothing_is_left; a fork that forgets nothing, or keeps the pipe -> test_a_fork and
test_nothing_is_left; nobody who takes the exit code, or closes the pipe -> test_a_first_run; no look at one of CPUs, memory,
worker, interpreter, number -> test_none_is_started; at the cache, another helper, a dead one -> the tests after it; at the
backend, a file, `NUMBA_DISABLE_JIT`, an earlier iteration -> test_none_is_asked_for; no end by the iteration, or by errors of
the constructor or of `learn` -> the tests of these names; another type or number of arguments in an order -> test_a_run_needs;
no share, or errors of it raised -> test_its_share.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastars import ARS, kernels
from fastars._compiled import ahead, jit
from fastars.training import ahead as of_training

ROOT = Path(__file__).parent.parent
SECONDS = 300.0  # that a process is given to end
VALUES = np.arange(3.0)
HELPER = """
import os, sys, time
import numpy as np
from fastars import kernels
from fastars._compiled import ahead

made, values = [], np.arange(3.0)

class Helper(ahead._Helper):
    def __init__(self, orders, share):
        super().__init__(orders, share)
        made.append(self._process)

ahead._Helper, ahead.available_cpus, ahead.spare_memory = Helper, lambda: 2, lambda: None

def wait_for_its_end():
    # Nobody asks for its exit code here: it is gone only if somebody else has taken that.
    end = time.monotonic() + 250
    while os.path.exists(f"/proc/{made[0].pid}") and time.monotonic() < end:
        time.sleep(0.01)
"""
START = (
    HELPER
    + "ahead.compile_elsewhere([(kernels.info, values, values, values), (kernels.norm, values), (kernels.norm_sq, values)])\n"
)
CALL = "\nprint(round(kernels.info(values, values, values).grad_norm_sq, 9), sum(kernels.info.stats.cache_hits.values()))"
HERE, IN_CACHE = ["5.0", "0"], ["5.0", "1"]
pytestmark = [
    pytest.mark.skipif(jit.numba.config.DISABLE_JIT, reason="nothing is compiled"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="signals of POSIX, and the processes of Linux"),
]


def started(code, cache, **settings):
    environment = {**os.environ, "FASTARS_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", code],
        env=environment,
        **pipes,
        **settings,
    )


def words(code, cache, **settings):
    """The output of a process that runs this code with a cache."""
    with started(code, cache, **settings) as process:
        try:
            found = process.communicate(timeout=SECONDS)[0].split()
        finally:
            process.kill()
    assert process.returncode == 0
    return found


def state_of(pid):
    """The letter of a process's state; "" if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def has_ended(pid):
    """True once there is no such process, or nothing of it but its exit code, which nobody takes."""
    end = time.monotonic() + SECONDS
    while state_of(pid) not in ("", "Z") and time.monotonic() < end:
        time.sleep(0.01)
    return state_of(pid) in ("", "Z")


# --- The other process


def test_a_kernel_comes_from_the_other_process(tmp_path):
    """It looks for the cache where this one did, though that has gone to another folder, and imports nothing from there."""
    here = tmp_path / "here"
    here.mkdir()
    for name in ("json", "pickle", "numpy", "zlib"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    path = [entry for entry in [str(ROOT), *sys.path] if entry]
    first = f"import sys; sys.path[:] = {path}\nfrom fastars._compiled.kernel_cache import cache_directory\ncache_directory()"
    assert words(f"{first}\nimport os; os.chdir('here')\n{START}{CALL}", "cache", cwd=tmp_path) == IN_CACHE
    assert (tmp_path / "cache").exists()
    assert not (tmp_path / "imported").exists()
    assert not (here / "cache").exists()


@pytest.mark.parametrize("fault", ["kill()", "send_signal(19)"], ids=["killed", "stopped"])
def test_the_run_goes_on_without_it(fault, tmp_path):
    patience = "\nahead._PATIENCE_SECONDS = 0.5\n"
    assert words(f"{START}{patience}made[0].{fault}{CALL}\nprint(made[0].returncode)", tmp_path) == [*HERE, "-9"]


@pytest.mark.parametrize("first", ["norm", "a_kernel_that_fails"])
def test_its_share_comes_before_waiting(first, tmp_path):
    """The other process is stopped at the one kernel; this one compiles another, whatever comes of that, and then waits for it."""
    share = f"from numba import types\n{first} = kernels.norm if {first == 'norm'} else SimpleNamespace(compile=fail)"
    code = f"""from types import SimpleNamespace
{HELPER}
def fail(types):
    raise ValueError("the user's function")

{share}
order = ahead._missing([(kernels.info, values, values, values)])
signature = (kernels.norm.typeof_pyval(values),)
orders = [("fastars.kernels", "info", types, path) for _, types, path in order]
helper = Helper(orders, [({first}, signature), (kernels.norm_sq, signature)])
ahead._helpers[:] = [helper]
made[0].send_signal(19)
ahead._PATIENCE_SECONDS = 0.5
kernels.info(values, values, values)
print(len(kernels.norm.overloads), len(kernels.norm_sq.overloads), made[0].returncode)"""
    assert words(code, tmp_path) == [str(int(first == "norm")), "1", "-9"]


def test_a_python_that_does_not_start(tmp_path):
    """There is none of that name; then one that ends with an error."""
    python = tmp_path / "python3"
    twice = START.replace(HELPER, "")
    code = f"{HELPER}sys.executable = {str(python)!r}\n{twice}os.symlink('/bin/false', sys.executable)\n{twice}"
    assert words(f"{code}{CALL}; print(len(made))", tmp_path) == [*HERE, "1"]


def test_other_sources_than_those_of_this_process(tmp_path):
    """Files that it would write under other names are not waited for."""
    code = START.replace("ahead.compile", "import numba\nnumba.config.OPT = 2\nahead.compile")
    assert words(f"{code}wait_for_its_end(){CALL}", tmp_path) == HERE
    assert len(list(tmp_path.glob("*.info.*"))) == 1


@pytest.mark.parametrize("end", ["exit", "kill", "kill, with a fork that goes on"])
def test_nothing_is_left_of_it(end, tmp_path):
    stopped = "os.kill(made[0].pid, 19)" if end == "exit" else ""  # one that would not hear of the end of this process
    fork = "child = os.fork()\nif child == 0: time.sleep(600)" if "fork" in end else "child = 0"
    code = f"{START}{stopped}\n{fork}\nprint(made[0].pid, child, flush=True); sys.stdin.readline()"
    with started(code, tmp_path) as process:
        pid, child = map(int, process.stdout.readline().split())
        assert state_of(pid) not in ("", "Z")
        if end != "exit":
            process.kill()
        else:
            process.stdin.close()
        assert has_ended(pid)
        if child:
            assert state_of(child) not in ("", "Z")
            os.kill(child, 9)
    assert not list(tmp_path.glob("*.info.*"))  # it did not end for want of work


def test_a_fork_neither_waits_for_it_nor_ends_it(tmp_path):
    code = f"""{START}
os.kill(made[0].pid, 19)
child = os.fork()
if child == 0:
    ahead._PATIENCE_SECONDS = 1e6
    kernels.info(values, values, values)
    sys.exit(0)
print(os.waitpid(child, 0)[1])
print(open(f"/proc/{{made[0].pid}}/stat").read().rpartition(")")[2].split()[0])
"""
    assert words(code, tmp_path) == ["0", "T"]


# --- When one is started


class Recorder:
    """A stand-in for the other process: none is started."""

    def __init__(self, orders=()):
        self.paths, self.alive = [path for *_, path in orders], True

    def is_alive(self):
        return self.alive

    def wait_for(self, path):
        pass

    def end(self):
        self.alive = False


@pytest.fixture
def made(monkeypatch, tmp_path):
    """The helpers, where the cache is empty and there are two CPUs."""
    helpers = []

    def make(orders, share):
        helpers.append(Recorder(orders))
        return helpers[-1]

    monkeypatch.setattr(ahead, "_Helper", make)
    monkeypatch.setattr(ahead, "_helpers", [])
    monkeypatch.setattr(ahead, "available_cpus", lambda: 2)
    monkeypatch.setattr(ahead, "spare_memory", lambda: None)
    monkeypatch.setattr("fastars._compiled.kernel_cache.cache_directory", lambda: str(tmp_path))
    return helpers


CALLS = [(kernels.info, VALUES, VALUES, VALUES), (kernels.norm, VALUES)]


def test_one_is_started(made):
    ahead.compile_elsewhere(CALLS)
    assert [len(helper.paths) for helper in made] == [2]


@pytest.mark.parametrize(
    "change",
    [
        (ahead, "available_cpus", lambda: 1),
        (ahead, "spare_memory", lambda: (1 << 30) - 1),
        (ahead, "has_interpreter", lambda: False),
        (multiprocessing, "parent_process", lambda: "its parent"),
        (ahead, "CALLS", CALLS[:1]),
    ],
    ids=lambda change: change[1],
)
def test_none_is_started(change, made, monkeypatch):
    where, name, value = change
    monkeypatch.setattr(where, name, value, raising=False)
    ahead.compile_elsewhere(getattr(ahead, "CALLS", CALLS))
    assert made == []


def test_none_is_started_where_kernels_are_in_the_cache(made):
    ahead.compile_elsewhere(CALLS)
    made[0].paths[0].touch()
    made[0].end()
    ahead.compile_elsewhere(CALLS)
    assert len(made) == 1


def test_one_kernel_is_enough_while_another_is_compiled_here(made):
    ahead.compile_elsewhere(CALLS[:1], CALLS[1:])
    assert [len(helper.paths) for helper in made] == [1]
    made[0].end()
    ahead.compile_elsewhere([], CALLS)
    assert len(made) == 1


def test_there_is_one_at_a_time(made):
    """Two models that are made one after the other, or on two threads, need many of the same kernels."""
    ahead.compile_elsewhere(CALLS)
    ahead.compile_elsewhere(CALLS)
    assert len(made) == 1
    made[0].end()
    ahead.compile_elsewhere(CALLS)
    assert len(made) == 2


def test_none_is_started_without_a_cache(made, monkeypatch):
    monkeypatch.setattr("fastars._compiled.kernel_cache.cache_directory", lambda: None)
    ahead.compile_elsewhere(CALLS)
    assert made == []


# --- In a run


@pytest.fixture
def ordered(monkeypatch):
    """The calls of kernels that models ask for, in a process that has been through no iteration. None is compiled elsewhere."""
    calls = []
    monkeypatch.setattr(of_training, "compile_elsewhere", lambda there, here=(): calls.extend([*there, *here]))
    monkeypatch.setattr(of_training, "_has_iterated", lambda: False)
    return calls


@pytest.mark.parametrize("settings", [{"compiled": False}, {"backend": "numpy"}], ids=str)
def test_none_is_asked_for_where_episodes_run_in_python(settings, ordered):
    """The second CPU is for worker processes."""
    ARS("LinearPolicy", "CartPole-v1", seed=0, **settings)
    assert ordered == []


def test_none_is_asked_for_where_nothing_is_compiled(ordered, monkeypatch):
    monkeypatch.setattr(of_training, "compiles", lambda: False)
    ARS("LinearPolicy", "CartPole-v1", seed=0)
    assert ordered == []


def test_none_is_asked_for_after_the_first_iteration_of_a_process(ordered, monkeypatch):
    ARS("LinearPolicy", "CartPole-v1", n_delta=2, seed=0).learn(1)
    monkeypatch.undo()
    monkeypatch.setattr(of_training, "compile_elsewhere", lambda *calls: ordered.append(calls))
    ordered.clear()
    ARS("LinearPolicy", "CartPole-v1", seed=0)
    assert ordered == []


def test_none_is_asked_for_by_a_model_from_a_file(ordered, tmp_path):
    """It may be there to act."""
    ARS("LinearPolicy", "CartPole-v1", seed=0).save(tmp_path / "model")
    ordered.clear()
    ARS.load(tmp_path / "model")
    assert ordered == []


def test_the_first_iteration_ends_it(monkeypatch):
    helper = Recorder()
    monkeypatch.setattr(ahead, "_helpers", [helper])
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=2, seed=0)
    assert helper.is_alive()
    model.learn(1)
    assert not helper.is_alive()


class Stop(BaseException):
    """As KeyboardInterrupt, which pytest would take for one of the user's."""


def stop(*arguments):
    raise Stop


@pytest.mark.parametrize("place", ["fastars.training.runner.with_physics_of_run", "fastars.ars.ARS.start_workers"])
def test_an_error_in_the_constructor_ends_it(place, monkeypatch):
    helper = Recorder()
    monkeypatch.setattr(ahead, "_helpers", [helper])
    monkeypatch.setattr(place, stop)
    with pytest.raises(Stop):
        ARS("LinearPolicy", "CartPole-v1", seed=0)
    assert not helper.is_alive()


@pytest.mark.parametrize("place", ["make_callback", "roll_out"])
def test_an_error_in_learn_ends_it(place, monkeypatch):
    helper = Recorder()
    monkeypatch.setattr(ahead, "_helpers", [helper])
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=2, seed=0)
    monkeypatch.setattr(f"fastars.learning.{place}", stop)
    with pytest.raises(Stop):
        model.learn(1)
    assert not helper.is_alive()


@pytest.mark.parametrize(
    ("env", "settings", "n"),
    [
        ("CartPole-v1", {}, 16),
        ("CartPole-v1", {"diagnostics": False}, 11),
        ("CartPole-v1", {"policy": "MlpPolicy", "normalize_observations": False, "n_top": 1}, 16),
        ("fastars/deep-sea-treasure-v0", {}, 16),
        ("HalfCheetah-v5", {"physics": "lanes"}, 17),
        ("HalfCheetah-v5", {}, 16),
    ],
    ids=str,
)
def test_a_run_needs_what_was_ordered(env, settings, n, ordered):
    """Types that differ from those of the run would compile for nobody."""
    if env == "HalfCheetah-v5":
        pytest.importorskip("mujoco")
    arguments = {"policy": "LinearPolicy", "n_delta": 2, "seed": 0, "max_episode_steps": 10, **settings}
    model = ARS(env=env, **arguments).learn(1)
    assert model.record  # its rows are computed when somebody looks
    assert len(ordered) == n
    for kernel, *types in ordered:
        assert tuple(map(kernel.typeof_pyval, types)) in kernel.overloads, kernel.py_func.__name__


def test_a_first_run_compiles_nothing_twice(tmp_path):
    """The other process compiles all that it was told, then nothing is left of it; this one loads all that it has compiled."""
    code = f"""{HELPER}
import json
from fastars import ARS
from fastars.training import ahead as of_training

ordered, compile_elsewhere = [], of_training.compile_elsewhere
of_training.compile_elsewhere = lambda calls, here: compile_elsewhere(ordered.extend(calls) or ordered, here)
model = ARS("LinearPolicy", "CartPole-v1", n_delta=2, diagnostics=False, seed=0)
pipe = made[0].stdin
wait_for_its_end()
time.sleep(0.2)
ended = made[0].returncode, pipe.closed
files = os.listdir(os.environ["FASTARS_CACHE_DIR"])
model.learn(1)
stats = [call[0].stats for call in ordered]
hits, misses = ([sum(getattr(one, name).values()) for one in stats] for name in ("cache_hits", "cache_misses"))
print(json.dumps([ended, len(files), hits, misses]))
"""
    ended, n_files, hits, misses = json.loads(" ".join(words(code, tmp_path)))
    assert ended == [0, True]
    assert hits == [1] * 10
    assert misses == [0] * 10
    assert n_files == 10

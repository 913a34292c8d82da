"""Locks that another thread holds at the moment of a fork: the child goes on all the same.

`test_forks.py` has the situations; here another thread stands still in each place that has a lock, so that no chance is needed.

Broken on purpose: `functools.cached_property` for the values of a noise table -> `a_noise_table` red on Python 3.11; a fork that
does not hold the lock of LLVM -> `a_call_of_llvm` red; one that does not wait for imports -> `an_import` red; for models ->
`a_model` red; one that waits without an end -> `an_import_that_waits_for_the_fork` red; a clock that does not notice forks ->
`the_clock` red. The children hang, or the clock stands still in them.
"""

import contextlib
import ctypes
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

import gymnasium
import numba
import pytest
from test_forks import in_fork, pytestmark, run, trained  # noqa: F401

import fastars
from fastars import kernels
from fastars._runtime import forks
from fastars.samplers.noise_table import NoiseTable

HELD_SECONDS = 0.3  # that another thread holds a lock, for which the fork waits


@contextlib.contextmanager
def meanwhile(work, begun):
    """Call `work` on another thread, and go on when the event `begun` is set."""
    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(10)
    yield
    thread.join()


def while_held(lock, work):
    """Return what `work` gives in a child of a process in which another thread has a lock for a while."""
    held = threading.Event()

    def hold():
        with lock:
            held.set()
            time.sleep(HELD_SECONDS)

    with meanwhile(hold, held):
        return in_fork(work)[0]


def compiled():
    return numba.njit(lambda x: x + 1)(1)


def a_noise_table():
    """Another thread works out a value that its noise table keeps."""
    begun, may_end = threading.Event(), threading.Event()

    class Size(int):
        def __neg__(self):
            begun.set()
            may_end.wait(60)
            return -int(self)

    def total(size=100_000):
        return float(NoiseTable(kernels, 1, size).whole().sum())

    wanted = total()
    with meanwhile(lambda: total(Size(100_000)), begun):
        found = in_fork(total)[0]
        may_end.set()
    return found, wanted


def a_call_of_llvm():
    """Another thread calls LLVM, as it does when it drops a kernel."""
    from llvmlite.binding import ffi

    return while_held(ffi.lib._lock, compiled), 2


def slow_env(wait):
    """Register an environment in whose module `wait` is called; return its id, and the event that its import has begun."""
    folder, begun = Path(tempfile.mkdtemp()), threading.Event()
    source = "import sys\nsys.slow_import()\nfrom gymnasium.envs.classic_control import CartPoleEnv as Env\n"
    (folder / "slow_module.py").write_text(source)
    sys.path.append(str(folder))
    sys.slow_import = lambda: [begun.set(), wait()]
    gymnasium.register("Slow-v0", entry_point="slow_module:Env")
    return "Slow-v0", begun


def an_import():
    """Another thread imports the module of an environment, which the child makes too."""
    env_id, begun = slow_env(lambda: time.sleep(HELD_SECONDS))
    with meanwhile(lambda: fastars.envs.make(env_id), begun):
        return in_fork(lambda: type(fastars.envs.make(env_id).unwrapped).__name__)[0], "CartPoleEnv"


def an_import_that_waits_for_the_fork():
    """Another thread imports a module that waits for the thread that forks, which then waits no longer."""
    wanted, may_end, waited = trained(), threading.Event(), []
    forks._LONGEST_SECONDS = HELD_SECONDS
    env_id, begun = slow_env(lambda: waited.append(may_end.wait(20)))
    with meanwhile(lambda: fastars.envs.make(env_id), begun):
        found = in_fork(trained)[0]
        may_end.set()
    return [found, waited], [wanted, [True]]


def a_model():
    """Another thread loads a model, for which MuJoCo has a lock; here a lock of Python stands for it."""
    import mujoco

    from fastars.envs.mujoco.task_definition import load_model

    lock, begun, load = threading.Lock(), threading.Event(), mujoco.MjModel.from_xml_path

    def slow_load(path):
        with lock:
            begun.set()
            time.sleep(HELD_SECONDS)
            return load(path)

    mujoco.MjModel.from_xml_path = slow_load
    path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "reacher.xml"
    found = []
    for make in (lambda: fastars.envs.make("Reacher-v5"), lambda: load_model(path)):
        begun.clear()
        with meanwhile(make, begun):
            found.append(in_fork(lambda make=make: make() and "made")[0])
    return found, ["made", "made"]


def the_clock():
    """Another thread has stopped MuJoCo's clock, or is about to: it goes in a child, unless the child's own thread stopped it."""
    from fastars.envs.mujoco.clock import clock
    from fastars.envs.mujoco.library import library

    address = ctypes.c_void_p.in_dll(library, "mjcb_time")
    original, stopped, may_end = address.value, threading.Event(), threading.Event()

    def stop():
        with clock.stopped():
            stopped.set()
            may_end.wait(60)

    def goes():
        before = address.value
        with clock.stopped():
            return [before == original, address.value == original]

    with meanwhile(stop, stopped):
        found = [in_fork(goes)[0]]
        with clock.stopped():
            found.append(in_fork(goes)[0])
        may_end.set()
    return [*found, while_held(clock._lock, goes)], [[True, False], [False, False], [True, False]]


CASES = (a_noise_table, a_call_of_llvm, an_import, an_import_that_waits_for_the_fork, a_model, the_clock)


def report(name):
    print(json.dumps(globals()[name]()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_child_waits_for_no_lock_that_another_thread_held(case):
    if case in (a_model, the_clock):
        pytest.importorskip("mujoco")
    found, wanted = json.loads(run(f"import test_fork_locks; test_fork_locks.report({case.__name__!r})"))
    assert found == wanted

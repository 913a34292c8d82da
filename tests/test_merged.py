"""Functions inside kernels, which get no machine code, and the collector, which rests while Numba compiles.

Broken on purpose: a library that makes machine code -> test_a_function_inside; a kernel inside a kernel that is compiled whole
-> test_a_kernel_inside; the functions of users compiled as ours are -> test_a_function_of_the_user_may_print, which does not end;
a collector that is not paused, is left off, or is switched on against the user's will -> the tests of it; a child that keeps the
pause -> test_a_fork.
"""

import gc
import os

import numpy as np
import pytest

from fastars._compiled import jit
from fastars._runtime.collector import collector_paused

pytestmark = pytest.mark.skipif(jit.numba.config.DISABLE_JIT, reason="nothing is compiled")
ARRAY = np.arange(3.0)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    """The name of a file in the cache knows nothing of the sources of this test."""
    monkeypatch.setattr("fastars._compiled.kernel_cache.cache_directory", lambda: None)


@jit.inline
def inside(x):
    return x + 1.0


@jit.kernel
def inner(x):
    return inside(x[0])


@jit.kernel
def outer(x):
    return inner(x) + inside(x[1])


@jit.users
def talkative(x):
    print("x is", x)
    return x


@jit.kernel
def listening(x):
    return talkative(x[1])


def test_a_function_inside_a_kernel_has_no_machine_code():
    assert outer(ARRAY) == 3.0
    (compiled,) = inside.overloads.values()
    assert compiled.library.get_pointer_to_function(compiled.fndesc.mangled_name) == 0


def test_a_kernel_inside_a_kernel_is_a_part_of_it_until_python_calls_it():
    assert outer(ARRAY) == 3.0
    assert not inner.overloads
    assert inner(ARRAY) == 1.0
    assert len(inner.overloads) == 1


def test_a_function_of_the_user_may_print(capfd):
    assert listening(ARRAY) == 1.0
    assert capfd.readouterr().out == "x is 1.0\n"


def test_the_collector_rests_and_goes_on():
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_the_user_has_switched_off_stays_off():
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_the_user_froze_stays_frozen():
    gc.freeze()
    try:
        with collector_paused():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks of POSIX")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_in_the_middle_has_a_collector():
    with collector_paused():
        child = os.fork()
        if child == 0:
            os._exit(0 if gc.isenabled() else 1)
        assert os.waitpid(child, 0)[1] == 0

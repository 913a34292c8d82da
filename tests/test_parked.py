"""Threads that park between their works: they wake, hold nothing, and no caller, fork, error, Ctrl-C or exit waits for ever.

Broken on purpose: a child that keeps its parent's list -> test_a_child... red; threads that don't park -> test_the_same... and
three more; work that stays referred to -> test_a_parked_thread_holds...; a thread that parks before its work -> that one and
test_ctrl_c...; CPUs left as they were -> test_a_parked_thread_follows...; threads that aren't daemons -> test_a_process_ends... and
two more; only `Exception` caught in a block -> test_an_error... (hangs); a wait without looks at signals, or `aside` without effect
-> test_ctrl_c...; a thread looked at in place of taken -> test_many_callers...; an error where the system has no more threads ->
test_blocks_run_on_the_threads...; an error where CPUs can't be set -> test_a_thread_works....
"""

import gc
import os
import subprocess
import sys
import threading
import weakref

import pytest

from fastars._runtime import parked
from fastars._runtime.threads import for_blocks

SECONDS = 30.0  # for a process before it counts as one that hangs
HEAD = """
import os, signal, threading
from fastars._runtime import parked
from fastars._runtime.threads import for_blocks

def meet(n):
    all_here = threading.Barrier(n)
    for_blocks(lambda block: all_here.wait(), n, n)

meet(3)
assert len(parked._parked) == 2
"""


def printed(code):
    """The words that a process prints, which has two parked threads and then runs this code: it is killed if it hangs."""
    done = subprocess.run([sys.executable, "-c", HEAD + code], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def used(n_threads=3):
    """The threads that run a block each: every block waits for all the others."""
    all_here, found = threading.Barrier(n_threads), []

    def run(block):
        found.append(threading.get_ident())
        all_here.wait(SECONDS)

    for_blocks(run, n_threads, n_threads)
    return set(found)


def test_the_same_threads_wake_again_and_again():
    first = used()
    n_before = threading.active_count()
    assert len(first) == 3
    assert all(len(used()) == 3 for _ in range(300))
    assert threading.active_count() == n_before


def test_a_parked_thread_holds_nothing_of_its_last_work():
    class Held:
        def __call__(self, block):
            pass

    work = Held()
    alive = weakref.ref(work)
    for_blocks(work, 3, 3)
    del work
    gc.collect()
    assert alive() is None


def test_an_error_in_a_thread_comes_out_and_the_thread_works_on():
    for error in (ValueError("a block"), KeyboardInterrupt(), SystemExit(3)):
        all_here = threading.Barrier(3)

        def run(block, error=error, all_here=all_here):
            all_here.wait(SECONDS)
            if threading.current_thread() is not threading.main_thread():
                raise error

        with pytest.raises(type(error)):
            for_blocks(run, 3, 3)
    assert len(used()) == 3


def test_many_callers_at_once_get_threads_of_their_own():
    found = []

    def call():
        found.extend(len(used()) for _ in range(50))

    callers = [threading.Thread(target=call, daemon=True) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(SECONDS)
    assert not any(caller.is_alive() for caller in callers)
    assert found == [3] * 400
    assert len({id(thread) for thread in parked._parked}) == len(parked._parked)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not tell a thread's CPUs")
def test_a_parked_thread_follows_its_caller_to_other_cpus():
    cpus, found = os.sched_getaffinity(0), []
    if len(cpus) < 2:
        pytest.skip("one CPU")
    used()
    all_here = threading.Barrier(3)

    def run(block):
        found.append(os.sched_getaffinity(0))
        all_here.wait(SECONDS)

    try:
        os.sched_setaffinity(0, {min(cpus)})
        for_blocks(run, 3, 3)
    finally:
        os.sched_setaffinity(0, cpus)
    assert found == [{min(cpus)}] * 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not tell a thread's CPUs")
def test_a_thread_works_where_its_cpus_can_not_be_set(monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    used()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1000})
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    n_before = threading.active_count()
    assert len(used()) == 3
    assert threading.active_count() == n_before


@pytest.mark.parametrize("aside", [False, True])
@pytest.mark.parametrize("n_there", [0, 1, 2])
@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()], ids=["RuntimeError", "MemoryError"])
def test_blocks_run_on_the_threads_that_the_system_has(error, n_there, aside, monkeypatch):
    started, found, start = [], [], threading.Thread.start

    def start_or_not(thread):
        if len(started) == n_there:
            raise error
        started.append(thread)
        start(thread)

    monkeypatch.setattr(parked, "_parked", [])
    monkeypatch.setattr(threading.Thread, "start", start_or_not)
    for_blocks(found.append, 8, 4, aside=aside)
    assert sorted(found) == list(range(8))
    assert len(started) <= n_there


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_process_with_parked_threads_starts_its_own():
    code = """
child = os.fork()
if child == 0:
    signal.alarm(10)  # a child that hangs is ended
    meet(3)
    meet(3)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
meet(3)
print("parent")
"""
    assert printed(code) == ["7", "parent"]


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_leaves_a_thread_that_parks_later():
    code = """
may_end = threading.Event()

def run(block):
    os.kill(os.getpid(), signal.SIGINT)
    may_end.wait()

try:
    for_blocks(run, 1, 1, aside=True)
except KeyboardInterrupt:
    print("interrupted", len(parked._parked))
meet(3)
print("others", len(parked._parked))
may_end.set()
while len(parked._parked) < 3:
    threading.Event().wait(0.01)
meet(4)
print("all", threading.active_count())
"""
    assert printed(code) == ["interrupted", "1", "others", "2", "all", "4"]


def test_a_process_ends_with_threads_that_wait_or_work():
    code = """
from fastars._runtime.parked import begin_on_thread
begin_on_thread(threading.Event().wait)
print("end")
"""
    assert printed("") == []
    assert printed(code) == ["end"]

"""Forks, and processes inside processes: what runs there is right, or raises a clear error, within a second.

Broken on purpose: prange kernels without `jit.launching` -> `a_prange_kernel` red (SIGTERM); a fork that does not wait for a
compilation -> `during_a_compilation` red (hangs); one that keeps its turn -> `during_a_prange_kernel` red (hangs); a pool that
does not look whose it is -> `the_workers_of_the_parent` red.
"""

import concurrent.futures
import hashlib
import json
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numba
import numpy as np
import pytest

import fastars
from fastars import ARS, kernels

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="looks at compiled kernels and their threads"),
]
WAIT_SECONDS = 30.0  # for a child before it counts as one that hangs


def trained(seed=1, steps=2_000, **settings):
    """Digest of what training gives."""
    with_threads = {"n_threads": 2, **settings}
    return digest(ARS("LinearPolicy", "CartPole-v1", n_delta=4, seed=seed, **with_threads).learn(steps))


def digest(model):
    return hashlib.sha256(model.theta.tobytes()).hexdigest()[:16]


def in_fork(work):
    """(what `work` returns in a forked child, or its error; the seconds it took): the child is killed if it hangs."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        start = time.perf_counter()
        try:
            found = work()
        except BaseException as error:
            found = f"{type(error).__name__}: {error}"
        os.write(theirs, json.dumps([found, time.perf_counter() - start]).encode())
        os._exit(0)
    os.close(theirs)
    heard = select.select([ours], [], [], WAIT_SECONDS)[0]
    answer = os.read(ours, 1 << 16) if heard else b""
    os.close(ours)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    return json.loads(answer) if answer else ["it hangs" if not heard else f"it ended with status {status}", WAIT_SECONDS]


def after_training():
    """A child of a process that has trained on threads."""
    wanted = trained()
    return [(in_fork(trained), wanted)]


def going_on():
    """A child that goes on with its parent's model: both get what one gets alone, and neither disturbs the other."""
    models = [ARS("LinearPolicy", "CartPole-v1", n_delta=4, seed=1, n_threads=2).learn(2_000) for _ in range(2)]
    wanted = digest(models[0].learn(2_000, reset_num_timesteps=False))
    found = in_fork(lambda: digest(models[1].learn(2_000, reset_num_timesteps=False)))
    assert digest(models[1].learn(2_000, reset_num_timesteps=False)) == wanted
    return [(found, wanted)]


def while_a_thread_trains():
    """A child of a process in which another thread is in the middle of training."""
    wanted, stop, n_done = trained(), threading.Event(), [0]

    def train():
        while not stop.is_set():
            trained()
            n_done[0] += 1

    thread = threading.Thread(target=train)
    thread.start()
    found = []
    for _ in range(5):
        before = n_done[0]
        while n_done[0] == before:
            time.sleep(0.001)
        found.append((in_fork(trained), wanted))
    stop.set()
    thread.join()
    return found


def during_a_compilation():
    """A child of a process in which another thread compiles: it has the lock of the compiler, which the child needs too."""
    from numba.core.compiler_lock import global_compiler_lock

    wanted, compiles, may_end = trained(), threading.Event(), threading.Event()

    def compile_something():
        with global_compiler_lock:
            compiles.set()
            may_end.wait(0.3)

    thread = threading.Thread(target=compile_something)
    thread.start()
    compiles.wait()
    found = in_fork(lambda: [trained(), numba.njit(lambda x: x + 1)(1)])
    thread.join()
    return [(found, [wanted, 2])]


def a_prange_kernel():
    """A child that calls a kernel with prange, which its parent has called."""
    table = kernels.noise_table(np.uint64(1), 400_000)
    found = in_fork(lambda: bool(np.array_equal(kernels.noise_table(np.uint64(1), 400_000), table)))
    lost = (
        "RuntimeError: noise_table needs OpenMP's threads, and this process, a fork, has none: start it by 'spawn' or 'forkserver',"
    )
    assert np.array_equal(kernels.noise_table(np.uint64(1), 400_000), table)
    return [(found, f"{lost} or set NUMBA_THREADING_LAYER=workqueue" if numba.threading_layer() == "omp" else True)]


def during_a_prange_kernel():
    """A child of a process in which another thread is in a kernel with prange, and has its turn."""
    stop = threading.Event()

    def launch():
        while not stop.is_set():
            kernels.noise_table(np.uint64(1), 4_000_000)

    kernels.noise_table(np.uint64(1), 1_000)
    thread = threading.Thread(target=launch)
    thread.start()
    wanted = "RuntimeError" if numba.threading_layer() == "omp" else "ndarray"

    def call():
        try:
            return type(kernels.noise_table(np.uint64(1), 400_000)).__name__
        except RuntimeError as error:
            return type(error).__name__

    found = [(in_fork(call), wanted) for _ in range(3)]
    stop.set()
    thread.join()
    return found


def the_workers_of_the_parent():
    """A child that goes on with a model whose worker processes are its parent's."""
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=4, seed=1, compiled=False, n_workers=2)
    wanted = digest(model.learn(200))
    found = in_fork(lambda: model.learn(200) and "learnt")
    found[0] = found[0].replace(str(os.getpid()), "PID")
    lost = "WorkerError: the worker processes belong to process PID, of which this one is a fork: make a sampler here"
    ends = in_fork(lambda: model.close() or "closed")  # which must not end the parent's
    assert model.learn(200, reset_num_timesteps=False).worker_restarts == 0
    own = in_fork(lambda: trained(steps=200, compiled=False, n_workers=2))
    model.close()
    return [(found, lost), (ends, "closed"), ([own[0], min(own[1], 0.0)], wanted)]  # starting workers takes seconds


WORKS = (
    after_training,
    going_on,
    while_a_thread_trains,
    during_a_compilation,
    a_prange_kernel,
    during_a_prange_kernel,
    the_workers_of_the_parent,
)


def report(n):
    """Print what the forks of all cases gave, n times each: (what was found, what was wanted, seconds)."""
    forks = {work.__name__: [fork for _ in range(n) for fork in work()] for work in WORKS}
    print(json.dumps({name: [(found, wanted, time) for (found, time), wanted in all_of] for name, all_of in forks.items()}))


def run(code, layer="omp"):
    """Return the output of a new process: pytest itself must not fork after it has trained on threads."""
    path = os.pathsep.join(
        [str(Path(fastars.__file__).parent.parent), str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    )
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timing
@pytest.mark.promise(17)
def test_a_forked_child_runs_or_says_why_not_within_a_second(tally, limit):
    n = tally.of(fast=1, full=10)
    forks = json.loads(run(f"import test_forks; test_forks.report({n})"))
    only = "test_forks.WORKS = test_forks.a_prange_kernel, test_forks.during_a_prange_kernel"
    workqueue = json.loads(run(f"import test_forks; {only}; test_forks.report({n})", "workqueue"))
    forks |= {f"{name} on workqueue": all_of for name, all_of in workqueue.items()}
    assert {name: [found for found, _, _ in all_of] for name, all_of in forks.items()} == {
        name: [wanted for _, wanted, _ in all_of] for name, all_of in forks.items()
    }
    seconds = [seconds for all_of in forks.values() for _, _, seconds in all_of]
    assert max(seconds) < limit(1.0)
    tally(f"forked children that ran or said why not, in {len(forks)} situations", len(seconds), of=len(seconds))
    tally("the slowest of them", round(max(seconds), 2), unit="s")


def in_processes(method):
    """Train in daemonic processes of a pool, and in those of `concurrent.futures`; print whether all is as in this process."""
    wanted = [trained(seed) for seed in range(3)]
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:  # whose processes may have no children, says multiprocessing
        in_pool = pool.map(trained, range(3))
        with_workers = pool.apply(trained, (1, 200), {"compiled": False, "n_workers": 2})
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        in_executor = list(executor.map(trained, range(3)))
    print(in_pool == in_executor == wanted, with_workers == trained(1, 200))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_training_in_processes_of_a_pool_gives_the_same(method, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"if __name__ == '__main__':\n    import test_forks\n    test_forks.in_processes({method!r})\n")
    assert run(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')") == "True True\n"

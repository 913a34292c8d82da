"""Eight threads of Python that call at once: every result is right, on each of Numba's threading layers.

Broken on purpose: prange kernels without `jit.launching` -> `workqueue` red (SIGABRT); one array for all samplers ->
both layers red.
"""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

import fastars
from fastars import ARS, evaluate_candidates, kernels
from fastars._compiled.structs import LinearPolicy, identity_filter
from fastars.envs import environment

N_THREADS = 8
pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="without compilation, no kernel leaves the GIL")


def works():
    """Functions to call at the same time; each gives bytes that are always the same."""
    model = ARS("LinearPolicy", "CartPole-v1", n_delta=8, seed=5, n_threads=2).learn(3_000)
    draw = np.random.default_rng(0)
    weights, observations = draw.standard_normal((300, 8)), draw.standard_normal((200, 4)).astype(np.float32)
    padded = np.hstack([draw.standard_normal((1500, 8)), np.zeros((1500, 2))])
    noise, indices = kernels.noise_table(np.uint64(1), 400_000), np.arange(32) * 1_000
    task, seeds = environment("CartPole-v1").rollout_spec(LinearPolicy()), np.arange(1500, dtype=np.uint64)

    def train(seed):
        return ARS("LinearPolicy", "CartPole-v1", n_delta=8, seed=seed, n_threads=2).learn(2_000).theta.tobytes()

    return {
        "train": lambda: train(1),
        "train another": lambda: train(2),
        "train in Python": lambda: ARS("LinearPolicy", "CartPole-v1", seed=3, n_delta=2, compiled=False).learn(50).theta.tobytes(),
        "predict": lambda: model.predict(observations)[0].tobytes(),
        "predict others": lambda: model.predict(-observations)[0].tobytes(),
        "evaluate": lambda: model.evaluate(50).returns.tobytes(),
        "evaluate_candidates": lambda: evaluate_candidates("CartPole-v1", weights, range(300), n_threads=2).returns.tobytes(),
        "noise_table": lambda: kernels.noise_table(np.uint64(1), 400_000).tobytes(),
        "weighted_sums": lambda: kernels.weighted_sums(np.ones(32), noise, indices, 100_000).tobytes(),
        "rollouts": lambda: kernels.rollouts(task, identity_filter(4), padded, seeds, True).returns.tobytes(),
    }


def call_at_once(n_calls):
    """Call all of it `n_calls` times from `N_THREADS` threads, and print what came of it."""
    calls = works()
    expected = {name: call() for name, call in calls.items()}
    start, lock = threading.Barrier(N_THREADS), threading.Lock()
    n_running, most, wrong = 0, 0, []

    def work(number):
        nonlocal n_running, most
        names = [name for _ in range(n_calls // N_THREADS // len(calls) + 1) for name in calls]
        random.Random(number).shuffle(names)
        start.wait()
        for name in names[: n_calls // N_THREADS]:
            with lock:
                n_running += 1
                most = max(most, n_running)
            try:
                if calls[name]() != expected[name]:
                    wrong.append(name)
            except BaseException as error:
                wrong.append(f"{name}: {error!r}")
            with lock:
                n_running -= 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"layer": numba.threading_layer(), "most": most, "wrong": wrong}))


@pytest.mark.promise(16)
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_threads_that_call_at_once_get_what_each_gets_alone(layer, tally):
    n_calls = tally.of(fast=160, full=1_000)
    path = os.pathsep.join([str(Path(fastars.__file__).parent.parent), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", f"from test_threads import call_at_once; call_at_once({n_calls})"],
        env={**os.environ, "NUMBA_THREADING_LAYER": layer, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if layer == "omp" and "No threading layer could be loaded" in done.stderr:
        pytest.skip("Numba comes without OpenMP here")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["layer"], found["wrong"]) == (layer, [])
    assert found["most"] == N_THREADS
    tally(f"calls from {N_THREADS} threads at once on {layer}, all right", n_calls, of=n_calls)


def test_the_number_of_numbas_threads_stays_as_it_was():
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        for call in works().values():
            call()
        with pytest.raises(numba.TypingError):
            kernels.noise_table("seed", 10)
        assert numba.get_num_threads() == 1
    finally:
        numba.set_num_threads(before)

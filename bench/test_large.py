"""An iteration of a large policy outside its episodes: noise, candidates, weighted sum, step; its time and its memory.

Beside it stand reading and writing at the rate of the machine, the original's method (all candidates and all directions as arrays),
and fresh normals for each iteration instead of a table.
"""

import subprocess
import sys

import numba
import numpy as np
import pytest
from numba import njit

from bench.machine import THREADS
from bench.test_weighted_sum import read_slices, stack_and_dot
from fastars import kernels, reference
from fastars._runtime.threads import for_blocks
from fastars.samplers.candidates import Candidates
from fastars.samplers.noise_table import NoiseTable
from fastars.training.update import sum_directions

N_DELTA, SIGMA, SEED = 8, 0.02, 7
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
_CHILD = """
import re, sys
import gymnasium, numpy as np
from fastars import ARS

class Weights(gymnasium.Env):
    def __init__(self, n):
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (n,))
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))

def memory(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])

def iteration(model, out, lazy):
    candidates = model.ask(lazy=lazy)
    for k in range(len(candidates)):
        if lazy:
            candidates.write(k, out)
        else:
            np.copyto(out, candidates[k])
    model.tell(np.arange(len(candidates), dtype=float))

def new_model(n):
    settings = {"n_delta": 8, "delta_std": 0.02, "learning_rate": 0.02, "seed": 7, "noise_size": 2 * n + 16}
    return ARS("LinearPolicy", Weights(n), **settings)

n, lazy = int(sys.argv[1]), sys.argv[2] == "lazy"
iteration(new_model(1000), np.empty(1000, np.float32), lazy)  # loads the kernels
model, out = new_model(n), np.zeros(n, np.float32)
model.run.noise.whole()
before = memory("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
for _ in range(3):
    iteration(model, out, lazy)
print(memory("VmHWM") - before)
"""


@njit(nogil=True)
def write_all(out, value):
    """Write every number of an array."""
    for k in range(out.shape[0]):
        out[k] = value


def pieces(run, n, n_pieces=4 * THREADS):
    """Call run(slice) for pieces of n numbers, on threads."""
    edges = [k * n // n_pieces for k in range(n_pieces + 1)]
    for_blocks(lambda k: run(slice(edges[k], edges[k + 1])), n_pieces, THREADS)


def memory_of(n, how):
    """Return the bytes that iterations add at their peak to a model and its noise table, in a process of its own."""
    command = [sys.executable, "-c", _CHILD, str(n), how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def skip_large(quick, n_weights):
    if quick and n_weights > 100_000:
        pytest.skip("not in a quick run")
    assert numba.get_num_threads() == THREADS


@pytest.mark.parametrize("n_weights", SIZES)
def test_noise(n_weights, race, record, quick):
    """By itself: after seconds of work on one thread, the second CPU of a virtual machine was slow for 0.1 s."""
    skip_large(quick, n_weights)
    size, out = 2 * n_weights, np.empty(n_weights)
    noise = NoiseTable(kernels, SEED, size, THREADS).whole()
    np.testing.assert_array_equal(noise[1_000:6_000], reference.noise(SEED, 1_000, 5_000))
    seconds = race(
        {
            "noise": lambda: NoiseTable(kernels, SEED, size, THREADS).whole(),
            "read": lambda: pieces(lambda part: read_slices(noise[part], np.zeros(1, np.int64), part.stop - part.start), size),
            "write": lambda: pieces(lambda part: write_all(out[part], 1.0), n_weights),
            "noise, 1 thread": lambda: NoiseTable(kernels, SEED, size).whole(),
            "write, 1 thread": lambda: write_all(out, 1.0),
        },
        budget=2.0,
    )
    record(kind="noise", n_weights=n_weights, seconds=seconds)


@pytest.mark.parametrize("n_weights", SIZES)
def test_iteration(n_weights, race, record, quick):
    skip_large(quick, n_weights)
    draw = np.random.default_rng(0)
    theta, indices = draw.standard_normal(n_weights), draw.integers(0, n_weights, N_DELTA)
    weights, out = draw.standard_normal(N_DELTA), np.empty(n_weights)
    columns = weights[:, np.newaxis]  # of one sum
    table = NoiseTable(kernels, SEED, 2 * n_weights, THREADS)
    noise, lazy = table.whole(), Candidates(theta, SIGMA, indices, table)
    velocity, gradient, float32 = np.zeros(n_weights), draw.standard_normal(n_weights), np.empty(n_weights, np.float32)

    expected = np.zeros(n_weights)
    reference.weighted_sum(weights, noise, indices, expected)
    np.testing.assert_array_equal(sum_directions(kernels, columns, noise, indices, n_weights, THREADS)[0], expected)
    np.testing.assert_allclose(stack_and_dot(weights, noise, indices, n_weights), expected, rtol=1e-3, atol=1e-3)
    lazy.write(3, out)
    np.testing.assert_array_equal(out, theta - SIGMA * noise[indices[1] : indices[1] + n_weights].astype(np.float64))

    def write_candidates(into):
        for k in range(len(lazy)):
            lazy.write(k, into)

    def all_at_once():
        slices = np.array([noise[i : i + n_weights] for i in indices])
        return np.concatenate((theta + SIGMA * slices, theta - SIGMA * slices))

    def fresh_normals():
        """Draw directions anew, and make the candidates, all in float32, as strategies on an accelerator do."""
        slices = draw.standard_normal((N_DELTA, n_weights), np.float32)
        return np.concatenate((slices, -slices)) * np.float32(SIGMA) + float32

    seconds = race(
        {
            "candidates, float64": lambda: write_candidates(out),
            "candidates, float32": lambda: write_candidates(float32),
            "sum": lambda: sum_directions(kernels, columns, noise, indices, n_weights, THREADS),
            "step": lambda: theta + kernels.sgd_step(velocity, gradient, 0.02, 0.0, 0.0, theta)[1],
            "original: all candidates": all_at_once,
            "original: stack, np.dot": lambda: stack_and_dot(weights, noise, indices, n_weights),
            "fresh normals and candidates": fresh_normals,
        },
        budget=3.0,
    )
    memory = {} if quick else {how: memory_of(n_weights, how) for how in ("lazy", "array")}
    record(kind="iteration", n_weights=n_weights, n_delta=N_DELTA, seconds=seconds, memory=memory)

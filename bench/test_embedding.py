"""Kernels in a user's code: a call from Python, a call from compiled code, and the user's own threads."""

import threading

import numba
import numpy as np
import pytest
from cases import CASES, SEED

from bench.machine import THREADS
from fastars import kernels

N_CALLS = 1_000
CALLS = ("norm_sq", "centered_ranks", "sample_indices", "weighted_sum", "adam_step")
BY_NAME = {case.name: case for case in CASES}


def in_compiled_code(kernel):
    """Return a compiled loop of `N_CALLS` calls."""

    @numba.njit
    def loop(args):
        for _ in range(N_CALLS):
            kernel(*args)

    return loop


@pytest.mark.parametrize("name", CALLS)
def test_call(name, race, record):
    case = BY_NAME[name]
    args, loop = case.make("small"), in_compiled_code(case.kernel)
    seconds = race({"Python": lambda: case.kernel(*args), "compiled": lambda: loop(args)}, budget=0.5)
    record(kind="call", kernel=name, python_s=seconds["Python"], compiled_s=seconds["compiled"] / N_CALLS)


def test_threads(race, record, quick):
    """Fill the halves of a noise table, which needs much arithmetic and little memory bandwidth."""
    n_blocks = 2 if quick else 2_048
    halves = np.empty((THREADS, n_blocks * kernels.NOISE_BLOCK), np.float32)

    @numba.njit
    def holding_the_gil(seed, first_block, out):
        kernels.fill_noise(seed, first_block, out)

    @numba.njit(nogil=True)
    def without_the_gil(seed, first_block, out):
        kernels.fill_noise(seed, first_block, out)

    @numba.njit(parallel=True)
    def serial_in_prange(seed, out):
        for half in numba.prange(len(out)):
            kernels.fill_noise(seed, half * n_blocks, out[half])

    @numba.njit(parallel=True)
    def parallel_in_prange(seed, out):
        for half in numba.prange(len(out)):
            out[half] = kernels.noise_table(seed, out.shape[1])

    def on_threads(fill):
        def run():
            threads = [threading.Thread(target=fill, args=(SEED, half * n_blocks, halves[half])) for half in range(THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return run

    def one_after_the_other():
        for half in range(THREADS):
            kernels.fill_noise(SEED, half * n_blocks, halves[half])

    numba.set_num_threads(THREADS)
    competitors = {
        "`fill_noise` of one half after the other": one_after_the_other,
        "on two Python threads": on_threads(kernels.fill_noise),
        "in your `@njit` function, on two Python threads": on_threads(holding_the_gil),
        "in your `@njit(nogil=True)` function, on two Python threads": on_threads(without_the_gil),
        "in your `prange`": lambda: serial_in_prange(SEED, halves),
        "`noise_table` of each half in your `prange`": lambda: parallel_in_prange(SEED, halves),
        "`noise_table` of the whole": lambda: kernels.noise_table(SEED, halves.size),
    }
    record(kind="threads", seconds=race(competitors, budget=2.0))

"""Costs of the solvers of the Gram matrix by number of tasks. From 256 tasks on, a call is timed once."""

import numpy as np
import pytest

from bench.test_weighting import solvers
from fastars import kernels

TASKS = (2, 4, 8, 16, 64, 256, 1_000)
_N_WEIGHTS = 64  # fewer than tasks in the last columns: G is singular there


@pytest.mark.parametrize("n_tasks", TASKS)
@pytest.mark.parametrize("method", solvers(np.eye(2)))
def test_cost(method, n_tasks, race, benchmark, record, quick):
    if quick and n_tasks > 16:
        pytest.skip("takes long")
    jacobian = np.random.default_rng(1).standard_normal((n_tasks, _N_WEIGHTS))
    solve = solvers(kernels.gram(jacobian))[method][0]
    if n_tasks >= 256:
        solvers(np.eye(2))[method][0]()  # compiled
        benchmark.pedantic(solve, rounds=1)
        seconds = benchmark.stats.stats.median
    else:
        seconds = race({"fastars": solve}, budget=0.1 if quick else 0.5)["fastars"]
    record(kind="cost", method=method, n_tasks=n_tasks, seconds=seconds)

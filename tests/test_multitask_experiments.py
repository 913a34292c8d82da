"""The regression tasks of the GradNorm paper: what docs/experiments.md says of them.

Seen red: rows of an older GradNorm -> test_rows_of_the_page..., test_network_learns.
"""

import json
import os
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
toy = runpy.run_path(str(ROOT / "examples" / "experiments" / "multitask_toy.py"))
MLP = ROOT / "examples" / "experiments" / "multitask_mlp.py"
mlp = runpy.run_path(str(MLP))
NEAR_THE_BEST = [f"static 10^{power:g}" for power in (3, 3.5, 4, 4.5, 5)]  # of the 15 of the grid


@cache
def measured(n_tasks, name):
    """Six seeds at full size."""
    return toy["measure"](n_tasks, name)


def kept(table):
    """Rows of a result file, from which table and picture of the page are made, by number of tasks and method."""
    rows = json.loads((ROOT / "bench" / "results" / f"{table}.json").read_text(encoding="utf-8"))["rows"]
    return {(row["n_tasks"], row["method"]): row for row in rows}


@pytest.mark.parametrize("n_tasks", [2, 10])
@pytest.mark.parametrize("name", ["equal weights", "GradNorm, log"])
def test_rows_of_the_page_are_what_the_program_gives_today(n_tasks, name):
    row, of_page = measured(n_tasks, name), kept("multitask_toy")[n_tasks, name]
    for what in ("mean", "left", "weights", "curve"):
        np.testing.assert_allclose(row[what], of_page[what], rtol=1e-3, err_msg=what)


def left(n_tasks, name):
    return measured(n_tasks, name)["mean"]


def ratio(row):
    return row["weights"][0] / row["weights"][1]


def test_gradnorm_leaves_a_third_of_what_equal_weights_leave_of_two_tasks():
    assert left(2, "GradNorm, log") <= 0.35 * left(2, "equal weights")


def test_gradnorm_comes_to_the_best_static_weights():
    assert left(2, "GradNorm, log") <= 1.1 * min(left(2, name) for name in NEAR_THE_BEST)


def test_the_best_static_weights_of_the_grid_are_where_the_test_looks():
    rows = json.loads((ROOT / "bench" / "results" / "multitask_toy.json").read_text())["rows"]
    grid = {row["method"]: row["mean"] for row in rows if row["method"].startswith("static")}
    assert len(grid) == 15
    assert min(grid, key=grid.__getitem__) in NEAR_THE_BEST


def test_mean_weights_of_gradnorm_are_near_the_best_static_ones():
    best = min(NEAR_THE_BEST, key=lambda name: left(2, name))
    assert 0.5 <= ratio(measured(2, "GradNorm, log")) / ratio(measured(2, best)) <= 2


def test_gradnorm_leaves_less_than_equal_weights_of_ten_tasks():
    assert left(10, "GradNorm, log") <= 0.9 * left(10, "equal weights")


def test_losses_of_the_toy_by_hand():
    """Two tasks of sizes 2 and 3, one measurement each: at theta = 0 all predictions are 0."""
    inputs = np.zeros((2, 1, toy["N_PARAMETERS"]))
    inputs[:, 0, 0] = 1, 2
    tasks = toy["Regression"](inputs, np.array([[0.5], [0.25]]), np.array([2.0, 3.0]))
    thetas = np.zeros((2, toy["N_PARAMETERS"]))
    thetas[1, 0] = 1
    expected = [[4 * 0.5**2, 9 * 0.25**2], [4 * (np.tanh(1) - 0.5) ** 2, 9 * (np.tanh(2) - 0.25) ** 2]]
    np.testing.assert_allclose(toy["losses"](tasks, thetas), expected, rtol=1e-14)


class Weights:
    """A method that keeps what it was told."""

    def __init__(self, weights):
        self.weights = np.array(weights, dtype=float)

    def step(self, losses, grads):
        self.losses, self.grads = losses, grads
        return self.weights


@pytest.fixture
def backprop():
    """A small batch of two tasks; a function of the parameters' losses, and the parameters."""
    rng = np.random.default_rng(0)
    parameters, inputs = mlp["network"](rng, 2), rng.normal(size=(3, mlp["N_IN"]))
    targets = rng.normal(size=(2, 3, mlp["N_OUT"]))

    def losses(parameters):
        return np.square(mlp["forward"](parameters, inputs)[1] - targets).mean(axis=(1, 2))

    return parameters, inputs, targets, losses


def slopes(losses, array, index, width=1e-5):
    """Central differences (T,) of the losses in one entry."""
    before = array[index]
    array[index] = before + width
    plus = losses()
    array[index] = before - width
    minus = losses()
    array[index] = before
    return (plus - minus) / (2 * width)


def test_backward_pass_of_the_network_is_that_of_finite_differences(backprop):
    parameters, inputs, targets, losses = backprop
    method = Weights([0.5, 2])
    activations, outputs = mlp["forward"](parameters, inputs)
    found, gradients = mlp["backward"](parameters, activations, outputs - targets, method)
    np.testing.assert_allclose(found, losses(parameters), rtol=1e-12)
    rng = np.random.default_rng(1)
    for array, gradient in zip(parameters, gradients, strict=True):
        assert gradient.shape == array.shape
        for _ in range(4):
            index = tuple(rng.integers(array.shape))
            expected = method.weights @ slopes(lambda: losses(parameters), array, index)
            assert gradient[index] == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_method_is_told_gradients_of_the_last_shared_layer(backprop):
    parameters, inputs, targets, losses = backprop
    method, last = Weights([1, 1]), parameters[mlp["N_LAYERS"] - 1]
    activations, outputs = mlp["forward"](parameters, inputs)
    mlp["backward"](parameters, activations, outputs - targets, method)
    grads = method.grads.reshape(2, *last.shape)
    for i, j in [(0, 0), (7, 30), (50, 99), (99, 2)]:
        expected = slopes(lambda: losses(parameters), last, (i, j))
        np.testing.assert_allclose(grads[:, i, j], expected, rtol=1e-5, atol=1e-8)


def test_network_learns():
    """Its first 50 of 1,500 iterations are those of the rows of the page.

    In a process whose BLAS has one thread: on a busy machine, several took ten times as long.
    """
    program = (
        f"import runpy; print(runpy.run_path({str(MLP)!r})['measure'](2, 'GradNorm, log', n_seeds=2, n_iterations=50)['curve'])"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    assert after < 0.9 * before
    np.testing.assert_allclose([before, after], kept("multitask_mlp")[2, "GradNorm, log"]["curve"][:2], rtol=1e-3)

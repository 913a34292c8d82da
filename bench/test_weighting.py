"""Task weighting: Gram matrices beside plain reading, solvers beside TorchJD's on the same Gram matrix, and costs of an update.

Where TorchJD, or a solver that it needs, is missing, its rows stay as the result file has them.
"""

import importlib
import json

import numpy as np
import pytest
from numba import njit

from bench.conftest import RESULTS
from bench.machine import THREADS
from bench.test_embedding import N_CALLS, in_compiled_code
from fastars import ARS, kernels
from fastars.training.iteration import ask, iterate, make_candidates, roll_out
from fastars.training.objectives import new_objectives
from fastars.weighting import GradNorm

SHAPES = [(2, 1_000), (4, 10_000), (4, 1_000_000), (16, 1_000_000)]
TASKS = (2, 4, 16)
OF_FOUR = np.array([1.3, 0.7, 1.6, 0.4])  # something of four tasks
FOUR = np.random.default_rng(2).standard_normal((4, 9))
UPDATES = {
    "gradnorm_log": (OF_FOUR, OF_FOUR, OF_FOUR, 1.5, 0.1, 1e-100),
    "gradnorm_closed": (OF_FOUR, OF_FOUR, 1.5),
    "mgda": (FOUR @ FOUR.T,),
    "imtl_g": (FOUR @ FOUR.T,),
    "nash_mtl": (FOUR @ FOUR.T,),
}


@njit(nogil=True, fastmath={"reassoc"})  # a sum in any order vectorises
def read(numbers):
    """Read every number, and add them up so that LLVM can't remove the loop."""
    total = numbers.dtype.type(0.0)
    for k in range(numbers.shape[0]):
        total += numbers[k]
    return total


def kept(**key):
    """Return the row of the result file with these entries, or None."""
    path = RESULTS / "weighting.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    return next((row for row in rows if all(row.get(name) == value for name, value in key.items())), None)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gram(shape, dtype, race, record, quick):
    n_tasks, n_weights = (shape[0], 1_000) if quick else shape
    gradients = np.random.default_rng(0).standard_normal((n_tasks, n_weights)).astype(dtype)
    exact = gradients.astype(np.float64) @ gradients.astype(np.float64).T
    np.testing.assert_allclose(kernels.gram(gradients), exact, rtol=1e-10, atol=1e-10 * exact.max())
    flat = gradients.reshape(-1)
    seconds = race(
        {
            "fastars": lambda: kernels.gram(gradients),
            "read": lambda: read(flat),
            "numpy": lambda: gradients @ gradients.T,
        },
        budget=2.0,
    )
    record(kind="gram", n_tasks=n_tasks, n_weights=n_weights, dtype=dtype, bytes=gradients.nbytes, seconds=seconds)


def solvers(gram):
    """Return for each method: a call of the kernel, TorchJD's class and its arguments, and a tolerance for the weights."""
    n_tasks = len(gram)
    mean = np.full(n_tasks, 1.0 / n_tasks)
    order = np.array([np.random.default_rng(i).permutation(n_tasks) for i in range(n_tasks)])
    return {
        "MGDA": (lambda: kernels.mgda(gram), "MGDAWeighting", (), 1.0),  # theirs is not exact
        "IMTL-G": (lambda: kernels.imtl_g(gram), "IMTLGWeighting", (), 1e-10),
        "PCGrad": (lambda: kernels.pcgrad(gram, order), "PCGradWeighting", (), np.inf),  # in another order
        "CAGrad": (lambda: kernels.cagrad(gram, 0.5), "CAGradWeighting", (0.5,), 1e-3),
        "Aligned-MTL": (lambda: kernels.aligned_mtl(gram), "AlignedMTLWeighting", (), 1e-10),
        "Nash-MTL": (lambda: kernels.nash_mtl(gram), "NashMTL", (n_tasks, 0.0), np.inf),  # in another unit
        "FairGrad": (lambda: kernels.fairgrad(gram, 2.0), "FairGradWeighting", (2.0,), 1e-3),
        "DualProj": (lambda: kernels.dual_proj(gram, mean), "DualProjWeighting", (), 1e-8),
        "UPGrad": (lambda: kernels.upgrad(gram, mean), "UPGradWeighting", (), 1e-8),
    }


def projector():
    """TorchJD's solver of the dual programs, with as little added to the diagonal as it needs, in place of 1e-4 of the trace."""
    return importlib.import_module("torchjd.linalg").QuadprogProjector(norm_eps=0.0, reg_eps=1e-14)


def torchjds(name, arguments, jacobian):
    """Return a call of TorchJD, or None if it can't be made: CAGrad and Nash-MTL need cvxpy."""
    try:
        torch, peer = importlib.import_module("torch"), importlib.import_module("torchjd.aggregation")
        dual = name in ("DualProjWeighting", "UPGradWeighting")
        made = getattr(peer, name)(*arguments, **({"projector": projector()} if dual else {}))
    except ImportError:
        return None
    torch.set_num_threads(THREADS)
    given = torch.from_numpy(jacobian)
    if name != "NashMTL":
        gram = given @ given.T
        return lambda: made(gram)
    return lambda: (made.reset(), made.weighting(given))[1]  # it wants the gradients, and would go on from its last solution


@pytest.mark.parametrize("n_tasks", TASKS)
@pytest.mark.parametrize("method", solvers(np.eye(2)))
@pytest.mark.filterwarnings("ignore")  # theirs, from any line of theirs
def test_solver(method, n_tasks, race, record, quick):
    jacobian = np.random.default_rng(1).standard_normal((n_tasks, 64))
    ours, name, arguments, atol = solvers(jacobian @ jacobian.T)[method]
    theirs = torchjds(name, arguments, jacobian)
    if theirs is not None:
        np.testing.assert_allclose(ours(), theirs().numpy(), atol=atol)
    seconds = race({"fastars": ours} | ({"TorchJD": theirs} if theirs else {}), budget=0.1 if quick else 1.0)
    row = {"kind": "solver", "method": method, "n_tasks": n_tasks}
    record(**(kept(**row) if theirs is None else None) or row | {"seconds": seconds})


@pytest.mark.parametrize("name", UPDATES)
def test_update(name, race, record):
    kernel, args = getattr(kernels, name), UPDATES[name]
    loop = in_compiled_code(kernel)
    seconds = race({"Python": lambda: kernel(*args), "compiled": lambda: loop(args)}, budget=0.5)
    record(kind="update", kernel=name, python_s=seconds["Python"], compiled_s=seconds["compiled"] / N_CALLS)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "MountainCar-v0", "Acrobot-v1"])
def test_balancing(env_id, race, record):
    """Measure the cost of four tasks in an iteration of ARS: what `iterate` takes more than for one reward with its diagnostics.

    "With all rows" is what it takes more than without diagnostics. Tasks bring gradients, their Gram matrix, GradNorm and rows.
    """
    made = {"n_delta": 64, "policy_kwargs": {"net_arch": [96, 96]}, "seed": 0}
    model, alone = (ARS("MlpPolicy", env_id, diagnostics=with_rows, **made).learn(1) for with_rows in (True, False))
    returns = np.random.default_rng(0).standard_normal((128, 4))
    tasks = new_objectives(GradNorm(4, alpha=0.0), ("a", "b", "c", "d"))
    states = {"balancing": model.state._replace(tasks=tasks), "alone": model.state}

    def update(name, run):
        # The directions of the iteration before it, as a run has them: what has just been read need not come from memory again.
        asked = ask(run, before, 0.5)
        given = rollouts._replace(task_returns=returns if name == "balancing" else rollouts.task_returns)
        states[name] = iterate(run, states[name]._replace(theta=before.theta, moments=before.moments), asked, given)[0]

    def iteration():
        nonlocal before, rollouts
        before = alone.state
        asked = ask(alone.run, before, 0.5)
        rollouts = roll_out(alone.run, before, asked, make_candidates(alone.run, before, asked))
        alone.restore(iterate(alone.run, before, asked, rollouts)[0])

    before = rollouts = None
    iteration()
    for _ in range(6):  # iterations after which GradNorm has its say
        update("balancing", model.run)
    seconds = race(
        {
            "iteration": iteration,
            "alone": lambda: update("alone", alone.run),
            "diagnosed": lambda: update("alone", model.run),
            "with tasks": lambda: update("balancing", model.run),
        },
        budget=2.0,
    )
    costs = {
        "iteration": seconds["iteration"],
        "balancing": seconds["with tasks"] - seconds["diagnosed"],
        "with all rows": seconds["with tasks"] - seconds["alone"],
    }
    record(kind="balancing", env=env_id, n_weights=model.n_weights, steps=float(rollouts.lengths.mean()), seconds=costs)

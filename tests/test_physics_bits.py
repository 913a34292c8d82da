"""A lane of the physics has the same bits whatever its neighbours, the number of lanes and the processor's vectors are.

Broken on purpose, one at a time: contraction allowed -> both tests red; lanes that are done move on with the others, or lanes that
search no more take the others' trial lengths -> the test of neighbours red.
"""

import hashlib
import os
import platform
import subprocess
import sys

import gymnasium
import llvmlite.binding as llvm
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

from fastars._compiled.tables import Tables
from fastars.physics import lane_model
from fastars.physics.lanes import step_lanes
from fastars.physics.workspace import new_workspace

NAMES = ("HalfCheetah-v5", "Hopper-v5", "Swimmer-v5")
N, STEPS = 24, 60


def model_of(name):
    return gymnasium.make(name).unwrapped.model


def last_states(name, n_lanes, order):
    """Return the states (N, nq + nv) after random controls, each simulation's the same in any order of the simulations."""
    model = model_of(name)
    rng = np.random.default_rng(0)
    fields = lane_model(model)
    qpos = model.qpos0 + rng.normal(scale=0.1, size=(N, model.nq))
    qvel, controls = rng.normal(size=(N, model.nv)), rng.uniform(-1, 1, (STEPS, N, model.nu))
    qpos[3, 2] += 1e7  # a huge angle
    qvel[5, 0] = np.nan
    ends, is_bad = np.zeros((N, model.nq + model.nv)), np.zeros(N, np.int64)
    for start in range(0, N, n_lanes):
        chosen = order[start : start + n_lanes]
        workspace = new_workspace(fields, n_lanes, False)
        workspace.qpos[:], workspace.qvel[:] = qpos[chosen].T, qvel[chosen].T
        for step in range(STEPS):
            workspace.ctrl[:] = controls[step, chosen].T
            step_lanes(Tables(fields), Tables(workspace, n_lanes), 5)
        ends[chosen] = np.concatenate([workspace.qpos, workspace.qvel]).T
        is_bad[chosen] = workspace.is_bad
    assert np.flatnonzero(is_bad).tolist() == [5]
    return ends


def digest(n_lanes=8):
    """Return a digest of the last states of all models."""
    ends = [last_states(name, n_lanes, np.arange(N)) for name in NAMES]
    return hashlib.sha256(b"".join(end.tobytes() for end in ends)).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_neighbours_and_the_number_of_lanes_change_no_bit(name):
    alone = last_states(name, 1, np.arange(N))
    assert np.isfinite(alone).all()
    for n_lanes in (1, 4, 8):
        order = np.random.default_rng(n_lanes).permutation(N)
        found = last_states(name, n_lanes, order)
        assert found.tobytes() == alone.tobytes(), f"{n_lanes} lanes: simulations {np.flatnonzero((found != alone).any(axis=1))}"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of processors are those of x86-64")
@pytest.mark.parametrize(
    "processor", ["haswell", *(pytest.param(name, marks=pytest.mark.slow) for name in ("skylake-avx512", "generic"))]
)
def test_processors_give_equal_bits(processor):
    """Haswell has AVX2, a generic x86-64 processor vectors of two numbers."""
    if processor == "skylake-avx512" and not llvm.get_host_cpu_features().get("avx512f"):
        pytest.skip("this processor has no AVX-512")
    environment = os.environ | {"NUMBA_CPU_NAME": processor}
    program = "import sys; sys.path.insert(0, 'tests'); import test_physics_bits; print(test_physics_bits.digest())"
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.split()[-1] == digest()

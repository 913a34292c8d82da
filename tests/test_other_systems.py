"""Runs in processes that lack parts of Linux: fastars works, or names what it does not do, where Windows and macOS lack something.

`other_systems.py` takes these things away from a process on Linux. That is no test on Windows or macOS (docs/platforms.md).

Broken on purpose -> red: owners of files asked for where there are none (all of Windows); affinity asked for where there is none
(all of macOS); a monitor file cut while it is open (`resumes_and_verifies`); worker processes and MuJoCo not refused
(`refused_by_name`, `stepped_in_python`).
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastars import ARS

HERE = Path(__file__).parent
PROGRAM = HERE / "other_systems.py"
SETTINGS = {"policy": "LinearPolicy", "env": "CartPole-v1", "seed": 3, "n_delta": 4, "n_threads": 2}
COMMANDS = (
    "train CartPole-v1 --iterations 2 --n-delta 4 --seed 1 --run-folder run --monitor --no-progress --eval-freq 99 --save-freq 99",
    "resume run --iterations 4 --no-progress",
    "eval run --n-eval-episodes 1",
    "verify run",
    "export run --to c",
    "envs",
)
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="takes things away from a process of Linux")
SYSTEMS = pytest.mark.parametrize("system", ["win32", "darwin"])


def digest(model):
    return hashlib.sha256(model.theta.tobytes()).hexdigest()


def run(system, program, folder):
    """Return the lines that a program prints in a process that lacks what the system lacks."""
    # Texts are in ASCII unless a file says otherwise: on Windows the encoding is that of the country.
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, PROGRAM, system, program], cwd=folder, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@SYSTEMS
def test_a_run_has_the_same_bits(system, tmp_path):
    here = ARS(**SETTINGS).learn(2_000).learn(2_000, reset_num_timesteps=False)
    assert run(system, "train", tmp_path) == [digest(here)]


@SYSTEMS
def test_the_command_trains_resumes_and_verifies(system, tmp_path):
    run(system, "command", tmp_path)
    assert {"model.zip", "best_model.zip", "evaluations.npz", "progress.csv", "0.monitor.csv"} <= set(os.listdir(tmp_path / "run"))
    assert not [name for name in os.listdir(tmp_path / "run") if name.endswith(".tmp")]


def test_on_windows_environments_in_python_run_in_one_process_and_more_are_refused_by_name(tmp_path):
    alone, refused = run("win32", "python", tmp_path)
    assert "in this process" in alone
    assert refused == (
        "ARS(): n_workers must be 1, got 2: env 'CartPole-v1' is stepped in Python, and worker processes need Linux or macOS"
    )


def test_on_macos_environments_in_python_run_in_worker_processes(tmp_path):
    alone, two = run("darwin", "python", tmp_path)
    assert "in this process" in alone
    assert "2 worker processes" in two


def test_on_windows_mujoco_is_stepped_in_python_with_the_reason(tmp_path):
    pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")
    reason = "MuJoCo's environments are compiled on Linux and macOS; on Windows, Gymnasium's run in Python"
    how, iteration, *refused = run("win32", "mujoco", tmp_path)
    assert how.startswith(f"in Python ({reason}),")
    assert iteration == "1"
    assert refused == [reason] * 3  # compiled=True, a MujocoTask, a vector environment


def test_on_macos_mujoco_is_compiled(tmp_path):
    pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")
    how, *_ = run("darwin", "mujoco", tmp_path)
    assert "Python" not in how


@pytest.mark.slow  # compiles the kernels of all checks
@SYSTEMS
def test_doctor_finds_no_problem(system, tmp_path):
    found = json.loads(run(system, "doctor", tmp_path)[-1])
    assert found["problems"] == []
    assert found["threads"]["allowed"] == os.cpu_count()
    assert ("not compiled on this system" in found["checks"].values()) == (system == "win32")

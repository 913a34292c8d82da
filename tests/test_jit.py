"""The cache of compiled kernels: never stale, damaged or foreign, and never in the way."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastars
from fastars import reference

PACKAGE = Path(fastars.__file__).parent
SNIPPET = """
import numpy as np
from fastars import kernels
from fastars._jit import cache_directory
print(kernels.sample_indices(np.uint64(5), 7, 3, 1000, 10).tolist(), sum(kernels.sample_indices.stats.cache_hits.values()))
print(cache_directory())
"""
RIGHT = str(reference.sample_indices(np.uint64(5), 7, 3, 1000, 10).tolist())


def run(root=PACKAGE.parent, **variables):
    """(indices, cache hits, cache directory) from a new process that imports fastars from `root`."""
    environment = {key: value for key, value in os.environ.items() if key not in ("XDG_CACHE_HOME", "FASTARS_CACHE_DIR")}
    environment |= {"PYTHONPATH": str(root), **variables}
    command = [sys.executable, "-W", "error", "-c", SNIPPET]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, directory = done.stdout.splitlines()
    indices, hits = first.rsplit(" ", 1)
    return indices, int(hits), directory


@pytest.fixture
def package(tmp_path):
    """A copy of the package that a test may edit."""
    shutil.copytree(PACKAGE, tmp_path / "root" / "fastars", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "root"


def test_second_process_finds_the_compiled_kernel(tmp_path):
    assert run(FASTARS_CACHE_DIR=str(tmp_path))[:2] == (RIGHT, 0)
    assert run(FASTARS_CACHE_DIR=str(tmp_path))[:2] == (RIGHT, 1)


def test_edited_callee_in_another_file_is_compiled_again(tmp_path, package):
    assert run(package, FASTARS_CACHE_DIR=str(tmp_path / "cache"))[:2] == (RIGHT, 0)
    source = package / "fastars" / "_rng.py"
    source.write_text(source.read_text().replace("0x8B51F9DD", "0x8B51F9DF"))
    indices, hits, _ = run(package, FASTARS_CACHE_DIR=str(tmp_path / "cache"))
    assert indices != RIGHT
    assert hits == 0


@pytest.mark.parametrize("damage", ["truncated", "emptied", "flipped", "pickle of nothing"])
def test_damaged_file_is_compiled_again(tmp_path, damage):
    run(FASTARS_CACHE_DIR=str(tmp_path))
    files = list(tmp_path.glob("*.kernel"))
    assert files
    for path in files:
        content = bytearray(path.read_bytes())
        if damage == "flipped":
            content[len(content) // 2] ^= 1
        contents = {
            "truncated": content[: len(content) // 3],
            "emptied": b"",
            "flipped": content,
            "pickle of nothing": b"\x80\x04N.",
        }
        path.write_bytes(contents[damage])
    assert run(FASTARS_CACHE_DIR=str(tmp_path))[:2] == (RIGHT, 0)
    assert run(FASTARS_CACHE_DIR=str(tmp_path))[:2] == (RIGHT, 1)  # and the file is whole again


OWN = """
from typing import NamedTuple
import numpy as np
from fastars._jit import inline
from fastars._protocol import register_functions
class Own(NamedTuple):
    x: float = 0.0
@inline
def reset(env, rng):
    return (0.0,)
@inline
def observe(env, state):
    return (np.float32(state[0]),)
@inline
def step(env, state, action):
    return (state[0] + 1.0,), REWARD, False
register_functions(Own, reset, observe, step)
"""
OWN_MAIN = """
import numpy as np
from own import Own
from fastars._structs import Argmax, LinearPolicy, Task, empty_rollouts, identity_filter
from fastars.kernels.rollout import roll_out
out = empty_rollouts(1, 1, False)
task = Task(Own(), LinearPolicy(), Argmax(), (np.float32(0),) * 2, (np.float32(0),) * 2, 10)
roll_out(task, identity_filter(1), np.zeros((1, 4)), np.zeros(1, np.uint64), 0, 1, out)
print(out.returns[0])
"""


def test_edited_environment_from_outside_the_package_is_compiled_again(tmp_path):
    results = []
    for reward in ("1.0", "5.0"):
        (tmp_path / "own.py").write_text(OWN.replace("REWARD", reward))
        environment = {**os.environ, "FASTARS_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": f"{PACKAGE.parent}:{tmp_path}"}
        command = [sys.executable, "-c", OWN_MAIN]
        results.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip())
    assert results == ["10.0", "50.0"]


FASTMATH = """
import numba, numpy as np
from fastars import scalar
hasty = numba.njit(fastmath=True)(lambda x: scalar.sincos(x)[0])
hasty(1.0)  # what is compiled first stays
strict = numba.njit(lambda x: scalar.sincos(x))
angles = np.random.default_rng(0).uniform(-50, 50, 500).tolist()
print(sum(strict(x) != scalar.sincos(x) for x in angles))
"""


def test_fastmath_of_a_caller_does_not_reach_the_kernels(tmp_path):
    environment = {**os.environ, "FASTARS_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", FASTMATH], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_bounds_checks_are_not_answered_by_code_without_them(tmp_path):
    assert run(FASTARS_CACHE_DIR=str(tmp_path))[1] == 0
    assert run(FASTARS_CACHE_DIR=str(tmp_path), NUMBA_BOUNDSCHECK="1")[1] == 0
    assert run(FASTARS_CACHE_DIR=str(tmp_path), NUMBA_BOUNDSCHECK="1")[1] == 1
    assert run(FASTARS_CACHE_DIR=str(tmp_path))[1] == 1


def test_directory_that_others_may_write_is_not_used(tmp_path):
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o777)
    for _ in range(2):
        assert run(FASTARS_CACHE_DIR=str(directory)) == (RIGHT, 0, "None")
    assert not list(directory.iterdir())


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give a directory away")
def test_directory_of_another_user_is_not_used(tmp_path):
    directory = tmp_path / "foreign"
    directory.mkdir(mode=0o700)
    os.chown(directory, 12345, 12345)
    assert run(FASTARS_CACHE_DIR=str(directory)) == (RIGHT, 0, "None")


def test_place_that_can_not_be_a_directory_means_no_cache(tmp_path):
    (tmp_path / "file").write_text("")
    assert run(FASTARS_CACHE_DIR=str(tmp_path / "file" / "cache")) == (RIGHT, 0, "None")


def test_cache_lies_in_xdg_cache_home_or_home(tmp_path):
    assert run(XDG_CACHE_HOME=str(tmp_path))[2] == str(tmp_path / "fastars")
    assert run(HOME=str(tmp_path))[2] == str(tmp_path / ".cache" / "fastars")
    assert (tmp_path / ".cache" / "fastars").stat().st_mode & 0o777 == 0o700


def test_eight_processes_at_once_agree(tmp_path):
    environment = {**os.environ, "FASTARS_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(PACKAGE.parent)}
    processes = [
        subprocess.Popen([sys.executable, "-c", SNIPPET], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert all(output.startswith(RIGHT) for output in outputs)
    assert not list(tmp_path.glob(".tmp-*"))


def test_import_of_the_package_imports_neither_numba_nor_gymnasium():
    code = "import sys, fastars; print([m for m in ('numba', 'gymnasium', 'llvmlite') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "[]"


def test_names_of_the_package_resolve():
    for name in fastars.__all__:
        assert getattr(fastars, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        fastars.nonsense  # noqa: B018

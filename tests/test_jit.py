"""The cache of compiled kernels: never stale, damaged or foreign, and never in the way.

Broken on purpose: no digest of a file's content -> the tests of edits and damage red; no digest of the sources -> the one of an
edited callee red; all files of the rooms in the digest, or only those that import `inline` -> the tests of what it covers red; any
directory taken -> those of foreign and open ones red; errors of saving raised -> full disk and faults in use red; all old files
swept -> `test_only_kernels_that_nobody_used_for_a_month_are_swept` red.
"""

import ast
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
import pytest
from compiled_sources import Walk, import_rooms

import fastars
from fastars import kernels, reference
from fastars._compiled import jit, kernel_cache

PACKAGE = Path(fastars.__file__).parent
SNIPPET = """
import numpy as np
from fastars import kernels
from fastars._compiled.kernel_cache import cache_directory
print(kernels.sample_indices(np.uint64(5), 7, 3, 1000, 10).tolist(), sum(kernels.sample_indices.stats.cache_hits.values()))
print(cache_directory())
"""
RIGHT = str(reference.sample_indices(np.uint64(5), 7, 3, 1000, 10).tolist())


compiled = pytest.mark.skipif(jit.numba.config.DISABLE_JIT, reason="nothing is compiled")


def run(root=PACKAGE.parent, code=SNIPPET, without=(), process=None, **variables):
    """(indices, cache hits, cache directory) from a new process that imports fastars from `root`."""
    left_out = "XDG_CACHE_HOME", "FASTARS_CACHE_DIR", *without
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    environment |= {"PYTHONPATH": str(root), **variables}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False, **(process or {}))
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


@pytest.mark.promise(18)
def test_edited_callee_in_another_file_is_compiled_again(tmp_path, package, tally):
    assert run(package, FASTARS_CACHE_DIR=str(tmp_path / "cache"))[:2] == (RIGHT, 0)
    source = package / "fastars" / "_compiled" / "rng.py"
    source.write_text(source.read_text().replace("0x8B51F9DD", "0x8B51F9DF"))
    indices, hits, _ = run(package, FASTARS_CACHE_DIR=str(tmp_path / "cache"))
    assert indices != RIGHT
    assert hits == 0
    tally("stale kernels that were compiled again", 1, of=1)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A copy of the package, and a cache that one of its kernels is in."""
    root, cache = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("cache")
    shutil.copytree(PACKAGE, root / "fastars", ignore=shutil.ignore_patterns("__pycache__"))
    assert run(root, FASTARS_CACHE_DIR=str(cache))[:2] == (RIGHT, 0)
    assert run(root, FASTARS_CACHE_DIR=str(cache))[:2] == (RIGHT, 1)
    return root, cache


def hits_after_touching(name, filled):
    """Count the cache hits of the kernel after an edit of a file of the package that changes nothing."""
    root, cache = filled
    path = root / "fastars" / name
    before = path.read_bytes()
    path.write_bytes(before + b"# touched\n")
    try:
        indices, hits, _ = run(root, FASTARS_CACHE_DIR=str(cache))
    finally:
        path.write_bytes(before)
    assert indices == RIGHT
    return hits


READ = [
    "kernels/noise.py",
    "_compiled/rng.py",
    "_compiled/ziggurat.py",
    "_compiled/jit.py",
    "envs/classic/cartpole.py",
    "scalar.py",
    "envs/mujoco/guard.py",
    "physics/solver.py",
]
NOT_READ = ["training/checkpoint_validation.py", "envs/gym.py", "envs/__init__.py", "envs/check.py", "_compiled/kernel_cache.py"]


@compiled
@pytest.mark.parametrize("name", READ)
def test_touched_file_that_kernels_read_is_compiled_again(name, filled):
    assert hits_after_touching(name, filled) == 0


@compiled
@pytest.mark.parametrize("name", NOT_READ)
def test_touched_file_that_no_kernel_reads_leaves_the_cache_as_it_is(name, filled):
    assert hits_after_touching(name, filled) == 1


class Point(NamedTuple):
    """Constants of the environment and the task that follow."""

    force: float = 1.0


def register_what_users_write():
    """Compile an environment of the user's and a task of the user's: some files have compiled functions only then."""
    spaces = {"observation_space": gymnasium.spaces.Box(-1, 1, (1,)), "action_space": gymnasium.spaces.Discrete(2)}
    functions = lambda env, rng: (0.0,), lambda env, state: state, lambda env, state, action: (state, env.force, False)
    fastars.register_env("WalkedThrough-v0", Point(), *functions, **spaces, max_episode_steps=2)

    def observe(constants, sim, observation):
        observation[0] = sim.qpos[0]

    xml = """<mujoco><worldbody><body><joint name="hinge"/><geom size="0.1"/></body></worldbody>
        <actuator><motor joint="hinge" ctrllimited="true" ctrlrange="-1 1"/></actuator></mujoco>"""
    fastars.MujocoTask(xml, observe, lambda constants, sim, action, before: 0.0, n_obs=1)


# Files of the digest that no kernel reads, but that shape the code: the compiler's options, and the copies of users' functions.
SHAPE_THE_CODE = {"_compiled/jit.py", "_compiled/closure_digest.py"}


@compiled
@pytest.mark.promise(18)
def test_digest_covers_all_files_that_kernels_read_and_no_others(tally):
    """Walks from all compiled functions to the files that they lead to."""
    register_what_users_write()
    walk = Walk(import_rooms("_compiled", "kernels", "envs", "physics", "scalar"))
    assert set(kernel_cache.compiled_sources()) == walk.files | SHAPE_THE_CODE
    assert len(walk.files) > 50
    tally("files that kernels read, all of them in the digest", len(walk.files), of=len(walk.files))


DECORATORS = {
    *("INLINE", "inline", "routine", "part", "kernel", "addressed", "parallel", "launching"),
    *("overload", "intrinsic", "register_jitable", "njit", "jit"),
}


def test_every_file_that_imports_a_decorator_is_in_the_digest():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("fastars._compiled", "numba")):
                found |= {path.relative_to(PACKAGE).as_posix()} if DECORATORS & {alias.name for alias in node.names} else set()
    assert found <= set(kernel_cache.compiled_sources())


@pytest.mark.promise(18)
@pytest.mark.parametrize("damage", ["truncated", "emptied", "flipped", "pickle of nothing", "of another kernel"])
def test_damaged_file_is_compiled_again(tmp_path, damage, tally):
    run(FASTARS_CACHE_DIR=str(tmp_path))
    other = _other_kernel(tmp_path / "other") if damage == "of another kernel" else b""
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
            "of another kernel": other,
        }
        path.write_bytes(contents[damage])
    assert run(FASTARS_CACHE_DIR=str(tmp_path))[:2] == (RIGHT, 0)
    assert run(FASTARS_CACHE_DIR=str(tmp_path))[:2] == (RIGHT, 1)  # and the file is whole again
    tally(f"kernels compiled again, file {damage}", len(files), of=len(files))


def _other_kernel(directory):
    """The content of a whole file of another kernel."""
    code = (
        "import numpy as np; from fastars import kernels; kernels.episode_seeds(np.uint64(5), 7, 3, 2, True); print('- 0'); print()"
    )
    run(code=code, FASTARS_CACHE_DIR=str(directory))
    return max(directory.glob("*.kernel")).read_bytes()


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A directory of its own for what is compiled in this process."""
    monkeypatch.setenv("FASTARS_CACHE_DIR", str(tmp_path / "cache"))
    kernel_cache.cache_directory.cache_clear()
    kernel_cache.sweep.cache_clear()
    yield tmp_path / "cache"
    kernel_cache.cache_directory.cache_clear()
    kernel_cache.sweep.cache_clear()


def indices():
    """Return (result, loader, file) of a kernel that this process has neither loaded nor compiled."""
    fresh = jit.kernel(kernels.sample_indices.py_func)
    found = str(fresh(np.uint64(5), 7, 3, 1000, 10).tolist())
    (signature,) = fresh.signatures
    return (
        found,
        lambda: fresh._cache.load_overload(signature, fresh.targetctx),
        fresh._cache.locate(signature, fresh.targetctx.codegen())[1],
    )


@compiled
@pytest.mark.promise(18)
def test_edits_and_truncations_are_seen_before_anything_is_unpickled(own_cache, monkeypatch, tally):
    n, draw = tally.of(fast=200, full=5_000), random.Random(0)
    found, load, path = indices()
    assert found == RIGHT
    whole = path.read_bytes()
    assert load() is not None
    monkeypatch.setattr(kernel_cache.pickle, "loads", lambda content: pytest.fail("unpickled"))
    refused = 0
    for k in range(n):
        content = bytearray(whole)
        if k % 2:
            del content[draw.randrange(len(whole)) :]
        else:
            content[draw.randrange(len(whole))] ^= draw.randrange(1, 256)
        path.write_bytes(content)
        refused += load() is None
    assert refused == n
    tally("edits and truncations of a compiled kernel that were refused unread", refused, of=n)


@compiled
@pytest.mark.promise(18)
def test_places_that_fail_while_in_use_cost_a_compilation_and_no_more(own_cache, tally):
    path = indices()[2]
    faults = {
        "a directory in its place": lambda: (path.unlink(), path.mkdir()),
        "not readable": lambda: (path.rmdir(), path.symlink_to(path)),
        "the cache removed": lambda: shutil.rmtree(own_cache),
        "a file in the cache's place": lambda: own_cache.write_text(""),
    }
    for inject in faults.values():
        inject()
        assert indices()[0] == RIGHT
    assert own_cache.read_text() == ""
    tally("faults of the cache in use that cost a compilation and no more", len(faults), of=len(faults))


@compiled
@pytest.mark.promise(18)
def test_a_full_disk_costs_the_next_process_a_compilation(tmp_path, tally):
    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    for _ in range(2):
        assert run(FASTARS_CACHE_DIR=str(tmp_path), process={"preexec_fn": fill})[:2] == (RIGHT, 0)
    assert list(tmp_path.iterdir()) == []  # no half file, no temporary one
    assert run(FASTARS_CACHE_DIR=str(tmp_path))[:2] == (RIGHT, 0)
    assert list(tmp_path.glob("*.kernel"))
    tally("starts on a full disk", 2, of=2)


NOBODY = """
import os, pwd
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
"""


@pytest.mark.promise(18)
@pytest.mark.skipif(not Path("/proc").exists(), reason="there is no folder that root can't write to")
def test_a_home_that_does_not_exist_or_can_not_be_written_means_no_cache(tally):
    assert run(code=NOBODY + SNIPPET, without=["HOME"]) == (RIGHT, 0, "None")
    assert run(HOME="/proc") == (RIGHT, 0, "None")
    assert run(HOME="/dev/null/home") == (RIGHT, 0, "None")
    tally("starts without a home, or with one that can't be written", 3, of=3)


@compiled
def test_only_kernels_that_nobody_used_for_a_month_are_swept(own_cache):
    own_cache.mkdir(mode=0o700)
    now, day = time.time(), 86_400
    ages = {"old.kernel": 31, ".tmp-old": 31, "new.kernel": 29, ".tmp-new": 0, "somebody's.txt": 99}
    for name, days in ages.items():
        (own_cache / name).write_text("")
        os.utime(own_cache / name, (now - days * day,) * 2)
    _, _, path = indices()  # compiles, and so sweeps
    assert {found.name for found in own_cache.iterdir()} == {"new.kernel", ".tmp-new", "somebody's.txt", path.name}
    os.utime(path, (now - 29 * day,) * 2)
    assert indices()[0] == RIGHT  # loads it
    assert time.time() - path.stat().st_mtime < day


OWN = """
from typing import NamedTuple
import numpy as np
from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
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
from fastars._compiled.structs import Argmax, LinearPolicy, RolloutSpec, empty_rollouts, identity_filter
from fastars.kernels.rollout_lanes import roll_out
out = empty_rollouts(1, 1, False)
task = RolloutSpec(Own(), LinearPolicy(), Argmax(), (np.float32(0),) * 2, (np.float32(0),) * 2, 10)
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


@pytest.mark.promise(18)
def test_directory_that_others_may_write_is_not_used(tmp_path, tally):
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o777)
    for _ in range(2):
        assert run(FASTARS_CACHE_DIR=str(directory)) == (RIGHT, 0, "None")
    assert not list(directory.iterdir())
    tally("starts with a directory that others may write, which was not used", 2, of=2)


@pytest.mark.promise(18)
@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give a directory away")
def test_directory_of_another_user_is_not_used(tmp_path, tally):
    directory = tmp_path / "foreign"
    directory.mkdir(mode=0o700)
    os.chown(directory, 12345, 12345)
    assert run(FASTARS_CACHE_DIR=str(directory)) == (RIGHT, 0, "None")
    tally("starts with a directory of another user, which was not used", 1, of=1)


def test_place_that_can_not_be_a_directory_means_no_cache(tmp_path):
    (tmp_path / "file").write_text("")
    assert run(FASTARS_CACHE_DIR=str(tmp_path / "file" / "cache")) == (RIGHT, 0, "None")


def test_cache_lies_in_xdg_cache_home_or_home(tmp_path):
    assert run(XDG_CACHE_HOME=str(tmp_path))[2] == str(tmp_path / "fastars")
    assert run(HOME=str(tmp_path))[2] == str(tmp_path / ".cache" / "fastars")
    assert (tmp_path / ".cache" / "fastars").stat().st_mode & 0o777 == 0o700


@pytest.mark.promise(18)
def test_eight_processes_at_once_agree(tmp_path, tally):
    environment = {**os.environ, "FASTARS_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(PACKAGE.parent)}
    processes = [
        subprocess.Popen([sys.executable, "-c", SNIPPET], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert all(output.startswith(RIGHT) for output in outputs)
    assert not list(tmp_path.glob(".tmp-*"))
    tally("processes that fill one cache at once", len(outputs), of=8)


def test_import_of_the_package_imports_neither_numba_nor_gymnasium():
    code = "import sys, fastars; print([m for m in ('numba', 'gymnasium', 'llvmlite') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "[]"


def test_names_of_the_package_resolve():
    for name in fastars.__all__:
        assert getattr(fastars, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        fastars.nonsense  # noqa: B018


# Who may put code there
# Broken on purpose: files read whoever wrote them, no look at directories above -> the first three and the last test red.


posix_root = pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give a directory away")


def directory_for(monkeypatch, path):
    """The directory of the cache where FASTARS_CACHE_DIR names this one."""
    monkeypatch.setenv("FASTARS_CACHE_DIR", str(path))
    return kernel_cache.cache_directory.__wrapped__()


def test_directory_below_one_that_everybody_may_write_is_not_used(tmp_path, monkeypatch):
    everybodys = tmp_path / "everybodys"
    (everybodys / "cache").mkdir(mode=0o700, parents=True)
    everybodys.chmod(0o777)
    assert directory_for(monkeypatch, everybodys / "cache") is None
    everybodys.chmod(0o1777)  # sticky, as /tmp: nobody may rename what is another's
    assert directory_for(monkeypatch, everybodys / "cache") == str(everybodys / "cache")


def test_link_through_a_directory_that_everybody_may_write_is_not_used(tmp_path, monkeypatch):
    everybodys, own = tmp_path / "everybodys", tmp_path / "own"
    everybodys.mkdir()
    own.mkdir(mode=0o700)
    everybodys.chmod(0o777)
    (everybodys / "link").symlink_to(own)
    assert directory_for(monkeypatch, everybodys / "link") is None
    (tmp_path / "link").symlink_to(own)  # a link in a directory of one's own leads there
    assert directory_for(monkeypatch, tmp_path / "link") == str(tmp_path / "link")


@posix_root
def test_directory_below_that_of_another_user_is_not_used(tmp_path, monkeypatch):
    (tmp_path / "foreign" / "cache").mkdir(mode=0o700, parents=True)
    os.chown(tmp_path / "foreign", 12345, 12345)
    assert directory_for(monkeypatch, tmp_path / "foreign" / "cache") is None


@pytest.mark.parametrize("how", ["writable by all", "link", "pipe", "directory", pytest.param("foreign", marks=posix_root)])
def test_file_that_somebody_else_can_have_written_is_not_read(tmp_path, how):
    path = tmp_path / "a.kernel"
    path.write_bytes(b"code")
    assert kernel_cache.own_bytes(path) == b"code"
    if how == "writable by all":
        path.chmod(0o666)
    elif how == "foreign":
        os.chown(path, 12345, 12345)
    else:
        path.rename(tmp_path / "elsewhere")
        {"link": lambda: path.symlink_to(tmp_path / "elsewhere"), "pipe": lambda: os.mkfifo(path), "directory": path.mkdir}[how]()
    with pytest.raises(OSError):
        kernel_cache.own_bytes(path)


PAYLOAD = """
import hashlib, os, pickle, sys
class Payload:
    def __reduce__(self):
        return os.makedirs, (sys.argv[1], 0o700, True)
payload = pickle.dumps(Payload())
for path in sys.argv[2:]:
    open(path, "wb").write(hashlib.sha256(payload).digest() + payload)
"""


def test_code_in_a_file_that_everybody_may_write_is_not_run(tmp_path):
    cache, trace = tmp_path / "cache", tmp_path / "executed"
    run(FASTARS_CACHE_DIR=str(cache))
    paths = sorted(cache.glob("*.kernel"))
    for mode, is_run in ((0o666, False), (0o600, True)):  # what only this user can write is trusted: so the first would be seen
        subprocess.run([sys.executable, "-c", PAYLOAD, trace, *paths], check=True)
        for path in paths:
            path.chmod(mode)
        assert run(FASTARS_CACHE_DIR=str(cache))[:2] == (RIGHT, 0)
        assert trace.exists() == is_run

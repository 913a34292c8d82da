"""Which MuJoCo is in use: its package and version, files of another one beside it, known faults.

Broken on purpose, one at a time: the first file named libmujoco taken, or other files passed over -> `left_over` red; a package
that is there and can't be imported taken for a missing one -> `whose_library_is_missing` red; the version of the distribution
`mujoco` asked for -> `mujoco_core_alone` and `version_of_mujocos_library` red; `mj_step` taken from the process instead of the
library -> `of_the_library_in_use` and `left_over` red; no warning, or one for every solver or every Jacobian -> `moves_wrongly`
red; a self-check that is always right, or never -> `doctor_steps` red.
"""

import ctypes
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mujoco", reason="MuJoCo environments need the mujoco package")

import mujoco
from test_mujoco_sizes import observe, reward

import fastars
from fastars import MujocoTask, UnsupportedEnvError
from fastars._imports import version_of
from fastars.cli import doctor, main, selfcheck
from fastars.envs.mujoco import library

IS_LINUX = sys.platform == "linux"
VERSION = importlib.metadata.version


@pytest.fixture
def copied_mujoco(tmp_path):
    """A copy of the mujoco package in a folder of its own, and a function that runs Python with it."""
    package = Path(mujoco.__file__).parent
    skipped = shutil.ignore_patterns(
        "__pycache__", "*_test.py", "testdata", "include", "mjx", "usd", "sysid", "studio", "introspect"
    )
    shutil.copytree(package, tmp_path / "mujoco", ignore=skipped)

    def run(code):
        path = os.pathsep.join([str(tmp_path), str(Path(fastars.__file__).parent.parent)])
        return subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)

    return tmp_path / "mujoco", run


@pytest.mark.promise(23)
@pytest.mark.skipif(not IS_LINUX, reason="the name of the library's file is that of Linux")
def test_a_library_left_over_beside_the_one_in_use_is_named_and_not_taken(copied_mujoco, tally):
    folder, run = copied_mujoco
    (folder / "libmujoco.so.0.0.0").write_bytes(b"of another version")
    (folder / "libmujoco.so.9.9.9").write_bytes(b"of another version")
    done = run(
        "import json, mujoco\n"
        "from fastars import evaluate_candidates\n"
        "from fastars.envs.mujoco import library\n"
        "import numpy as np\n"
        "found = evaluate_candidates('Swimmer-v5', np.ones((1, 16)), seeds=[0], max_episode_steps=5)\n"
        "print(json.dumps([found.lengths.tolist(), library.library_path, library.other_libraries()]))"
    )
    lengths, path, others = json.loads(done.stdout)
    assert lengths == [5]
    assert Path(path).parent == folder
    assert Path(path).name == f"libmujoco.so.{mujoco.mj_versionString()}"
    assert [re.match(r".*libmujoco\.so\.(\S+) is left over .*libmujoco\.so\.\S+ is in use", other)[1] for other in others] == [
        "0.0.0",
        "9.9.9",
    ]
    tally("libraries left over, named and not taken", len(others), of=2)


@pytest.mark.skipif(not IS_LINUX, reason="the name of the library's file is that of Linux")
def test_a_package_whose_library_is_missing_is_an_error_of_one_line(copied_mujoco):
    folder, run = copied_mujoco
    (file,) = folder.glob("libmujoco.so.*")
    file.rename(folder / "libmujoco.so.0.0.0")
    done = run(
        "from fastars import ARS\n"
        "try:\n    ARS('LinearPolicy', 'HalfCheetah-v5')\n"
        "except Exception as error:\n    print(type(error).__name__, str(error))"
    )
    assert done.stdout.startswith("UnsupportedEnvError ARS(): ")
    assert file.name in done.stdout
    assert f"it has {folder}/libmujoco.so.0.0.0): pip uninstall mujoco mujoco-core, then install it" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_functions_are_those_of_the_library_in_use():
    assert library.address_of("mj_step") == ctypes.cast(ctypes.CDLL(library.library_path).mj_step, ctypes.c_void_p).value
    assert Path(library.library_path).parent == Path(mujoco.__file__).parent


def core_alone(package):
    """Versions as `importlib.metadata` finds them where `mujoco-core` is installed without `mujoco`."""
    if package == "mujoco":
        raise importlib.metadata.PackageNotFoundError(package)
    return "4.0.1" if package == "mujoco-core" else VERSION(package)


def test_mujoco_core_alone_is_enough(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", core_alone)
    assert library.import_mujoco() is mujoco
    assert version_of("mujoco") == "4.0.1"
    assert version_of("numpy") == VERSION("numpy")
    assert version_of("no-such-package") is None


@pytest.mark.parametrize(
    ("version", "allowed"),
    [("2.3.7", False), ("3.1.6", False), ("3.2.0", True), ("3.17.0", True), ("4.0.1", True), ("4.9.1", True), ("5.0.0", False)],
)
def test_version_of_mujocos_library_is_checked(monkeypatch, version, allowed):
    monkeypatch.setattr(mujoco, "mj_versionString", lambda: version)
    if allowed:
        assert library.import_mujoco() is mujoco
    else:
        with pytest.raises(UnsupportedEnvError, match=re.escape(f"mujoco {version} is not supported: install one from 3.2 to 4.x")):
            library.import_mujoco()


def test_missing_mujoco_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(UnsupportedEnvError, match=r'need the mujoco package: pip install "gymnasium\[mujoco\]"'):
        library.import_mujoco()


def boxes(n, jacobian="auto", solver="Newton"):
    """A model of n free boxes and a pendulum: 6 n + 1 degrees of freedom, of which 60 are enough for a sparse Jacobian."""
    return (
        f'<mujoco><option jacobian="{jacobian}" solver="{solver}"/><worldbody>'
        + "".join(f'<body pos="0 0 {i}"><freejoint/><geom type="box" size=".1 .1 .1"/></body>' for i in range(n))
        + '<body><joint name="hinge"/><geom size=".1" pos="0 0 1"/></body></worldbody>'
        '<actuator><motor joint="hinge" ctrllimited="true" ctrlrange="-1 1"/></actuator></mujoco>'
    )


@pytest.mark.parametrize(
    ("version", "xml", "is_wrong"),
    [
        ("4.0.0", boxes(10), True),
        ("4.0.0", boxes(1, "sparse"), True),
        ("4.0.0", boxes(9), False),
        ("4.0.0", boxes(10, "dense"), False),
        ("4.0.0", boxes(10, solver="PGS"), False),
        ("4.0.1", boxes(10), False),
        ("3.17.0", boxes(10), False),
    ],
)
def test_models_that_mujoco_4_0_0_moves_wrongly_are_warned_of(monkeypatch, recwarn, version, xml, is_wrong):
    monkeypatch.setattr(mujoco, "mj_versionString", lambda: version)
    MujocoTask(xml, observe, reward, n_obs=1)
    said = [str(warning.message) for warning in recwarn if "mujoco 4.0.0" in str(warning.message)]
    assert len(said) == is_wrong
    assert [warning.filename for warning in recwarn if "mujoco 4.0.0" in str(warning.message)] == [__file__] * is_wrong
    assert len(library.faults()) == (version == "4.0.0")


def test_doctor_says_what_it_knows_about_this_mujoco(monkeypatch, capsys):
    monkeypatch.setattr(selfcheck, "_CHECKS", {})
    monkeypatch.setattr(library, "other_libraries", lambda: ["/a/libmujoco.so.3.3.0 is left over"])
    monkeypatch.setattr(mujoco, "mj_versionString", lambda: "4.0.0")
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert " note     /a/libmujoco.so.3.3.0 is left over\n" in said
    assert "mujoco 4.0.0 computes a wrong Newton factor" in said
    assert "No problems, 2 notes above, in " in said
    monkeypatch.setattr(mujoco, "mj_versionString", lambda: "4.0.1")
    monkeypatch.setattr(library, "other_libraries", list)
    assert doctor.examine()["notes"] == []


def test_doctor_steps_a_mujoco_environment_and_compares(monkeypatch):
    check = selfcheck._CHECKS["steps of HalfCheetah-v5, kernel and Gymnasium"]
    assert check()
    monkeypatch.setattr(selfcheck, "evaluate_policy", lambda *args, **kwargs: ([1.0, 2.0, 3.0], [50, 50, 50]))
    assert not check()
    monkeypatch.setattr(selfcheck, "_CHECKS", {"steps": lambda: None})
    monkeypatch.setattr(selfcheck, "version_of", lambda package: None)
    assert check() is None
    assert selfcheck.self_checks() == {"steps": "not installed"}
    assert doctor.examine()["problems"] == []

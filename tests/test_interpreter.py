"""Fresh interpreters: which program is one, and what it imports.

Broken on purpose: names not looked at, or only their beginning; `sys.frozen` not looked at; folders not handed on, `""` handed
on as it is, paths that are no strings; an import before the folders are set; each switch alone not handed on. Each is red, by
the test of its name.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastars
from fastars._runtime import interpreter

ROOT = Path(fastars.__file__).parent.parent
INTERPRETERS = [
    *("/usr/bin/python", "/usr/bin/python3", "/opt/venv/bin/python3.11", "/usr/bin/python3.13t", "/usr/bin/python3-dbg"),
    *("/usr/bin/python3.12d", "/Library/Python.app/Contents/MacOS/Python", "/bin/python3.11-intel64"),
    *("python.exe", "pythonw.exe", "python_d.exe", "python3.11.exe", "PYTHON.EXE"),
]
OTHERS = [
    *("/usr/bin/uwsgi", "/opt/blender/blender", "/Applications/Maya.app/bin/maya", "qgis-bin.exe", "pythonservice.exe"),
    *("/opt/python-editor-pro/app", "/home/user/dist/train", "/usr/bin/pythonhost", "", None),
]


@pytest.mark.parametrize("executable", INTERPRETERS)
def test_an_interpreter_is_known_by_its_name(executable, monkeypatch):
    monkeypatch.setattr(sys, "executable", executable)
    assert interpreter.has_interpreter()


@pytest.mark.parametrize("executable", OTHERS)
def test_a_program_with_python_in_it_is_none(executable, monkeypatch):
    monkeypatch.setattr(sys, "executable", executable)
    assert not interpreter.has_interpreter()


@pytest.mark.parametrize("value", [True, "macosx_app", "windows_exe"])
def test_a_frozen_program_is_none_whatever_its_name(value, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/dist/python")
    monkeypatch.setattr(sys, "frozen", value, raising=False)
    assert not interpreter.has_interpreter()


def output(command, **settings):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, **settings).stdout)


def test_it_imports_from_the_same_folders(monkeypatch, tmp_path):
    strange = str(tmp_path / 'a folder\'s "name" \\ é \udcff')
    monkeypatch.setattr(sys, "path", ["", strange, Path("relative"), *sys.path])
    found = output(interpreter.python_command("import json; print(json.dumps(sys.path))"))
    assert found == [os.getcwd(), strange, "relative", *sys.path[3:]]


def test_it_imports_nothing_from_the_present_folder(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("print('mine')")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    command = interpreter.python_command("import json; print(json.dumps(sys.argv))")
    assert output([*command, "one", "two"], cwd=tmp_path) == ["-c", "one", "two"]


@pytest.mark.parametrize("switches", [[], ["-I"], ["-E"], ["-s"], ["-S"], ["-B"], ["-E", "-s", "-B"]], ids=" ".join)
def test_switches_are_handed_on(switches):
    names = "isolated", "ignore_environment", "no_user_site", "no_site"
    words = f"print([*(getattr(sys.flags, name) for name in {names}), int(sys.dont_write_bytecode)])"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {words}\nfrom fastars._runtime.interpreter import python_command\n"
    code += f"import subprocess; print(subprocess.run(python_command({words!r}), capture_output=True, text=True).stdout)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    found = subprocess.run(
        [sys.executable, *switches, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout
    here, there = found.split("\n")[:2]
    assert here == there
    assert ("1" in here) == bool(switches)


def test_a_present_folder_that_is_gone(tmp_path, monkeypatch):
    """It is an error of the operating system, which the second compiler does without."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    with pytest.raises(OSError, match="No such file"):
        interpreter.python_command("pass")

"""No module of the package has a call that could run code from a file, but for the places listed here with their reasons.

Seen red: by a `pickle.load` that came into samplers/worker.py, until it was named; test_the_search_finds has what else it finds.
"""

import ast
import functools
from pathlib import Path

import pytest

import fastars

PACKAGE = Path(fastars.__file__).parent

# Calls by the last names of what is called. `literal_eval` reads literals only, and is no `eval`.
RUNS = {
    "eval",
    "exec",
    "execfile",
    "compile",
    "__import__",
    "import_module",
    "system",
    "popen",
    "Popen",
    "spawn",
    "execv",
    "execve",
}
RUNS |= {"Unpickler", "run_path", "run_module", "spec_from_file_location", "CDLL", "LoadLibrary", "dlopen", "entry_points"}
UNPICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml", "torch", "pandas"}
LOADS = {"load", "loads", "full_load", "unsafe_load", "load_all", "read_pickle", "open"}

# (file, what is called): why it may be.
ALLOWED = {
    (
        "_compiled/kernel_cache.py",
        "pickle.loads",
    ): "compiled kernels, from a directory and a file that only this user can write, after their digest",
    ("samplers/worker.py", "pickle.load"): "the order of the parent process, through a pipe",
    ("samplers/worker.py", "pickle.loads"): "the order of the parent process, through a pipe",
    ("envs/gym.py", "pickle.loads"): "a copy of the user's environment, pickled in this run, for a worker of it",
    ("samplers/ray/actor.py", "pickle.loads"): "the order of the process that trains, through Ray, which runs its code anyway",
    ("_compiled/ahead.py", "subprocess.Popen"): "this Python, which compiles kernels; a list of arguments, no shell",
    ("_compiled/ahead.py", "pickle.loads"): "the order of the process that started this one, an argument of its command",
    ("_compiled/ahead.py", "importlib.import_module"): "the modules of kernels, by that order",
    ("_compiled/ahead.py", "kernel.compile"): "Numba, on a kernel",
    ("_compiled/dispatchers.py", "compile"): "the same, of a class above",
    ("samplers/process.py", "subprocess.Popen"): "this Python, as a worker; a list of arguments, no shell",
    ("__init__.py", "import_module"): "the package's own modules, by the table of public names",
    ("_imports.py", "import_module"): "optional packages, whose names stand in our code",
    ("envs/__init__.py", "import_module"): "the room's own modules, by the table of public names",
    ("envs/compiling.py", "importlib.import_module"): "our own table of environments",
    ("envs/of_file.py", "import_module"): "the same, and the home of an entry point of Gymnasium's or mo-gymnasium's own",
    ("envs/resolve.py", "importlib.import_module"): "MODULE of a MODULE:ID that the user gave",
    ("weighting/__init__.py", "import_module"): "our own table of methods",
    ("envs/vectorised.py", "dispatcher.compile"): "Numba, on the user's function",
    ("cli/doctor.py", "platform.system"): "the name of the operating system",
    ("_runtime/floats.py", "ctypes.CDLL"): "the C library of this process",
    ("envs/mujoco/library.py", "ctypes.CDLL"): "MuJoCo's library, from its package",
    ("cli/__init__.py", "import_module"): "tyro and rich",
    ("cli/env_ids.py", "importlib.import_module"): "MODULE of MODULE:ID that the user wrote on the command line",
    ("cli/machine.py", "platform.system"): "the name of the operating system",
    ("envs/old_gym.py", "importlib.import_module"): "gym and shimmy, by their names",
    ("rllib/environments.py", "importlib.import_module"): "the class that the user's config names",
    ("rllib/trial.py", "import_module"): "Ray Tune, by its name",
    ("replay.py", "importlib.import_module"): "the same, never that of a file",
}


def called(node):
    """The dotted name of what a call calls, or its last part."""
    names, function = [], node.func
    while isinstance(function, ast.Attribute):
        names.append(function.attr)
        function = function.value
    return ".".join(reversed([*names, *([function.id] if isinstance(function, ast.Name) else [])]))


def suspicious(tree):
    """Yield the calls and imports of a module that could run code from a file."""
    for node in ast.walk(tree):
        is_unpickler = isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLES
        if is_unpickler and (names := {alias.name for alias in node.names} & (LOADS | {"Unpickler"})):
            yield f"from {node.module} import {', '.join(sorted(names))}"
        if not isinstance(node, ast.Call):
            continue
        name = called(node)
        first, _, last = name.rpartition(".")
        if name != "re.compile" and last in RUNS:
            yield name
        if last in LOADS and first.partition(".")[0] in UNPICKLES:
            yield name
        for keyword in node.keywords:
            if keyword.arg in ("allow_pickle", "shell") and not (
                isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            ):
                yield f"{name}({keyword.arg}={ast.unparse(keyword.value)})"


@functools.cache
def found():
    return [
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in suspicious(ast.parse(path.read_text(encoding="utf-8")))
    ]


@pytest.mark.promise(6)
def test_nothing_of_a_file_can_run(tally):
    places = found()
    unknown = [place for place in places if place not in ALLOWED]
    assert not unknown, "code that could run what a file says: name the place and the reason here, or do without"
    tally("places that load or start code, each with its reason", len(set(places)))


def test_every_place_that_is_allowed_is_there():
    assert set(ALLOWED) <= set(found())


@pytest.mark.parametrize(
    "code",
    [
        "pickle.load(file)",
        "cloudpickle.loads(data)",
        "pickle.Unpickler(file).load()",
        "from pickle import loads",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trust)",
        "torch.load(path)",
        "yaml.load(text)",
        "marshal.loads(data)",
        "eval(text)",
        "exec(text)",
        "builtins.exec(text)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "importlib.import_module(name)",
        "__import__(name)",
    ],
)
def test_the_search_finds(code):
    assert list(suspicious(ast.parse(code)))


def test_the_search_passes_over_what_runs_nothing():
    code = "re.compile(x); np.load(x); np.load(x, allow_pickle=False); json.loads(x); ast.literal_eval(x); ARS.load(x)"
    assert not list(suspicious(ast.parse(code)))

"""Rules of the house that no linter knows: private names, look-ups on samplers, and openings of docstrings.

    python tests/house_rules.py           fails where a rule is broken; `make lint` and `.ci/run` run it
    python tests/house_rules.py --list    prints every reach for a private name, in the form of the lists below

A reach is code that reads or writes a private name (`x._y`) of another class's instance or of another module, imports one, or looks
one up with `getattr`. `self._y`, `cls._y` and a class's own `Name._y` are none, nor are private modules, the methods of NamedTuples
or names in annotations that are strings. `hasattr(sampler, ...)` and `getattr(sampler, ..., default)` count as well: the type of a
sampler says what it has. A reach that is not listed breaks the rule, and so does a listed one that is gone.
"""

import argparse
import ast
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMEDTUPLE = {"_replace", "_fields", "_asdict", "_make", "_field_defaults"}  # public, in spite of their names
OPENINGS = {"what", "whether", "where", "how"}
LOOK_UPS = {"getattr", "hasattr", "setattr", "delattr"}

# Reaches that stay: file -> reach -> reason.
STAY = {
    "fastars/_compiled/ahead.py": {
        "os._exit": "a process without a parent ends at once; Python documents the function under this name"
    },
    "fastars/_compiled/dispatchers.py": {
        "sys._getframe": "the module of the caller; `inspect` reads source files for it",
        "ffi.lib._lock": "the lock of all calls of LLVM, for which a fork waits; llvmlite has no public name for it",
    },
    "fastars/_compiled/jit.py": {"dispatcher._cache": "the only place at which a dispatcher of Numba takes another cache"},
    "fastars/_compiled/kernel_cache.py": {
        "numba.core.caching._Cache": "the base class of Numba's caches; Numba has no public one",
        "loaded.library._reload_init": "the functions of a library that Numba calls when it loads the library from its own cache",
    },
    "fastars/_runtime/forks.py": {
        "sys._getframe": "shows if this thread imports a module; there is no other way to see it",
        "sys._current_frames": "shows if other threads import modules; there is no other way to see their frames",
    },
    "fastars/_runtime/signals.py": {"sys._getframe": "the frame that a handler gets; Python gives it one, too"},
    "fastars/_validate.py": {"sys._getframe": "the function that the user called; `inspect` reads source files for it"},
    "fastars/ars.py": {"copied._hold": "a copy, an instance of the same class"},
    "fastars/cli/interrupts.py": {
        "os._exit": "a second Ctrl-C ends the process at once; Python documents the function under this name",
        "sys._getframe": "the frames that a signal interrupted; there is no other way to see them",
    },
    "fastars/envs/mujoco/arguments.py": {"env._get_obs": "the one name of the observation in all MuJoCo environments of Gymnasium"},
    "fastars/envs/mujoco/capi.py": {
        "model._address": "the C pointer of a model; MuJoCo's bindings have no public name for it",
        "data._address": "the C pointer of a simulation; MuJoCo's bindings have no public name for it",
    },
    "fastars/envs/mujoco/guard.py": {
        "hasattr(library, '_mjPRIVATE_setTlsLogHandler')": "a C function; its name says which version of MuJoCo this is",
        "hasattr(library, '_mjPRIVATE__set_tls_error_fn')": "a C function; its name says which version of MuJoCo this is",
    },
    "fastars/envs/wrappers.py": {"layer._max_episode_steps": "the limit of Gymnasium's TimeLimit, which has no public name"},
    "fastars/rllib/environments.py": {
        "registry._global_registry": "the environments that users registered with Ray, which has no public list"
    },
    "fastars/samplers/worker.py": {
        "os._exit": "a worker without a parent ends at once; Python documents the function under this name"
    },
    "fastars/training/objectives.py": {
        "learned._regrets": "another value of the same class",
        "learned._stepped": "another value of the same class",
    },
}


def is_private(name: str) -> bool:
    return name.startswith("_") and name != "_" and not (name.startswith("__") and name.endswith("__")) and name not in NAMEDTUPLE


def is_module(name: str) -> bool:
    """Return True if a dotted name is a module or a package of this project."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


class Reaches(ast.NodeVisitor):
    """The reaches of one module, in the order of its lines."""

    def __init__(self, package: str) -> None:
        self.package, self.classes, self.found = package, list[str](), list[str]()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.classes.append(node.name)
        self.generic_visit(node)
        self.classes.pop()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        owner = ast.unparse(node.value)
        own = {"self", "cls", "super()", "type(self)", *self.classes}
        if is_private(node.attr) and owner not in own and not is_module(f"{owner}.{node.attr}"):
            self.found.append(f"{owner}.{node.attr}")
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        above = self.package.split(".")[: -node.level + 1 or None] if node.level else []
        module = ".".join([*above, *filter(None, [node.module])])
        self.found += [name for each in node.names if is_private(each.name) and not is_module(name := f"{module}.{each.name}")]

    def visit_Call(self, node: ast.Call) -> None:
        match node:
            case ast.Call(ast.Name(function), [owner, ast.Constant(str(name)), *default]) if function in LOOK_UPS:
                asks = function == "hasattr" or (function == "getattr" and default)
                is_sampler = ast.unparse(owner).rpartition(".")[2].lstrip("_") == "sampler"
                if (is_private(name) and ast.unparse(owner) not in ("self", "cls")) or (asks and is_sampler):
                    self.found.append(ast.unparse(node))
        self.generic_visit(node)


def reaches_in(code: str, package: str = "fastars") -> list[str]:
    """Return the reaches of a module's source text. `package` is the package that its relative imports start from."""
    reaches = Reaches(package)
    reaches.visit(ast.parse(code))
    return reaches.found


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def reaches() -> dict[str, Counter[str]]:
    """Return how often each file of the package makes each of its reaches."""
    found = {}
    for path in modules("fastars"):
        package = ".".join(path.relative_to(ROOT).parent.parts)
        if counted := Counter(reaches_in(path.read_text(encoding="utf-8"), package)):
            found[path.relative_to(ROOT).as_posix()] = counted
    return found


def reach_faults(found, listed: set[tuple[str, str]]) -> list[str]:
    """Return one line for each reach that is not listed, and for each listed one that is gone."""
    made = {(path, reach) for path, counted in found.items() for reach in counted}
    return [
        *(f"{path}: {reach} is a reach that tests/house_rules.py does not list" for path, reach in sorted(made - listed)),
        *(f"{path}: {reach} is listed in tests/house_rules.py, and gone" for path, reach in sorted(listed - made)),
    ]


def openings_in(code: str) -> list[tuple[int, str]]:
    """Return (line, summary) of each docstring whose summary opens with one of `OPENINGS`."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            text := ast.get_docstring(node)
        ):
            first = text.split(maxsplit=1)[0].strip(",:;.'\"").lower() if text.split() else ""
            if first in OPENINGS:
                found.append((node.body[0].lineno, text.splitlines()[0]))
    return found


def openings(folder: str) -> list[str]:
    """Return one line for each docstring in a folder whose summary opens with one of `OPENINGS`."""
    return [
        f"{path.relative_to(ROOT).as_posix()}:{line}: {summary}"
        for path in modules(folder)
        for line, summary in openings_in(path.read_text(encoding="utf-8"))
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the reaches of each file")
    arguments = parser.parse_args()
    found = reaches()
    if arguments.list:
        for path, counted in found.items():
            print(f'    "{path}": {sorted(counted)},')
        return 0
    listed = {(path, reach) for path, names in STAY.items() for reach in names}
    words = {folder: openings(folder) for folder in ("fastars", "bench", "tests")}
    faults = [*reach_faults(found, listed), *(line for lines in words.values() for line in lines)]
    for fault in faults:
        print(fault)
    print(f"{sum(map(Counter.total, found.values()))} reaches for private names in fastars/, all of them listed with a reason")
    print("docstrings that open with What, Whether, Where or How:", sum(map(len, words.values())))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())

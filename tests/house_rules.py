"""Rules of the house that no linter knows: private names, what is asked of a sampler, openings of docstrings, rooms in the layers.

    python tests/house_rules.py           fails where a rule is broken; `make lint` and `.ci/run` run it
    python tests/house_rules.py --words   fails as well where a docstring of fastars/ opens with What, Whether, Where or How
    python tests/house_rules.py --list    prints every reach for a private name, in the form of the lists below

A reach is code that reads or writes a private name (`x._y`) of another class's instance or of another module, imports one, or looks
one up with `getattr`. `self._y`, `cls._y` and a class's own `Name._y` are none, nor are private modules, the methods of NamedTuples
or names in annotations that are strings. `hasattr(sampler, ...)` and `getattr(sampler, ..., default)` count as well: the type of a
sampler says what it has. A reach that is not listed breaks the rule, and so does a listed one that is gone.
"""

import argparse
import ast
import sys
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMEDTUPLE = {"_replace", "_fields", "_asdict", "_make", "_field_defaults"}  # public, in spite of their names
OPENINGS = {"what", "whether", "where", "how"}
LOOK_UPS = {"getattr", "hasattr", "setattr", "delattr"}

# Reaches that stay: file -> reach -> reason.
STAY = {
    "fastars/_compiled/jit.py": {
        "numba.core.caching._Cache": "the base class of Numba's caches; Numba has no public one",
        "dispatcher._cache": "the only place at which a dispatcher of Numba takes another cache",
        "loaded.library._reload_init": "the functions of a library that Numba calls when it loads the library from its own cache",
        "sys._getframe": "the module of the caller; `inspect` reads source files for it",
    },
    "fastars/_validate.py": {"sys._getframe": "the function that the user called; `inspect` reads source files for it"},
    "fastars/cli/interrupts.py": {
        "os._exit": "a second Ctrl-C ends the process at once; Python documents the function under this name",
        "sys._getframe": "the frames that a signal interrupted; there is no other way to see them",
    },
    "fastars/cli/progress.py": {"sys._current_frames": "shows if another thread compiles; there is no other way to see its frames"},
    "fastars/envs/__init__.py": {"layer._max_episode_steps": "the limit of Gymnasium's TimeLimit, which has no public name"},
    "fastars/envs/mujoco/arguments.py": {"env._get_obs": "the one name of the observation in all MuJoCo environments of Gymnasium"},
    "fastars/envs/mujoco/capi.py": {
        "hasattr(_library, '_mjPRIVATE_setTlsLogHandler')": "a C function; its name says which version of MuJoCo this is",
        "hasattr(_library, '_mjPRIVATE__set_tls_error_fn')": "a C function; its name says which version of MuJoCo this is",
        "model._address": "the C pointer of a model; MuJoCo's bindings have no public name for it",
        "data._address": "the C pointer of a simulation; MuJoCo's bindings have no public name for it",
    },
    "fastars/rllib/environments.py": {
        "registry._global_registry": "the environments that users registered with Ray, which has no public list"
    },
    "fastars/samplers/worker.py": {
        "os._exit": "a worker without a parent ends at once; Python documents the function under this name"
    },
}

# Reaches that have to go: file -> reaches. Remove here what is removed there.
TO_GO: dict[str, list[str]] = {
    "fastars/ars.py": ["getattr(self.sampler, 'takes_perturbed', False)"],
    "fastars/callbacks/evaluation.py": ["model._env"],
    "fastars/cli/commands.py": ["model._env"],
    "fastars/cli/original.py": ["model._env"],
    "fastars/cli/recorded_episodes.py": ["model._candidates", "model._directions"],
    "fastars/cli/resume.py": ["model._env"],
    "fastars/cli/training.py": ["model._candidates", "model._evaluate", "model._on_ray"],
    "fastars/exchange/onnx.py": ["model._env"],
    "fastars/exchange/trained.py": ["model._env", "model._given", "model._moments", "model._ops"],
    "fastars/samplers/env_tuple.py": [
        "getattr(sampler, 'n_failures', 0)",
        "getattr(sampler, 'n_restarts', 0)",
        "hasattr(sampler, 'on_failure')",
        "hasattr(sampler, 'start')",
    ],
    "fastars/samplers/ray/actor.py": ["getattr(self._sampler, 'n_restarts', 0)", "hasattr(self._sampler, 'on_failure')"],
    "fastars/sb3/model.py": ["hasattr(self.sampler, 'start')"],
    "fastars/sb3/vec_env.py": ["model._start_workers", "model._take_workers"],
    "fastars/training/failures.py": [
        "getattr(sampler, 'n_failures', 0)",
        "getattr(sampler, 'n_restarts', 0)",
        "hasattr(model.sampler, 'on_failure')",
        "model._env",
    ],
    "fastars/training/model_file.py": [
        "model._agree_on_statistics",
        "model._env",
        "model._gradient",
        "model._moments",
        "model._ops",
        "model._recent",
        "model._slots",
        "model._stats_window_size",
    ],
}

# Modules, and packages with all that is in them, that the layers contract of pyproject.toml does not name exactly once yet.
NOT_IN_THE_LAYERS: list[str] = [
    "fastars._imports",
    "fastars._runtime",
    "fastars._validate",
    "fastars._version",
    "fastars.envs.check",
    "fastars.files",
    "fastars.logger",
    "fastars.plot",
    "fastars.reference",
    "fastars.sb3.attributes",
    "fastars.training.checkpoint_validation",
]


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


def is_within(name: str, rooms) -> bool:
    """Return True if a module is one of the rooms, or in one of them."""
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def layer_faults(layers: list[str], names: list[str]) -> dict[str, int]:
    """Return the modules that the layers do not name exactly once, by themselves or through a package, and how often they do."""
    rooms = [name.strip(" ()") for layer in layers for name in layer.replace("|", ":").split(":")]
    counts = {name: sum(is_within(name, [room]) for room in rooms) for name in names}
    return {name: n for name, n in counts.items() if n != 1}


def package_layers() -> dict[str, int]:
    """Return `layer_faults` of the package and of the layers contract in pyproject.toml."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    paths = [path for path in modules("fastars") if path.name != "__main__.py" and not is_empty_package(path)]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return layer_faults(layers, [name for name in names if name != "fastars"])


def is_empty_package(path: Path) -> bool:
    """Return True if a file makes a folder a package, and imports nothing."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return path.name == "__init__.py" and not any(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", action="store_true", help="fail where a docstring of fastars/ opens with a question word")
    parser.add_argument("--list", action="store_true", help="print the reaches of each file")
    arguments = parser.parse_args()
    found = reaches()
    if arguments.list:
        for path, counted in found.items():
            print(f'    "{path}": {sorted(counted)},')
        return 0
    listed = {(path, reach) for of_files in (STAY, TO_GO) for path, names in of_files.items() for reach in names}
    faults = reach_faults(found, listed)
    layers = package_layers()
    named = [f"{name} is named {n} times in the layers of pyproject.toml" for name, n in layers.items()]
    faults += [line for name, line in zip(layers, named, strict=True) if not is_within(name, NOT_IN_THE_LAYERS)]
    faults += [
        f"{room} is listed in tests/house_rules.py, and is in the layers"
        for room in NOT_IN_THE_LAYERS
        if not any(is_within(name, [room]) for name in layers)
    ]
    words = {folder: openings(folder) for folder in ("fastars", "bench", "tests")}
    faults += words["fastars"] if arguments.words else []
    for fault in faults:
        print(fault)
    n_to_go = sum(found.get(path, Counter())[reach] for path, names in TO_GO.items() for reach in names)
    print(f"{sum(map(Counter.total, found.values()))} reaches for private names in fastars/, {n_to_go} of them to be removed")
    print(
        "docstrings that open with What, Whether, Where or How:", ", ".join(f"{len(of)} in {name}/" for name, of in words.items())
    )
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())

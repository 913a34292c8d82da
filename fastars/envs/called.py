"""Functions of NumPy, `math` and MuJoCo that environments call: one that was replaced is found.

Files of these packages can't be run a second time. Their functions are builtins, which carry their names, or stand in at least two
modules of the package: where they are made, and where the user finds them.
"""

from __future__ import annotations

import importlib.util
import sys
import types
import typing
from typing import Any

_PACKAGES = ("numpy", "math", "mujoco")  # packages that compute
_known: dict[tuple[str, str], Any] = {}  # functions that were found in their place, by module and name
_names: dict[str, frozenset[str]] = {}  # that the code of a module uses


def replaced(name: str, namespace: dict[str, Any]) -> str | None:
    """Return the name of a module or a function that is not its package's own, among those that a module's code uses.

    Parameters
    ----------
    name : str
        Of the module.
    namespace : dict
        Its globals.
    """
    for key, value in list(namespace.items()):
        if not isinstance(value, types.ModuleType):
            continue
        if sys.modules.get(value.__name__, value) is not value:
            return f"{name}.{key}"
        if value.__name__.partition(".")[0] in _PACKAGES and (found := _replaced_in(value, _used(name))) is not None:
            return found
    return None


def _replaced_in(module: types.ModuleType, names: frozenset[str]) -> str | None:
    for name in sorted(names & vars(module).keys()):
        if name.startswith("__"):
            continue
        value = vars(module)[name]
        if isinstance(value, types.ModuleType):
            is_inside = value.__name__.startswith(f"{module.__name__}.")
            if is_inside and (found := _replaced_in(value, names)) is not None:
                return found
        elif callable(value) and not _is_own(module.__name__, name, value):
            return f"{module.__name__}.{name}"
    return None


def _is_own(module: str, name: str, value: Any) -> bool:
    """Return True if a function or class belongs to the package of a module, under this name."""
    if _known.get((module, name)) is value:
        return True
    package = module.partition(".")[0]
    if isinstance(value, types.BuiltinFunctionType):
        is_own = value.__name__ == name and str(value.__module__).partition(".")[0] == package
    else:
        is_own = any(vars(other).get(name) is value for other in (*_modules_of(package, module), typing))
    if isinstance(value, types.FunctionType) and value.__code__.co_name == name:
        is_own |= any(value.__globals__ is vars(other) for other in _modules_of(package))
    if is_own:
        _known[module, name] = value
    return is_own


def _modules_of(package: str, but: str = "") -> list[types.ModuleType]:
    """Return the modules of a package that were imported, but one."""
    modules = [(name, each) for name, each in list(sys.modules.items()) if name != but]  # other threads may import
    return [each for name, each in modules if f"{name}.".startswith(f"{package}.") and isinstance(each, types.ModuleType)]


def _used(name: str) -> frozenset[str]:
    """Return the names that the code of a module uses, in its file."""
    if name not in _names:
        spec = importlib.util.find_spec(name)
        loader: Any = spec.loader if spec is not None else None
        _names[name] = frozenset(_names_in(loader.get_code(name))) if hasattr(loader, "get_code") else frozenset()
    return _names[name]


def _names_in(code: Any) -> set[str]:
    inner = [_names_in(each) for each in code.co_consts if isinstance(each, types.CodeType)]
    return set(code.co_names).union(*inner)

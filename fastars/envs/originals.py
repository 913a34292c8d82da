"""Compare classes with the files that define them: a method or a constant that was set from outside is found.

The file of a module is run a second time, into a module that nobody else sees. Whatever was done to the first one, and when, the
second shows what stood there.
"""

from __future__ import annotations

import abc
import builtins
import dataclasses
import importlib.util
import sys
import types
from typing import Any, Generic

import numpy as np
from gymnasium import Space

from fastars.envs.called import replaced

_RUN_AGAIN = ("gymnasium", "mo_gymnasium", "stable_baselines3")  # packages whose modules do nothing but define names
_READ_ONLY = ("fastars", "rl_zoo3")  # whose modules register and replace things when they run
_BEYOND = (object, Generic, abc.ABC)
# Modules of which environments call functions, beside their own.
_CALLED = ("gymnasium.utils.seeding", "gymnasium.envs.classic_control.utils")
_TIME_LIMIT = ("gymnasium.wrappers.common", "TimeLimit")
_OF_RL_ZOO = ("rl_zoo3.gym_patches", "PatchedTimeLimit")  # rl-zoo puts it in the place of Gymnasium's; its steps are the same
_PLAIN = (bool, type(None), str, bytes)
_NUMBERS = (bool, int, float, str, np.ndarray, np.generic)
_FUNCTIONS = (types.FunctionType, property, staticmethod, classmethod)

Fingerprint = tuple[Any, ...]  # a value reduced to what can be compared
_originals: dict[str, tuple[dict[str, Fingerprint], dict[str, dict[str, Fingerprint]]]] = {}  # (globals, classes) of a module
_second_runs: list[dict[str, Any]] = []  # globals of the modules that are just being run a second time


def altered(*kinds: type) -> str | None:
    """Return the name of what is not, in some classes or their bases, as the files of their modules say; None if all is.

    Classes of packages other than Gymnasium, mo-gymnasium, stable-baselines3 and this one are never known.
    """
    bases = {base: None for kind in kinds for base in kind.__mro__ if base not in _BEYOND}  # in order, each once
    names = dict.fromkeys(_CALLED)
    for base in bases:
        package = base.__module__.partition(".")[0]
        if package not in (*_RUN_AGAIN, *_READ_ONLY):
            return f"{base.__module__}.{base.__qualname__}"
        if package in _RUN_AGAIN:
            names[base.__module__] = None
        found = _foreign(base) if package in _READ_ONLY else _differing(base)
        if found is not None:
            return found
    return next((found for name in names if (found := _differing_global(name)) is not None), None)


def set_on(thing: Any) -> str | None:
    """Return the name of a method or property of a class that an attribute of the instance hides; None if none is hidden."""
    of_classes = [vars(base) for base in type(thing).__mro__]
    return next(
        (name for name in vars(thing) if _is_code(next((found[name] for found in of_classes if name in found), None))), None
    )


def is_as_in_file(function: Any, module: str) -> bool:
    """Return True if a function is the one of its name in the file of a module."""
    return _original(module)[0].get(getattr(function, "__name__", "")) == fingerprint(function)


def fingerprint(value: Any) -> Fingerprint:
    """Return what of a value can be compared: values of equal fingerprints behave alike. Of an unknown object, only its class.

    A subclass of a number, an array or a container may behave in another way: its class is part of the fingerprint.
    """
    kind = type(value)
    if kind is types.FunctionType:  # most values are functions
        return _fingerprint_of_function(value)
    if kind in _PLAIN:
        return "value", value
    if kind in (int, float):
        return "number", repr(float(value)) if abs(value) < 2**53 else repr(value)
    if (kind is np.ndarray or isinstance(value, np.generic)) and value.dtype != object:
        return "array", value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (list, tuple)):
        return "sequence", kind, *map(fingerprint, value)
    if isinstance(value, dict):
        return "dict", kind, *((fingerprint(key), fingerprint(inner)) for key, inner in value.items())
    if isinstance(value, Space):
        named = sorted(vars(value).items())
        parts = {name: inner for name, inner in named if not name.startswith("_np_random") and not name.endswith("_repr")}
        return "space", kind, fingerprint(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return "dataclass", kind, *(fingerprint(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, property):
        return "property", *map(fingerprint, (value.fget, value.fset, value.fdel))
    if isinstance(value, (staticmethod, classmethod)):
        return type(value).__qualname__, fingerprint(value.__func__)
    if isinstance(value, (types.ModuleType, types.BuiltinFunctionType, np.ufunc)):
        return "named", type(value).__qualname__, value.__name__
    if isinstance(value, type):
        name = value.__module__, value.__qualname__
        return "class", *(_TIME_LIMIT if name == _OF_RL_ZOO else name)
    return "object", kind.__module__, kind.__qualname__


def _fingerprint_of_function(function: types.FunctionType) -> Fingerprint:
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    if str(function.__module__).partition(".")[0] not in _RUN_AGAIN:  # of NumPy, or the user's
        if function.__globals__.get("__name__") == "functools":  # whose closures count classes and calls
            return "function", function.__code__
        plain = (cell for cell in (*cells, *(function.__defaults__ or ())) if isinstance(cell, _NUMBERS))
        return "function", function.__code__, *map(fingerprint, plain)
    inner = [*(function.__defaults__ or ()), function.__kwdefaults__ or {}, *cells, function.__dict__]
    home = function.__globals__.get("__name__")
    is_at_home = any(function.__globals__ is each for each in (*_second_runs, vars(sys.modules.get(str(home), builtins))))
    return "function", function.__code__, home, is_at_home, *map(fingerprint, inner)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _differing(kind: type) -> str | None:
    """Return what differs in a class from a second run of its module's file."""
    name = kind.__module__
    original = _original(name)[1].get(kind.__qualname__)
    if original is None:
        return f"{name}.{kind.__qualname__}"
    present = _fingerprint_of_class(kind)
    if present != original:
        changed = next(key for key in (*present, *original) if present.get(key) != original.get(key))
        return f"{kind.__qualname__}.{changed}"
    _original(name)[1][kind.__qualname__] = present  # equal, and the next comparison finds the same objects
    return None


def _differing_global(name: str) -> str | None:
    """Return what differs in the globals of a module, or in functions of other packages that it calls.

    A name of Python's own that the globals hide counts.
    """
    if name not in sys.modules:
        return None
    originals, present = _original(name)[0], vars(sys.modules[name])
    hidden = (key for key in present if key not in originals and hasattr(builtins, key) and not key.startswith("__"))
    changed = (key for key, value in originals.items() if key not in present or fingerprint(present[key]) != value)
    found = next((f"{name}.{key}" for generator in (hidden, changed) for key in generator), None)
    return found or replaced(name, present)


def _original(name: str) -> tuple[dict[str, Fingerprint], dict[str, dict[str, Fingerprint]]]:
    """Run the file of a module, and return (its globals, the members of its classes by the name of the class)."""
    if name not in _originals:
        try:
            spec: Any = importlib.util.find_spec(name)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        except Exception:  # without its file no class of it is known
            return {}, {}
        named = {key: value for key, value in vars(module).items() if not key.startswith("__")}
        classes = [value for value in named.values() if isinstance(value, type) and value.__module__ == name]
        _second_runs.append(vars(module))
        fingerprints = {key: fingerprint(value) for key, value in named.items()}
        _originals[name] = fingerprints, {kind.__qualname__: _fingerprint_of_class(kind) for kind in classes}
        _second_runs.remove(vars(module))
    return _originals[name]


def _fingerprint_of_class(kind: type) -> dict[str, Fingerprint]:
    """Return what a class itself defines, with its bases. Of the names that Python sets, only functions count."""
    members = {name: value for name, value in vars(kind).items() if _is_code(value) or not name.startswith(("__", "_abc_"))}
    bases = tuple((base.__module__, base.__qualname__) for base in kind.__bases__)
    return {name: fingerprint(value) for name, value in members.items()} | {"__bases__": (*bases, type(kind).__qualname__)}


def _foreign(kind: type) -> str | None:
    """Return a function of a class that was not written in the file of its module, under its name."""
    module = sys.modules[kind.__module__]
    for name, value in vars(kind).items():
        functions = (value.fget, value.fset) if isinstance(value, property) else (getattr(value, "__func__", value),)
        for function in functions:
            if isinstance(function, types.FunctionType) and not _is_written(
                _unchecked(function), module, f"{kind.__qualname__}.{name}"
            ):
                return f"{kind.__qualname__}.{name}"
            if not isinstance(function, types.FunctionType) and callable(function) and not isinstance(function, type):
                return f"{kind.__qualname__}.{name}"
    return None


def _unchecked(function: Any) -> Any:
    """Return the function that a decorator of this package was put around."""
    while hasattr(function, "__wrapped__") and function.__globals__.get("__name__") == "fastars._validate":
        function = function.__wrapped__
    return function


def _is_written(function: Any, module: types.ModuleType, qualname: str) -> bool:
    return bool(function.__code__.co_filename == module.__file__ and function.__code__.co_qualname == qualname)


def _is_code(value: Any) -> bool:
    """Return True for a function in the dictionary of a class, in any form; `__class__` and the like are none."""
    return isinstance(value, _FUNCTIONS) or (callable(value) and not isinstance(value, type))


def _names(value: Any) -> tuple[str, ...]:
    """Return the names that a function in the dictionary of a class uses."""
    functions = (value.fget, value.fset) if isinstance(value, property) else (getattr(value, "__func__", value),)
    return tuple(name for each in functions if isinstance(each, types.FunctionType) for name in each.__code__.co_names)

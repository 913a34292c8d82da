"""The fields of a `Simulation` that an environment's functions read, found in their bytecode.

The lanes don't compute every field that MuJoCo has. A function that reads one of the others would see an empty array.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from fastars._compiled.simulated import functions_of

_LIBRARIES = {"numpy", "numba", "math", "builtins"}


def fields_read(constants: Any, fields: Iterable[str]) -> list[str]:
    """Return those of the fields whose names occur in the functions of an environment, or in what they call.

    Parameters
    ----------
    constants : NamedTuple
        Constants of the environment; if it is one around another one, that is in its field `env`.
    fields : iterable of str
        Names of fields of a `Simulation`.
    """
    functions = [*functions_of(constants), *(functions_of(constants.env) if hasattr(constants, "env") else ())]
    names = names_read(functions)
    return [name for name in fields if name in names]


def names_read(functions: Iterable[Any]) -> set[str]:
    """Return all names of attributes and globals in functions, plain or compiled, and in the functions that they use.

    So are constant texts: compiled code may read a field by `getattr(sim, "cvel")`.
    """
    names, seen, waiting = set[str](), set[FunctionType](), list(functions)
    while waiting:
        value = waiting.pop()
        function = getattr(value, "py_func", value)
        if not isinstance(function, FunctionType) or function in seen:
            continue
        seen.add(function)
        own = {name for code in _nested(function.__code__) for name in code.co_names}
        names |= own | {text for code in _nested(function.__code__) for text in code.co_consts if isinstance(text, str)}
        waiting += [function.__globals__[name] for name in own if name in function.__globals__]
        waiting += [cell.cell_contents for cell in function.__closure__ or ()]
        modules = [each for each in waiting if isinstance(each, ModuleType) and _is_read(each)]
        waiting += [getattr(module, name) for module in modules for name in own if hasattr(module, name)]
    return names


def _is_read(module: ModuleType) -> bool:
    return module.__name__.partition(".")[0] not in _LIBRARIES


def _nested(code: CodeType) -> Iterator[CodeType]:
    """Yield the code, and the code of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)

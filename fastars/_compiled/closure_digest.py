"""Functions of the user's, with all that they lead to: compiled under the house's rules, and known by their content.

Numba reads the globals of a function when it compiles it, and a cached kernel holds what they were. So `Capture` follows a
function into its globals, closure and defaults, and from there into theirs. On the way it makes a copy of the function that can't
change any more, whose helpers are copies too, compiled to be merged into their caller; they may be plain functions. And it takes a
digest of what it sees: bytecode, numbers, texts, arrays. Functions of the same digest compile to the same code, in this process and
in any other, whatever was edited in their files.
"""

import builtins
import dis
import hashlib
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target

from fastars._compiled.jit import inline

# Packages whose content a name and a version stand for. Numba's and fastars' own sources are in the key of every cached kernel.
_KNOWN = {"builtins", "math", "numpy", "numba", "fastars"}
_VERSIONS = (np.__version__, numba.__version__)


class Capture:
    """Compiled copies of functions, and the digest of all they depend on.

    Attributes
    ----------
    compiled : dict of str to function
        Merged into whatever compiled code calls them.
    digest : str
        Equal for functions that compile to the same code.
    obstacle : str
        Why compiled code must not be cached, in words; empty if it may be.
    """

    def __init__(self, functions: Mapping[str, FunctionType]) -> None:
        self.obstacle = ""
        self._hash = hashlib.sha256(repr(_VERSIONS).encode())
        self._copies: dict[Any, Any] = {}
        self._open: list[Any] = []  # functions that are being followed
        self.compiled = {name: self._function(function) for name, function in functions.items()}
        self.digest = self._hash.hexdigest()

    def _tell(self, *parts: Any) -> None:
        self._hash.update(repr(parts).encode() + b"\0")

    def _function(self, function: Any) -> Any:
        """A compiled copy of a function."""
        if function in self._copies:
            self._tell("function", list(self._copies).index(function))
            if function in self._open:  # Numba 0.68 loads such code without an error, and crashes when it runs
                self._note(f"{function.__name__} calls itself, which can't be cached")
            return self._copies[function]
        code, scope = function.__code__, {"__name__": function.__module__, "__builtins__": builtins}
        attributes = {name for part in _nested(code) for name in part.co_names}
        self._tell("new function", function.__module__, function.__qualname__, _content(code))
        cells = tuple(CellType() for _ in function.__closure__ or ())
        defaults = self._value("a default argument", function.__defaults__ or (), attributes)
        copy = FunctionType(code, scope, function.__name__, defaults or None, cells)
        copy.__module__, copy.__qualname__, copy.__doc__ = function.__module__, function.__qualname__, function.__doc__
        copy.__kwdefaults__ = self._keywords(function.__kwdefaults__ or {}, attributes) or None
        self._copies[function] = compiled = inline(copy)  # before its globals: a function may call itself
        self._open.append(function)
        for name in sorted(_globals_of(code)):
            if name in function.__globals__:
                self._tell("global", name)
                scope[name] = self._value(f"the global {name}", function.__globals__[name], attributes)
        for name, cell, original in zip(code.co_freevars, cells, function.__closure__ or (), strict=True):
            self._tell("variable", name)
            cell.cell_contents = self._value(f"the variable {name}", original.cell_contents, attributes)
        self._open.pop()
        return compiled

    def _keywords(self, defaults: Mapping[str, Any], attributes: set[str]) -> dict[str, Any]:
        copies = {}
        for name in sorted(defaults):
            self._tell("keyword", name)
            copies[name] = self._value(f"the default of {name}", defaults[name], attributes)
        return copies

    def _value(self, where: str, value: Any, attributes: set[str]) -> Any:
        """What stands in a copy for a value that the original leads to; `attributes` are the names it may be asked for."""
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
            self._tell(type(value).__name__, value)
            return value
        if isinstance(value, np.generic):
            self._tell("number", value.dtype.str, value.tobytes())
            return value
        if type(value) is np.ndarray and not value.dtype.hasobject:
            self._tell("array", value.dtype.descr, value.shape, value.flags.f_contiguous, value.tobytes())
            return value.copy(order="K")
        if type(value) is tuple:
            self._tell("tuple", len(value))
            return tuple(self._value(where, part, attributes) for part in value)
        if isinstance(value, tuple) and hasattr(value, "_make"):
            kind: Any = type(value)
            self._tell("NamedTuple", kind.__module__, kind.__qualname__, kind._fields)
            return kind._make([self._value(where, part, attributes) for part in value])
        if isinstance(value, ModuleType):
            return self._module(value, attributes)
        if _is_known(value):
            self._tell("known", _name(value))
            return value
        function = value.py_func if isinstance(value, Dispatcher) else value
        if isinstance(function, FunctionType) and not (function is value and _is_overloaded(function)):
            return self._function(function)
        if isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields"):
            self._tell("NamedTuple", value.__module__, value.__qualname__, value._fields)
            return value
        self._note(f"{where} is a {type(value).__name__}, whose changes a cache could not see")
        return value

    def _note(self, obstacle: str) -> None:
        self.obstacle = self.obstacle or obstacle

    def _module(self, module: ModuleType, attributes: set[str]) -> ModuleType:
        """The module, or for one that may be edited a stand-in with copies of what is used of it."""
        if module in self._copies:
            self._tell("module", list(self._copies).index(module))
            return self._copies[module]
        if _is_known(module):
            self._tell("known module", module.__name__)
            return module
        self._copies[module] = copy = ModuleType(module.__name__)
        self._tell("new module", module.__name__)
        for name in sorted(attributes & vars(module).keys()):
            self._tell("attribute", name)
            setattr(copy, name, self._value(f"{module.__name__}.{name}", getattr(module, name), attributes))
        return copy


def _nested(code: CodeType) -> Iterator[CodeType]:
    """The code and that of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _globals_of(code: CodeType) -> set[str]:
    """Names of the globals that code reads."""
    return {line.argval for part in _nested(code) for line in dis.get_instructions(part) if line.opname == "LOAD_GLOBAL"}


def _content(code: CodeType) -> Any:
    """What code does, without its file and lines."""
    arguments = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return arguments, names, code.co_code, code.co_exceptiontable, [_constant(value) for value in code.co_consts]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _content(value)
    if isinstance(value, tuple):
        return tuple(_constant(part) for part in value)
    if isinstance(value, frozenset):  # whose order differs from process to process
        return sorted(repr(part) for part in value)
    return type(value).__name__, repr(value)


def _name(value: Any) -> str:
    """A name by which Python or NumPy know an object, or nothing."""
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, np.ufunc):
        is_numpys = vars(np).get(value.__name__) is value
        return f"numpy.{value.__name__}" if is_numpys else ""
    if isinstance(value, types.Type):
        return f"numba.{value}"
    value = value.py_func if isinstance(value, Dispatcher) else value
    if isinstance(value, (type, FunctionType, BuiltinFunctionType)) or type(value).__module__.startswith("numpy"):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    return ""


def _is_known(value: Any) -> bool:
    return _name(value).partition(".")[0] in _KNOWN


def _is_overloaded(function: FunctionType) -> bool:
    """Whether Numba has an implementation of its own for a plain function (`numba.extending.overload`)."""
    context = cpu_target.typing_context
    context.refresh()
    try:
        context.resolve_value_type(function)
    except Exception:  # Numba's way to say no
        return False
    return True

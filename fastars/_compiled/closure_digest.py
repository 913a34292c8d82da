"""Functions of the user and everything that they use: compiled copies, and a digest of their content.

Numba reads the globals of a function when it compiles it, and a cached kernel keeps their values. So `ClosureDigest` follows a
function into its globals, closure and defaults, and on from there. It makes a compiled copy of the function that can't change any
more. The functions that it calls are copied and compiled, too; they may be plain functions. And it computes a digest of everything
that it reads: bytecode, numbers, texts, arrays. Functions with the same digest compile to the same code, in this process and in any
other, whatever was edited in their files.
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

from fastars._compiled.jit import users

# Packages in which a name and a version determine the content. The sources of fastars are in the name of every cached kernel.
_KNOWN = {"builtins", "math", "numpy", "numba", "fastars"}
_VERSIONS = (np.__version__, numba.__version__)


class ClosureDigest:
    """Compiled copies of functions, and the digest of everything that they depend on.

    Attributes
    ----------
    compiled : dict of str to function
        The copies, which are merged into the compiled code that calls them.
    digest : str
        Equal for functions that compile to the same code.
    obstacle : str
        The reason why compiled code must not be cached; empty if it may be cached.
    """

    def __init__(self, functions: Mapping[str, FunctionType]) -> None:
        self.obstacle = ""
        self._hash = hashlib.sha256(repr(_VERSIONS).encode())
        self._copies: dict[Any, Any] = {}
        self._open: list[Any] = []  # functions that are being copied
        self.compiled = {name: self._function(function) for name, function in functions.items()}
        self.digest = self._hash.hexdigest()

    def _add(self, *parts: Any) -> None:
        self._hash.update(repr(parts).encode() + b"\0")

    def _function(self, function: Any) -> Any:
        """Return a compiled copy of a function."""
        if function in self._copies:
            self._add("function", list(self._copies).index(function))
            if function in self._open:  # Numba 0.68 loads such code from a cache without an error, and crashes when it runs
                self._note(f"{function.__name__} calls itself, which can't be cached")
            return self._copies[function]
        code, scope = function.__code__, {"__name__": function.__module__, "__builtins__": builtins}
        attributes = {name for part in _nested(code) for name in part.co_names}
        self._add("new function", function.__module__, function.__qualname__, _content(code))
        cells = tuple(CellType() for _ in function.__closure__ or ())
        defaults = self._value("a default argument", function.__defaults__ or (), attributes)
        copy = FunctionType(code, scope, function.__name__, defaults or None, cells)
        copy.__module__, copy.__qualname__, copy.__doc__ = function.__module__, function.__qualname__, function.__doc__
        copy.__kwdefaults__ = self._keywords(function.__kwdefaults__ or {}, attributes) or None
        self._copies[function] = compiled = users(copy)  # before its globals: a function may call itself
        self._open.append(function)
        for name in sorted(_globals_of(code)):
            if name in function.__globals__:
                self._add("global", name)
                scope[name] = self._value(f"the global {name}", function.__globals__[name], attributes)
        for name, cell, original in zip(code.co_freevars, cells, function.__closure__ or (), strict=True):
            self._add("variable", name)
            cell.cell_contents = self._value(f"the variable {name}", original.cell_contents, attributes)
        self._open.pop()
        return compiled

    def _keywords(self, defaults: Mapping[str, Any], attributes: set[str]) -> dict[str, Any]:
        copies = {}
        for name in sorted(defaults):
            self._add("keyword", name)
            copies[name] = self._value(f"the default of {name}", defaults[name], attributes)
        return copies

    def _value(self, where: str, value: Any, attributes: set[str]) -> Any:
        """Return the value to use in a copy for a value of the original; `attributes` are the names that code may read from it."""
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
            self._add(type(value).__name__, value)
            return value
        if isinstance(value, np.generic):
            self._add("number", value.dtype.str, value.tobytes())
            return value
        if type(value) is np.ndarray and not value.dtype.hasobject:
            self._add("array", value.dtype.descr, value.shape, value.flags.f_contiguous, value.tobytes())
            return value.copy(order="K")
        if type(value) is tuple:
            self._add("tuple", len(value))
            return tuple(self._value(where, part, attributes) for part in value)
        if isinstance(value, tuple) and hasattr(value, "_make"):
            kind: Any = type(value)
            self._add("NamedTuple", kind.__module__, kind.__qualname__, kind._fields)
            return kind._make([self._value(where, part, attributes) for part in value])
        if isinstance(value, ModuleType):
            return self._module(value, attributes)
        if _is_known(value):
            self._add("known", _name(value))
            return value
        function = value.py_func if isinstance(value, Dispatcher) else value
        if isinstance(function, FunctionType) and not (function is value and _is_overloaded(function)):
            return self._function(function)
        if isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields"):
            self._add("NamedTuple", value.__module__, value.__qualname__, value._fields)
            return value
        self._note(f"{where} is a {type(value).__name__}, whose changes a cache could not see")
        return value

    def _note(self, obstacle: str) -> None:
        self.obstacle = self.obstacle or obstacle

    def _module(self, module: ModuleType, attributes: set[str]) -> ModuleType:
        """Return a module of a known package; for any other, a module with copies of the attributes that are used."""
        if module in self._copies:
            self._add("module", list(self._copies).index(module))
            return self._copies[module]
        if _is_known(module):
            self._add("known module", module.__name__)
            return module
        self._copies[module] = copy = ModuleType(module.__name__)
        self._add("new module", module.__name__)
        for name in sorted(attributes & vars(module).keys()):
            self._add("attribute", name)
            setattr(copy, name, self._value(f"{module.__name__}.{name}", getattr(module, name), attributes))
        return copy


def _nested(code: CodeType) -> Iterator[CodeType]:
    """Yield the code, and the code of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _globals_of(code: CodeType) -> set[str]:
    """Return the names of the globals that code reads."""
    return {line.argval for part in _nested(code) for line in dis.get_instructions(part) if line.opname == "LOAD_GLOBAL"}


def _content(code: CodeType) -> Any:
    """Return the content of code without its file and line numbers."""
    arguments = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return arguments, names, code.co_code, code.co_exceptiontable, [_constant(value) for value in code.co_consts]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _content(value)
    if isinstance(value, tuple):
        return tuple(_constant(part) for part in value)
    if isinstance(value, frozenset):  # its order differs from process to process
        return sorted(repr(part) for part in value)
    return type(value).__name__, repr(value)


def _name(value: Any) -> str:
    """Return the full name of an object of Python, NumPy or Numba; "" for an object without a name."""
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
    """Return True if Numba has its own implementation of a plain function (`numba.extending.overload`)."""
    context = cpu_target.typing_context
    context.refresh()
    try:
        context.resolve_value_type(function)
    except Exception:  # Numba's way to say no
        return False
    return True

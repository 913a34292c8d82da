"""A walk from every compiled function of fastars to the files that it reads.

It starts at each function that a decorator compiled, and at each implementation that `numba.extending.overload` registers. From a
function it goes on to its globals and closure, and from these to functions, NamedTuples, tables of functions and constants. A
constant is followed to the file in which it is assigned, and from there to the names in its value. Exceptions are not followed.
"""

import ast
import dis
import importlib
import inspect
import pkgutil
import sys
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target
from numba.core.typing.templates import _OverloadFunctionTemplate
from numba.extending import _Intrinsic

import fastars

PACKAGE = Path(fastars.__file__).parent


def import_rooms(*rooms):
    """Import these packages with all their modules, and return all modules of fastars that are imported."""
    for room in rooms:
        package = importlib.import_module(f"fastars.{room}")
        for found in pkgutil.walk_packages(getattr(package, "__path__", []), f"{package.__name__}."):
            importlib.import_module(found.name)
    return [module for name, module in sorted(sys.modules.items()) if name.partition(".")[0] == "fastars" and module is not None]


class Walk:
    """Collects `files`, names of files in the package that compiled functions read."""

    def __init__(self, modules):
        self.files, self._seen, self._modules = set(), set(), {module.__name__: module for module in modules}
        for module in modules:
            for value in list(vars(module).values()):
                if isinstance(value, (Dispatcher, _Intrinsic)):
                    self.value(value)
        for implementation in overloads():
            self.function(implementation)

    def value(self, value):
        """Follow an object that compiled code reads."""
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, Dispatcher):
            self.function(value.py_func)
        elif isinstance(value, _Intrinsic):
            self.function(value._defn)
        elif isinstance(value, FunctionType):
            self.function(value)
        elif isinstance(value, type):
            if not issubclass(value, Exception):
                self.add(value.__module__)
        elif isinstance(value, dict):
            for part in (*value, *value.values()):
                self.value(part)
        elif isinstance(value, (tuple, list)):
            self.add(type(value).__module__)
            for part in value:
                self.value(part)

    def function(self, function):
        """Follow a function's globals and closure, and those of the functions defined in it."""
        self.add(function.__module__ or "", function.__code__)  # "": a function that a program made of text
        for cell in function.__closure__ or ():
            self.value(cell.cell_contents)
        for name in names(function.__code__):
            if name in function.__globals__:
                self.name(function.__globals__["__name__"], name)

    def name(self, module, name):
        """Follow a global of a module to its value, and to the file in which it is bound."""
        if module not in self._modules or (module, name) in self._seen or not hasattr(self._modules[module], name):
            return
        self._seen.add((module, name))
        value = getattr(self._modules[module], name)
        if isinstance(value, ModuleType):
            if value.__name__ in self._modules:
                for code_name in self._attributes(module, name):
                    self.name(value.__name__, code_name)
            return
        self.value(value)
        for node in tree(self._modules[module]).body:
            if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
                (original,) = {alias.name for alias in node.names if (alias.asname or alias.name) == name}
                self.name(node.module, original)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)) and name in bound(node):
                self.add(module)
                for read in ast.walk(node.value):
                    if isinstance(read, ast.Name):
                        self.name(module, read.id)

    def _attributes(self, module, name):
        """Names that are read of a module under its name in another one: `_trig.sincos`."""
        nodes = ast.walk(tree(self._modules[module]))
        return {
            node.attr
            for node in nodes
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
        }

    def add(self, module, code=None):
        if module.partition(".")[0] == "fastars":
            path = Path(code.co_filename if code else self._modules[module].__file__)
            self.files.add(path.relative_to(PACKAGE).as_posix())


def overloads():
    """The functions of fastars that return an implementation to Numba."""
    context = cpu_target.typing_context
    context.refresh()
    templates = {
        template
        for kind in context._globals.values()
        for template in getattr(kind, "templates", ())
        if isinstance(template, type) and issubclass(template, _OverloadFunctionTemplate)
    }
    found = [template._overload_func for template in templates]
    return [function for function in found if (function.__module__ or "").startswith("fastars.")]


def names(code: CodeType):
    """Globals that code reads, with the functions defined in it."""
    found = {line.argval for line in dis.get_instructions(code) if line.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return found.union(*(names(part) for part in code.co_consts if isinstance(part, CodeType)))


def tree(module):
    return ast.parse(inspect.getsource(module))


def bound(node):
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}

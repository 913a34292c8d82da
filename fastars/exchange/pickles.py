"""Read pickles as plain data: no name in a pickle is imported, and no function is called.

A pickle is a program for a small stack machine. The machine in this module can't reach Python. Where Python's machine would import
a function or a class, it puts a `Name`; where Python's would call a function, it puts a `Made` with the arguments. The callers of
`read_pickle` know a short list of names, and refuse all others.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastars.files.archives import MAX_OBS

_MAX_OPCODES = 20_000  # a file of weights has some hundreds; 200,000 took 1.4 s
_NUMBERS = {kind + size for kind, sizes in (("f", "48"), ("i", "1248"), ("u", "1248"), ("b", "1")) for size in sizes}
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")


class Name(NamedTuple):
    """The name of a function or a class, which is not imported."""

    module: str
    name: str


class Stored(NamedTuple):
    """A value that is kept outside of the pickle, under this id."""

    id: Any


class Made:
    """An object that calling `what` with `arguments` would make, with the state and items that it would get."""

    def __init__(self, what: Any, arguments: Any) -> None:
        self.what, self.arguments = what, arguments
        self.state: Any = None
        self.items: dict[Any, Any] = {}

    def is_a(self, *names: Name) -> bool:
        """Return True if one of these functions or classes would make the object."""
        return type(self.what) is Name and self.what in names


def read_pickle(data: bytes) -> Any:
    """Return the content of a pickle as a tree of numbers, texts, lists, tuples, dicts, `Name`, `Stored` and `Made`.

    Parameters
    ----------
    data : bytes
        A pickle of protocol 2 or later, as NumPy, PyTorch and stable-baselines3 write them.

    Raises
    ------
    ValueError
        If the pickle is damaged, or has instructions that such files don't need.
    """
    machine = _Machine()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if count >= _MAX_OPCODES:
            raise ValueError(f"a pickle of more than {_MAX_OPCODES} instructions")
        step = _STEPS.get(opcode.name)
        if step is None:
            raise ValueError(f"a pickle with the instruction {opcode.name}, which files of policies don't need")
        try:
            step(machine, argument)
        except (IndexError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a damaged pickle: {opcode.name} has not what it needs") from error
    if len(machine.stack) != 1 or machine.below:
        raise ValueError("a damaged pickle: it leaves other than one value")
    return machine.stack[0]


class _Machine:
    """A stack machine: the stack, the stacks below the marks, and the memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        values, self.stack = self.stack, self.below.pop()
        return values

    def last(self, n: int) -> tuple[Any, ...]:
        if len(self.stack) < n:
            raise IndexError
        values = tuple(self.stack[len(self.stack) - n :])
        del self.stack[len(self.stack) - n :]
        return values

    def memorise(self, index: int | None) -> None:
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def name(self, parts: tuple[Any, Any]) -> None:
        module, name = parts
        if type(module) is not str or type(name) is not str:
            raise TypeError
        self.push(Name(module, name))

    def make(self) -> None:
        what, arguments = self.last(2)
        if type(arguments) is not tuple:
            raise TypeError
        self.push(Made(what, arguments))

    def build(self) -> None:
        (state,) = self.last(1)
        if type(self.stack[-1]) is not Made:
            raise TypeError
        self.stack[-1].state = state

    def extend(self, values: list[Any] | tuple[Any, ...]) -> None:
        if type(self.stack[-1]) is not list:
            raise TypeError
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any] | tuple[Any, ...]) -> None:
        target = self.stack[-1]
        items = target.items if type(target) is Made else target
        if type(items) is not dict or len(values) % 2:
            raise TypeError
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) not in (str, int):  # the hash of a deeply nested key would recurse
                raise TypeError
            items[key] = value


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, argument: None),
    **dict.fromkeys(
        (
            *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
            *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "BINSTRING", "SHORT_BINSTRING"),
        ),
        lambda machine, argument: machine.push(argument),
    ),
    "NONE": lambda machine, argument: machine.push(None),
    "NEWTRUE": lambda machine, argument: machine.push(True),
    "NEWFALSE": lambda machine, argument: machine.push(False),
    "EMPTY_TUPLE": lambda machine, argument: machine.push(()),
    "EMPTY_LIST": lambda machine, argument: machine.push([]),
    "EMPTY_DICT": lambda machine, argument: machine.push({}),
    "MARK": lambda machine, argument: machine.mark(),
    "TUPLE": lambda machine, argument: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, argument: machine.push(machine.last(1)),
    "TUPLE2": lambda machine, argument: machine.push(machine.last(2)),
    "TUPLE3": lambda machine, argument: machine.push(machine.last(3)),
    "APPEND": lambda machine, argument: machine.extend(machine.last(1)),
    "APPENDS": lambda machine, argument: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, argument: machine.set_items(machine.last(2)),
    "SETITEMS": lambda machine, argument: machine.set_items(machine.since_mark()),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), lambda machine, argument: machine.memorise(argument)),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, argument: machine.push(machine.memo[argument])),
    "GLOBAL": lambda machine, argument: machine.name(argument.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, argument: machine.name(machine.last(2)),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda machine, argument: machine.make()),
    "BUILD": lambda machine, argument: machine.build(),
    "BINPERSID": lambda machine, argument: machine.push(Stored(*machine.last(1))),
}


def numpy_array(tree: Any, most: int = MAX_OBS) -> np.ndarray:
    """Return the float64 array for the tree of a NumPy array, a NumPy scalar or a number, with at most `most` entries.

    Raises
    ------
    ValueError
        If the tree is none of these, or if its shape does not fit its data.
    """
    if type(tree) in (int, float):
        return np.array(float(tree))
    try:
        dtype, shape, fortran, data = _described(tree)
        dtype, data = _dtype(dtype), _bytes(data)
        if not all(type(n) is int and n >= 0 for n in shape) or len(data) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"an array of {dtype} that has {len(data)} bytes of data for another shape")
        if math.prod(shape) > most:
            raise ValueError(f"an array of {math.prod(shape)} numbers; allowed are {most}")
        return np.frombuffer(data, dtype).astype(np.float64).reshape(shape, order="F" if fortran else "C")
    except (TypeError, AttributeError, IndexError) as error:
        raise ValueError("a pickle with something else where an array of numbers is expected") from error


def numpy_objects(tree: Any) -> list[Any]:
    """Return the entries of a NumPy array of objects, as trees.

    Raises
    ------
    ValueError
        If the tree is no such array.
    """
    if not is_array(tree) or tree.what.name != "_reconstruct" or type(tree.state) is not tuple or len(tree.state) != 5:
        raise ValueError("a pickle that is no array of objects")
    _, shape, dtype, _, entries = tree.state
    if not _is_dtype(dtype, ("O", "O4", "O8")) or type(entries) is not list or shape != (len(entries),):
        raise ValueError("a pickle that is no array of objects with one axis")
    return entries


def is_array(tree: Any) -> bool:
    """Return True for the tree of a NumPy array."""
    kinds = [Name(module, name) for module in _NUMPY for name in ("_reconstruct", "_frombuffer")]
    return type(tree) is Made and tree.is_a(*kinds)


def _described(tree: Any) -> tuple[Any, Any, bool, Any]:
    """Return (dtype, shape, True for Fortran order, data) of an array or a scalar."""
    if is_array(tree) and tree.what.name == "_reconstruct":
        _, shape, dtype, fortran, data = tree.state
        return dtype, shape, fortran is True, data
    if is_array(tree):
        data, dtype, shape, order = tree.arguments
        return dtype, shape, order == "F", data
    if not tree.is_a(*(Name(module, "scalar") for module in _NUMPY)):
        raise TypeError
    dtype, data = tree.arguments
    return dtype, (), False, data


def _is_dtype(tree: Any, codes: Any) -> bool:
    if type(tree) is not Made or not tree.is_a(Name("numpy", "dtype")):
        return False
    code = tree.arguments[0]
    return type(code) is str and code in codes  # the hash of something deeply nested would recurse, on C's stack


def _dtype(tree: Any) -> np.dtype[Any]:
    if not _is_dtype(tree, _NUMBERS):
        raise TypeError
    order = tree.state[1]
    return np.dtype((order if order in ("<", ">") else "=") + tree.arguments[0])


def _bytes(tree: Any) -> bytes:
    """Return bytes. Python 2, and protocol 2 of Python 3, write them as a text whose characters are the bytes."""
    if type(tree) is Made and tree.is_a(Name("_codecs", "encode")) and tree.arguments[1:] == ("latin1",):
        (tree, _) = tree.arguments
    return tree.encode("latin-1") if type(tree) is str else bytes(memoryview(tree))

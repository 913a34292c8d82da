"""The part of docs/kernels.md about each public kernel, made from the kernels themselves.

Signature, types and shapes come from the function and its docstring, threads from how it is compiled, times from
`results/kernels.json`, and the sizes they belong to from the arguments that the table of cases makes.
"""

import importlib
import inspect
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench import formatting

_SIZES = ("small", "medium", "large")
_SYMBOLS = re.compile(r"shape \((?P<shape>[^)]*)\)")
_FIELD_SHAPE = re.compile(r"^    (?P<name>\w+): .*# \((?P<shape>[^)]*)\)", re.M)


class Entry(NamedTuple):
    """An argument, or a part of the result."""

    names: list[str]
    type: str
    text: str


class Reference(NamedTuple):
    """Content of the page about a kernel."""

    name: str
    module: str
    arguments: list[str]
    summary: str
    takes: list[Entry]
    gives: list[Entry]
    is_parallel: bool


def references() -> list[Reference]:
    """Return all public kernels, module after module."""
    from fastars import kernels

    found = [getattr(kernels, name) for name in kernels.__all__]
    return sorted((reference(kernel) for kernel in found if _is_kernel(kernel)), key=lambda kernel: (kernel.module, kernel.name))


def named_tuples() -> str:
    """Make the table of the NamedTuples that kernels take and return: their fields, and the first line of their docstrings."""
    from fastars import kernels

    rows = []
    for name in kernels.__all__:
        value = getattr(kernels, name)
        if hasattr(value, "_fields"):
            first = (inspect.getdoc(value) or "").split("\n")[0]
            rows.append(f"| `{name}` | {', '.join(f'`{field}`' for field in value._fields)} | {first} |".replace("|  |", "| |"))
    return "\n".join(["| NamedTuple | fields | |", "|---|---|---|", *rows])


def reference(kernel: Any) -> Reference:
    """Read signature and docstring of a kernel."""
    function = _python_function(kernel)
    sections = _sections(inspect.getdoc(function) or "")
    summary = " ".join(sections[""].split("\n\n")[0].split())
    takes = _entries(sections.get("Parameters", ""))
    for k, entry in enumerate(takes):
        if not entry.names:  # "spec, filter", and below "As for `rollouts`."
            takes[k : k + 1] = _taken_over(entry, function)
    return Reference(
        function.__name__,
        function.__module__.rpartition(".")[2],
        list(inspect.signature(function).parameters),
        summary,
        takes,
        _entries(sections.get("Returns", "")),
        runs_on_threads(kernel),
    )


def runs_on_threads(kernel: Any) -> bool:
    """Return True if a kernel, or one that it calls, is compiled with `parallel=True`."""
    if getattr(kernel, "targetoptions", {}).get("parallel"):
        return True
    function = _python_function(kernel)
    called = [function.__globals__.get(name) for name in function.__code__.co_names]
    return any(runs_on_threads(other) for other in called if _is_kernel(other))


def sizes(kernel: Reference, args: tuple[Any, ...]) -> dict[str, int]:
    """Return the numbers that the symbols in the shapes of a kernel's arguments have in a call."""
    values = dict(zip(kernel.arguments, args, strict=True))
    bound: dict[str, int] = {}
    for entry in kernel.takes:
        for name in entry.names:
            value = values[name]
            if match := _SYMBOLS.search(entry.type):
                bound |= _bind(match["shape"], np.shape(value))
            elif hasattr(value, "_fields"):
                for field, shape in _FIELD_SHAPE.findall(inspect.getsource(type(value))):
                    bound |= _bind(shape, np.shape(getattr(value, field)))
            elif name.startswith("n_") or any(f"({name}," in result.type for result in kernel.gives):
                bound[name] = int(value)
    return bound


def in_words(name: str, size: str) -> str:
    """Return the sizes of the arguments with which a kernel was timed."""
    from fastars import kernels

    bound = sizes(reference(getattr(kernels, name)), _cases()[name].make(size))
    return ", ".join(f"{symbol} = {value:,}" for symbol, value in bound.items())


def kernel_reference(rows: list[dict[str, Any]]) -> str:
    """Make the part of the page on kernels: a section for each module, with a table for each kernel."""
    seconds = {(row["kernel"], row["size"]): row["kernel_s"] for row in rows}
    parts, module = [], ""
    for kernel in references():
        if kernel.module != module:
            module = kernel.module
            doc = inspect.getdoc(importlib.import_module(f"fastars.kernels.{module}")) or ""
            parts.append(f"### {module}\n\n{doc.split(chr(10) * 2)[0]}")
        parts.append(_section(kernel, {size: seconds[kernel.name, size] for size in _SIZES if (kernel.name, size) in seconds}))
    return "\n\n".join(parts)


def _section(kernel: Reference, seconds: dict[str, float]) -> str:
    head = f"#### {kernel.name}\n\n`{kernel.name}({', '.join(kernel.arguments)})`\n\n{kernel.summary}"
    lines = [_row(_code(entry.names), entry) for entry in kernel.takes]
    lines += [_row(f"*returns* {_code(entry.names)}".strip(), entry) for entry in kernel.gives]
    threads = "`prange`, on Numba's threads" if kernel.is_parallel else "serial"
    times = [f"{formatting.seconds(value)} ({in_words(kernel.name, size)})" for size, value in seconds.items()]
    lines.append(f"| *runs* | {threads} | {'; '.join(times) or 'not measured yet'} |")
    return "\n".join([head, "", "| | | |", "|---|---|---|", *lines])


@cache
def _cases() -> dict[str, Any]:
    folder = str(Path(__file__).parent.parent / "tests")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return {case.name: case for case in importlib.import_module("cases").CASES}


def _code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _row(names: str, entry: Entry) -> str:
    text = entry.text.replace("|", r"\|")  # |g| is no border of a cell
    return f"| {names} | {_short(entry.type)} | {text} |".replace("|  |", "| |")


def _short(numpydoc_type: str) -> str:
    return numpydoc_type.replace("ndarray of ", "").replace(", shape ", " ")


def _is_kernel(value: Any) -> bool:
    return hasattr(value, "py_func") or (inspect.isfunction(value) and value.__module__.startswith("fastars.kernels."))


def _python_function(kernel: Any) -> Any:
    return getattr(kernel, "py_func", kernel)


def _bind(symbols: str, shape: tuple[int, ...]) -> dict[str, int]:
    names = [symbol.strip() for symbol in symbols.split(",") if symbol.strip()]
    return {name: size for name, size in zip(names, shape, strict=False) if name.isidentifier()}


def _sections(doc: str) -> dict[str, str]:
    """Return the parts of a numpydoc docstring by their titles; the text before them has the title ""."""
    pieces = re.split(r"^(\w+)\n-+\n", doc, flags=re.M)
    return {"": pieces[0].strip()} | {title: text.rstrip() for title, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def _entries(section: str) -> list[Entry]:
    """Parse arguments (`names : type` or names alone) and results (`names : type` or a type alone), each with an indented text."""
    entries: list[Entry] = []
    for line in section.splitlines():
        if line.startswith(" ") and entries:
            last = entries[-1]
            entries[-1] = last._replace(text=f"{last.text} {line.strip()}".strip())
        elif line:
            names, colon, numpydoc_type = line.partition(" : ")
            entries.append(Entry(names.split(", "), numpydoc_type, "") if colon else Entry([], names, ""))
    return entries


def _taken_over(entry: Entry, function: Any) -> list[Entry]:
    """Return the entries of another kernel for "a, b" with the text "As for `kernel`"."""
    match = re.search(r"As for `(\w+)`", entry.text)
    if match is None:
        return [entry]
    theirs = reference(function.__globals__[match[1]]).takes
    return [Entry([name], other.type, other.text) for name in entry.type.split(", ") for other in theirs if name in other.names]

"""Spaces of Gymnasium as plain data for a file, and back.

A file may come from anybody: no space is made before its size is known to be one that the arrays of the same file can have.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from gymnasium import spaces

from fastars._validate import stored_integer

_DTYPES = ("float16", "float32", "float64", "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_MOST_TEXT = 1 << 17  # characters of a space; bounds of an image that differ from entry to entry are longer
_MOST_AXES = 32


def describe_space(space: Any) -> dict[str, Any] | None:
    """Return a space as plain data; None for one that is no space of policies, or whose bounds take too much room."""
    described = _described(space)
    return described if described is not None and len(json.dumps(described)) <= _MOST_TEXT else None


def _described(space: Any) -> dict[str, Any] | None:
    if isinstance(space, spaces.Box):
        bounds = {"low": _shortest(space.low), "high": _shortest(space.high)}
        return {"type": "Box", "shape": list(space.shape), "dtype": space.dtype.name, **bounds}
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": np.dtype(space.dtype).name}
    if isinstance(space, spaces.MultiDiscrete):
        sizes = {"nvec": space.nvec.ravel().tolist(), "start": space.start.ravel().tolist()}
        return {"type": "MultiDiscrete", "shape": list(space.shape), "dtype": np.dtype(space.dtype).name, **sizes}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": space.shape[0] if np.ndim(space.n) == 0 else list(space.shape)}
    if isinstance(space, spaces.Dict) and all(isinstance(name, str) for name in space.spaces):
        parts = [[name, _described(part)] for name, part in space.spaces.items()]
        return None if None in [part for _, part in parts] else {"type": "Dict", "spaces": parts}
    if isinstance(space, spaces.Tuple):
        inner = [_described(part) for part in space.spaces]
        return None if None in inner else {"type": "Tuple", "spaces": inner}
    return None


def _shortest(bounds: np.ndarray) -> Any:
    """Return bounds as a list of numbers; as one number if all are equal."""
    entries = bounds.ravel().tolist()
    return entries[0] if entries and entries.count(entries[0]) == len(entries) else entries


def space_of(described: Any, most: int) -> spaces.Space:
    """Return the space that plain data describe.

    Parameters
    ----------
    described : object
        As a file has it: anything.
    most : int
        Entries that the space may have at most, flattened.

    Raises
    ------
    ValueError, TypeError, KeyError, OverflowError
        If it is no description of a space, or of a larger one.
    """
    return _made(described, most)[0]


def _made(described: Any, most: int) -> tuple[spaces.Space, int]:
    """Return (space, its entries)."""
    kind = described["type"]
    if kind in ("Dict", "Tuple"):
        return _made_of_parts(kind, described["spaces"], most)
    if kind == "Discrete":
        n = stored_integer("n", described["n"], 1, most)
        return _discrete(n, _integers("start", [described["start"]], 1)[0], _dtype(described)), n
    if kind == "MultiBinary":
        n = described["n"]
        shape = _shape(n if isinstance(n, list) else [n], most)
        return spaces.MultiBinary(list(shape) if isinstance(n, list) else shape[0]), math.prod(shape)
    shape = _shape(described["shape"], most)
    size = math.prod(shape)
    if kind == "MultiDiscrete":
        choices = [stored_integer("nvec", n, 1, most) for n in _integers("nvec", described["nvec"], size)]
        if sum(choices) > most:
            raise ValueError(f"a space of {sum(choices)} choices, more than the {most} of its policy")
        starts = np.reshape(_integers("start", described["start"], size), shape)
        dtype: Any = _dtype(described)
        return spaces.MultiDiscrete(np.reshape(choices, shape), dtype=dtype, start=starts), sum(choices)
    if kind != "Box":
        raise ValueError(f"a space of the type {str(kind)[:40]!r}")
    dtype = _dtype(described)
    low, high = (_bounds(name, described[name], shape, dtype) for name in ("low", "high"))
    return spaces.Box(low, high, shape, dtype), size


def _made_of_parts(kind: str, parts: Any, most: int) -> tuple[spaces.Space, int]:
    """Return a Dict or a Tuple of spaces, with its entries."""
    if not isinstance(parts, list) or not parts:
        raise ValueError(f"a {kind} of no spaces")
    names = [name for name, _ in parts] if kind == "Dict" else []
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ValueError("a Dict whose names are not different texts")
    made: list[spaces.Space] = []
    size = 0
    for part in parts:
        space, entries = _made(part[1] if kind == "Dict" else part, most - size)
        made.append(space)
        size += entries
    if kind == "Tuple":
        return spaces.Tuple(made), size
    space = spaces.Dict()
    space.spaces.update(zip(names, made, strict=True))  # in their own order; a Dict of a plain dict sorts its names
    return space, size


def _discrete(n: int, start: int, dtype: np.dtype[Any]) -> spaces.Discrete:
    if dtype == np.int64:  # Gymnasium before 1.2 has no other
        return spaces.Discrete(n, start=start)
    return spaces.Discrete(n, start=start, dtype=dtype.type)


def _shape(shape: Any, most: int) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) > _MOST_AXES:
        raise ValueError(f"a space of the shape {str(shape)[:40]}")
    lengths = tuple(stored_integer("shape", length, 1) for length in shape)
    if math.prod(lengths) > most:
        raise ValueError(f"a space of {math.prod(lengths)} entries, more than the {most} of its policy")
    return lengths


def _dtype(described: Any) -> np.dtype[Any]:
    if described["dtype"] not in _DTYPES:
        raise ValueError(f"a space of the dtype {str(described['dtype'])[:40]!r}")
    return np.dtype(described["dtype"])


def _integers(name: str, values: Any, size: int) -> list[int]:
    if not isinstance(values, list) or len(values) != size:
        raise ValueError(f"{name} must be {size} integers")
    return [stored_integer(name, value, -(2**63)) for value in values]


def _bounds(name: str, values: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Return the bounds of a Box, given as one number for all or as a list."""
    numbers = values if isinstance(values, list) else [values]
    if not all(isinstance(number, (bool, int, float)) for number in numbers):
        raise ValueError(f"{name} must be numbers")
    if not isinstance(values, list):
        return np.full(shape, values, dtype)
    return np.array(numbers, dtype).reshape(shape)

"""Check arguments of constructors that have an entry per task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from fastars._validate import number, positive_int


def task_numbers(
    name: str, values: Iterable[Any] | None, least: float = -math.inf, *, above: float = -math.inf
) -> tuple[float, ...] | None:
    """Return finite numbers as a tuple, or None for None."""
    if values is None:
        return None
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must have an entry per task, got {values!r}")
    return tuple(number(f"each entry of {name}", value, least, above=above) for value in values)


def number_of_tasks(n_tasks: int | None, **per_task: Sequence[Any] | None) -> int | None:
    """Return the number of tasks: `n_tasks`, or else the length of the arguments that are given; None if all are None.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    found = None if n_tasks is None else positive_int("n_tasks", n_tasks)
    for name, values in per_task.items():
        if values is None:
            continue
        if not values or len(values) != (found or len(values)):
            allowed = f"{found} entries, one" if found else "an entry"
            raise ValueError(f"{name} must have {allowed} per task, got {list(values)!r}")
        found = len(values)
    return found

"""Recognise objects of stable-baselines3 by the names of their classes, without importing it."""

from __future__ import annotations

from typing import Any

from fastars.envs.originals import altered, set_on

PACKAGE = "stable_baselines3"


def is_sb3(value: Any, name: str) -> bool:
    """Return True if the value is of stable-baselines3's class `name`, or of a class derived from it."""
    return any(each.__name__ == name and each.__module__.partition(".")[0] == PACKAGE for each in type(value).__mro__)


def changed_method(value: Any) -> str | None:
    """Return the name of what an object of stable-baselines3 does in another way than its class there; None if nothing."""
    kind = type(value)
    if kind.__module__.partition(".")[0] != PACKAGE:
        return f"class {kind.__name__}"
    return set_on(value) or altered(kind)
